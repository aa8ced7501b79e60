"""The end of a node: what others have still to be told is sent first, within a time, and said in the log.

Owns how long that takes and what is said of it. What is told, and how, is as ever: ``outboxes.py``'s. What
was written before a node came no outbox names: a comparison finds it, and is asked for at once. A node that
has only just started, and has met nobody yet, waits for the first to answer with what it was asked to keep.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from dmqcache.bus.runtime import Timer
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes

log = logging.getLogger("dmqcache.store")

#: Seconds between two looks at the outboxes, and between two lines in the log; then comparisons that have
#: failed are asked for again, too.
LOOK_S: Final = 0.02
SAY_S: Final = 1.0


class Emptying:
    """Waits until every node that answers has acknowledged all that was written here."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        compare: Callable[[NodeURI], None],
        looks: Callable[[], bool],
    ) -> None:
        """``compare``: compare with a dmqcache node as soon as may be. ``looks``: whether this node has only
        just started, and looks for others that it knows."""
        self._ground = ground
        self._outboxes = outboxes
        self._compare = compare
        self._looks = looks
        self._then: Callable[[], None] | None = None
        self._began = 0.0
        self._until = 0.0
        self._said_at = 0.0
        self._timer: Timer | None = None
        #: Nobody has answered yet that could be told.
        self._alone = False

    def start(self, timeout: float, then: Callable[[], None]) -> None:
        """Call ``then`` once: as soon as nothing is left to be told, or after ``timeout`` seconds."""
        self._then = then
        self._began = self._said_at = self._ground.clock.now()
        self._until = self._began + timeout
        behind = self._behind()
        if behind and timeout > 0:
            self._say_first(behind, timeout)
            self._compare_with(behind)
        elif timeout > 0 and self._met_nobody():
            self._alone = True
            words = "no other node has answered yet that could keep %d changes: waiting up to %g s for one"
            log.info(words, self._written(), timeout)
        self._look()

    def _say_first(self, behind: list[Outbox], timeout: float) -> None:
        changes = sum(outbox.waiting() for outbox in behind)
        if changes:
            words = "%d changes are not acknowledged by %d nodes yet: waiting up to %g s for them"
            log.info(words, changes, len(behind), timeout)
        else:
            log.info("%s: waiting up to %g s for it", self._what_is_left(behind), timeout)

    def hurry(self) -> None:
        """Wait no longer."""
        self._until = 0.0
        if self._then is not None:
            self._look()

    def _behind(self) -> list[Outbox]:
        """The outboxes of nodes that answer and lack something. Who does not answer finds it by repair."""
        return [
            outbox
            for outbox in self._outboxes.values()
            if outbox.open and (outbox.waiting() or outbox.needs_repair())
        ]

    def _met_nobody(self) -> bool:
        """Whether only this node has what was written here, as it still looks for the others."""
        return self._looks() and not self._anybody() and self._written() > 0

    def _anybody(self) -> bool:
        return any(outbox.open for outbox in self._outboxes.values())

    def _unheard(self) -> int:
        """How many changes nobody else has: nobody answers, or nobody has ever answered."""
        if self._anybody():
            return 0
        boxes = self._outboxes.values()
        if self._alone or any(outbox.overflowed for outbox in boxes):
            return self._written()
        return max((outbox.waiting() for outbox in boxes), default=0)

    def _written(self) -> int:
        """How many changes were made here."""
        changes = self._ground.counters.changes
        return sum(changes[table.name, "local"] for table in self._ground.replicated())

    def _compare_with(self, behind: list[Outbox]) -> None:
        for outbox in behind:
            if outbox.native and outbox.needs_repair():
                self._compare(outbox.node)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._ground.clock.now()
        behind = self._behind()
        over = now >= self._until or self._ground.stopped
        if over or not (behind or self._met_nobody()):
            self._finish(behind, now)
            return
        came, self._alone = self._alone and bool(behind), self._alone and not behind
        if came or (behind and now - self._said_at >= SAY_S):
            self._said_at = now
            self._compare_with(behind)
            log.info("still waiting: %s", self._what_is_left(behind))
        self._timer = self._ground.runtime.call_later(min(LOOK_S, self._until - now), self._look)

    def _finish(self, behind: list[Outbox], now: float) -> None:
        if behind:
            log.warning("stopping although not all is acknowledged: %s", self._what_is_left(behind))
        elif changes := self._unheard():
            log.warning("stopping although no other node has heard of %d changes", changes)
        elif now > self._began:
            log.info("all changes were acknowledged within %.1f s", now - self._began)
        then, self._then = self._then, None
        if then is not None:
            then()

    def _what_is_left(self, behind: list[Outbox]) -> str:
        return "; ".join(f"{outbox.node} {self._what_is_with(outbox)}" for outbox in behind)

    @staticmethod
    def _what_is_with(outbox: Outbox) -> str:
        if outbox.overflowed:
            return "lacks changes that were dropped"
        if outbox.needs_repair():
            return "was not compared with yet"
        return f"lacks {outbox.waiting()}"
