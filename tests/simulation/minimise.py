"""Makes a failing run short by itself: leaves out events, machines, bad weather and odd options as long as
it still fails in the same way, within a given time or number of runs.

``python -m tests.simulation.campaign --minimise SEED`` prints the shortest run found.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.network import Weather
from tests.simulation.run import Run
from tests.simulation.scenario import Event, Scenario
from tests.store_options import store_options

#: Seconds of wall time, and runs, that shrinking may take.
SECONDS = 300.0
RUNS = 10_000
CALM = Weather()
#: Events whose first two arguments are machines; all others but these and the weather name one, first.
BETWEEN = frozenset({"cut", "uncut", "link"})
NOBODYS = frozenset({"weather", "partition", "join", "jump_all"})
#: What differs between two problems of one kind: moments, hosts, keys, values.
_DETAILS = re.compile(r"'[^']*'|\"[^\"]*\"|\[.*?\]|\{.*?\}|\(.*?\)|0x[0-9a-f]+|[0-9.:#]+|\b[a-z]\d+\b")


def kinds(problems: Sequence[str]) -> set[str]:
    """What is wrong, without where and when."""
    return {" ".join(_DETAILS.sub("", line).split())[:80] for line in problems}


class Minimiser:
    """Shrinks one scenario."""

    def __init__(self, scenario: Scenario, seconds: float = SECONDS, runs: int = RUNS) -> None:
        self.best = scenario
        #: How many runs were tried.
        self.tried = 0
        self._kinds = kinds(self._problems(scenario))
        self._end = time.monotonic() + seconds
        self._runs = runs

    @property
    def failing(self) -> bool:
        """Whether there is anything to shrink."""
        return bool(self._kinds)

    def shrink(self) -> Scenario:
        """The shortest run that was found in time."""
        before = -1
        while self.failing and before != (before := self._size()) and not self._late():
            self._leave_out_machines()
            self._leave_out_events()
            self._calm_down()
            self._use_defaults()
            self._end_sooner()
        return self.best

    def _size(self) -> int:
        return hash(repr(self.best))

    def _late(self) -> bool:
        return self.tried >= self._runs or time.monotonic() >= self._end

    def _problems(self, scenario: Scenario) -> list[str]:
        self.tried += 1
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            return Run(scenario).live().problems
        finally:
            logging.disable(before)

    def _take(self, **changes: Any) -> bool:
        """Whether the run with these changes fails alike; then it is the best so far."""
        if self._late():
            return False
        scenario = replace(self.best, **changes)
        found = kinds(self._problems(scenario))
        # Something else that is wrong is another failure, and seldom the one that is looked for.
        if not found or not found <= self._kinds:
            return False
        self.best = scenario
        return True

    # -- the steps ---------------------------------------------------------------------------------------

    def _leave_out_events(self) -> None:
        """Ever smaller parts of what is left, from the end to the beginning."""
        size = max(1, len(self.best.events) // 2)
        while size and not self._late():
            place = len(self.best.events)
            while place > 0 and not self._late():
                events = self.best.events
                first = max(0, place - size)
                self._take(events=events[:first] + events[place:])
                place = first
            size //= 2

    def _leave_out_machines(self) -> None:
        for number in range(len(self.best.kinds)):
            if number not in self.best.dead:
                events = [event for event in self.best.events if number not in machines_of(event)]
                self._take(events=events, dead=self.best.dead | {number})

    def _calm_down(self) -> None:
        for place, event in enumerate(self.best.events):
            for changed in _calmer(event):
                events = list(self.best.events)
                events[place] = changed
                if self._take(events=events):
                    break

    def _use_defaults(self) -> None:
        plain = store_options()
        for name in ("outbox_limit", "tombstone_ttl", "tombstone_limit"):
            wanted = getattr(plain, name)
            if getattr(self.best.options, name) != wanted:
                self._take(options=replace(self.best.options, **{name: wanted}))
        for number, skew in enumerate(self.best.skews_ms):
            if skew:
                skews = list(self.best.skews_ms)
                skews[number] = 0
                self._take(skews_ms=skews)

    def _end_sooner(self) -> None:
        last = max((event.at for event in self.best.events), default=0.0)
        if last + 0.5 < self.best.until:
            self._take(until=last + 0.1)


def machines_of(event: Event) -> tuple[int, ...]:
    """The machines that an event is about, if it is about one or two."""
    if event.what in NOBODYS:
        return ()
    return event.args[:2] if event.what in BETWEEN else event.args[:1]


def _calmer(event: Event) -> Iterator[Event]:
    """The same event with better weather, the best first."""
    for place, argument in enumerate(event.args):
        if isinstance(argument, Weather) and argument != CALM:
            yield _with(event, place, CALM)
            for name in ("loss", "duplicate", "reorder", "delay", "jitter"):
                if getattr(argument, name) != getattr(CALM, name):
                    yield _with(event, place, replace(argument, **{name: getattr(CALM, name)}))


def _with(event: Event, place: int, argument: Any) -> Event:
    return replace(event, args=(*event.args[:place], argument, *event.args[place + 1 :]))
