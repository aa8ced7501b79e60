"""Many runs, one after the other or on several cores; and one run again, with everything that happened.

``python -m tests.simulation.campaign --seeds 10000 --jobs 2`` prints failing seeds and a summary;
``--replay SEED`` prints that run's transcript: seconds, node, what was sent, lost, done or logged;
``--minimise SEED`` makes a failing run as short as it can in ``--seconds``, and prints that one's.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.faults import draw
from tests.simulation.minimise import SECONDS, Minimiser
from tests.simulation.run import Result, Run
from tests.simulation.runtime import World
from tests.simulation.scenario import Scenario

#: Lines of one failing seed that are shown in a campaign.
SHOWN = 8


def run_seed(
    seed: int,
    size: int | None = None,
    kamailio: bool | None = None,
    disks: bool = False,
    keyed: bool = False,
    usrloc: bool = False,
    clocks: bool = False,
) -> Result:
    """Live through one seed. ``size`` and ``kamailio`` force what it would draw; ``disks``: with disks;
    ``keyed``: with a key; ``usrloc``: with registrations; ``clocks``: all clocks are set at once."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return Run(draw(seed, size, kamailio, disks, keyed, usrloc, clocks)).live()
    finally:
        logging.disable(before)


class _Lines(logging.Handler):
    """Log lines of the code under test, into the transcript."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.note(self._world.current, f"log: {record.getMessage()}")


def failing(
    seeds: Iterable[int],
    *,
    disks: bool = False,
    keyed: bool = False,
    usrloc: bool = False,
    clocks: bool = False,
) -> dict[int, list[str]]:
    """The first problems of each of ``seeds`` that has any."""
    run = partial(run_seed, disks=disks, keyed=keyed, usrloc=usrloc, clocks=clocks)
    results = {seed: run(seed) for seed in seeds}
    return {seed: result.problems[:5] for seed, result in results.items() if result.problems}


def replay(seed: int, size: int | None = None, kamailio: bool | None = None) -> tuple[Run, Result]:
    """Live through one seed and keep its transcript."""
    return live_again(draw(seed, size, kamailio))


def live_again(scenario: Scenario) -> tuple[Run, Result]:
    """Live through one scenario and keep its transcript."""
    logging.disable(logging.NOTSET)
    run = Run(scenario, transcript=True)
    root = logging.getLogger("dmqcache")
    handler = _Lines(run.world)
    level, propagate = root.level, root.propagate
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
    try:
        return run, run.live()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        root.propagate = propagate


def transcript(run: Run) -> Iterator[str]:
    """The transcript's lines."""
    for when, node, text in run.world.transcript or ():
        yield f"{when:10.4f} {node.removeprefix('127.0.0.') or '*':>4} {text}"


def describe(scenario: Scenario) -> Iterator[str]:
    """What a scenario is, before it is lived through."""
    yield f"seed {scenario.seed}, {scenario.transport}: {', '.join(scenario.kinds)}"
    yield f"tables {', '.join(scenario.tables)}"
    yield f"{scenario.options}; {scenario.seeds} notification addresses; clocks {scenario.skews_ms} ms"
    if scenario.ahead_ms:
        yield f"all clocks are ahead by {scenario.ahead_ms} ms more until they are set right"
    yield f"{len(scenario.events)} events in {scenario.until:.1f} s; stays dead: {sorted(scenario.dead)}"


@dataclass(slots=True)
class Summary:
    """What a campaign found."""

    runs: int = 0
    failed: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    events: int = 0
    writes: int = 0
    slowest: tuple[float, int] = (0.0, 0)
    counts: Counter[str] = field(default_factory=Counter)

    def take(self, result: Result) -> None:
        self.runs += 1
        self.seconds += result.seconds
        self.events += result.events
        self.writes += result.writes
        self.counts.update(result.counts)
        self.slowest = max(self.slowest, (result.converged, result.seed))
        if result.problems:
            self.failed.append(result)

    def lines(self) -> Iterator[str]:
        yield (
            f"{self.runs} runs, {len(self.failed)} failed; {self.seconds / 3600:.1f} virtual hours, "
            f"{self.events} events, {self.writes} checked writes; slowest agreement "
            f"{self.slowest[0]:.1f} s after the healing (seed {self.slowest[1]})"
        )
        yield ", ".join(f"{name}: {count}" for name, count in sorted(self.counts.items()))


def campaign(
    seeds: Iterable[int],
    jobs: int,
    disks: bool = False,
    keyed: bool = False,
    usrloc: bool = False,
    clocks: bool = False,
) -> Iterator[Result]:
    """The results of many seeds, in any order."""
    run = partial(run_seed, disks=disks, keyed=keyed, usrloc=usrloc, clocks=clocks)
    if jobs <= 1:
        yield from map(run, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--disks", action="store_true", help="nodes keep their tables on disk")
    parser.add_argument("--key", action="store_true", help="the bus has a key")
    parser.add_argument("--usrloc", action="store_true", help="phones register with Kamailio nodes")
    parser.add_argument("--clocks", action="store_true", help="all clocks are set at once: back, or forward")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--replay", type=int, metavar="SEED", help="print one run's transcript")
    parser.add_argument("--minimise", type=int, metavar="SEED", help="make a failing run short")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for --minimise: of wall time")
    options = parser.parse_args()
    if options.replay is not None:
        return _replay(_drawn(options, options.replay))
    if options.minimise is not None:
        return _minimise(_drawn(options, options.minimise), options.seconds)
    began = time.monotonic()
    summary = Summary()
    seeds = range(options.first, options.first + options.seeds)
    drawn = (options.disks, options.key, options.usrloc, options.clocks)
    for result in campaign(seeds, options.jobs, *drawn):
        summary.take(result)
        if result.problems:
            print(f"seed {result.seed} FAILED; replay: python -m tests.simulation.campaign "
                  f"--replay {result.seed}{' --disks' * options.disks}{' --key' * options.key}"
                  f"{' --usrloc' * options.usrloc}{' --clocks' * options.clocks}")  # fmt: skip
            for line in result.problems[:SHOWN]:
                print(f"    {line}")
            sys.stdout.flush()
    for line in summary.lines():
        print(line)
    print(f"{time.monotonic() - began:.1f} s of wall time")
    return 1 if summary.failed else 0


def _drawn(options: argparse.Namespace, seed: int) -> Scenario:
    return draw(seed, disks=options.disks, keyed=options.key, usrloc=options.usrloc, clocks=options.clocks)


def _replay(scenario: Scenario) -> int:
    run, result = live_again(scenario)
    for line in describe(run.scenario):
        print(line)
    for line in transcript(run):
        print(line)
    for line in result.problems or ["all is well"]:
        print(line)
    print(f"fingerprint {result.fingerprint:08x}, agreement after {result.converged:.1f} s")
    return 1 if result.problems else 0


def _minimise(scenario: Scenario, seconds: float) -> int:
    minimiser = Minimiser(scenario, seconds)
    events = len(scenario.events)
    if not minimiser.failing:
        print("all is well: there is nothing to make short")
        return 0
    shortest = minimiser.shrink()
    status = _replay(shortest)
    print(f"{len(shortest.events)} of {events} events are left after {minimiser.tried} runs:")
    for event in shortest.events:
        print(f"{event.at:10.4f}      {event}")
    return status


if __name__ == "__main__":
    sys.exit(main())
