"""The campaign with one more node, whose memory is bounded: it evicts, and nobody else loses anything by it.

The scenarios are those of the campaign, without WAIT; what belongs to the small node is drawn from a random
source of its own. It is judged by itself: what it holds is what the others hold, in its bound, and its books
are in order. The others are judged as ever, as if it were not there.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass

from dmqcache.store.table.evicting import Policy
from tests.simulation import checks
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.faults import Event, Scenario, draw
from tests.simulation.process import CacheProcess, Names
from tests.simulation.run import Result, Run
from tests.simulation.runtime import VirtualRuntime

#: Bytes that may be allowed; a cell takes some hundreds.
LIMITS = (1_000, 3_000, 10_000)
#: Bytes by which the bound may be passed between two looks.
BETWEEN_LOOKS = 2_000


@dataclass(frozen=True, slots=True)
class Bound:
    """What a small node may hold."""

    limit: int
    policy: Policy


class SmallMachine(Machine):
    """A machine whose node has a bound. It is none of ``caches()``."""

    def __init__(self, cluster: Cluster, number: int, bound: Bound) -> None:
        super().__init__(cluster, number, "small")
        self._bound = bound
        #: Cells that all its processes have evicted.
        self.evicted = 0

    def start(self) -> None:
        if self.process is not None:
            return
        cluster = self.cluster
        self.incarnation += 1
        self.leaving = False
        self.seeds = tuple(uri for uri in cluster.seeds if uri != self.spelled)
        self.started_at = cluster.world.now
        runtime = VirtualRuntime(cluster.world, self.host, self.incarnation, self.skew_ms)
        self.process = CacheProcess(
            *(runtime, cluster.network, cluster.streams, self.uri, self.seeds, cluster.tables),
            *(cluster.options, None, Names(cluster.hosts), cluster.sources, cluster.key),
        )
        self.store.memory.bound(self._bound.limit, self._bound.policy)

    def problems(self) -> list[str]:
        """What is wrong with it, in the end."""
        memory = self.store.memory
        found = [*checks.books(self), *checks.leftovers(self)]
        if memory.used > memory.limit + BETWEEN_LOOKS and not memory.full:
            found.append(f"{self.host} takes {memory.used} of {memory.limit} bytes and does not say so")
        return found


def small_scenario(seed: int, kamailio: bool | None = False) -> tuple[Scenario, Bound]:
    """The scenario of a seed with a small node as its last machine, which may start anew once."""
    scenario = draw(seed, kamailio=kamailio)
    chance = random.Random(f"dmqcache small {seed}")
    bound = Bound(chance.choice(LIMITS), chance.choice(list(Policy)))
    number = len(scenario.kinds)
    events = [Event(chance.choice((0.0, 5.0)), "start", (number,))]
    if chance.random() < 0.5:
        at = chance.uniform(6.0, scenario.until)
        events += [Event(at, "crash", (number,)), Event(at + chance.choice((0.1, 3.0)), "start", (number,))]
    kept = [event for event in scenario.events if event.what != "wait"]
    scenario.events = sorted([*kept, *events], key=lambda event: event.at)
    return scenario, bound


class BoundedRun(Run):
    """One run with a small node."""

    def __init__(self, scenario: Scenario, bound: Bound) -> None:
        super().__init__(scenario)
        self.small = SmallMachine(self.cluster, len(scenario.kinds), bound)
        self.cluster.machines.append(self.small)

    def _acknowledge_under_loss(self, problems: list[str]) -> None:
        """Not here: who has acknowledged is counted among those that are judged."""

    def _tables_disagree(self) -> list[str]:
        found = super()._tables_disagree()
        if not self.cluster.caches():
            return found
        first = self.cluster.caches()[0]
        for settings in self.cluster.tables:
            table = self.small.store.tables[settings.name]
            held, theirs = (
                checks.contents(machine.store.tables[settings.name]) for machine in (self.small, first)
            )
            # What it has not may have been evicted.
            shown = theirs if not table.partial else {key: theirs[key] for key in held if key in theirs}
            found += checks._differences(settings.name, self.small.host, held, first.host, shown, self._slack)
        return found

    def _final(self) -> list[str]:
        found = super()._final() + self.small.problems()
        self.counts["evicted"] += sum(table.counters.evictions for table in self.small.store.tables.values())
        return found


def run_bounded(seed: int, kamailio: bool | None = False) -> Result:
    """Live through one seed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return BoundedRun(*small_scenario(seed, kamailio)).live()
    finally:
        logging.disable(before)


def failing_bounded(seeds: Iterable[int], kamailio: bool | None = False) -> dict[int, list[str]]:
    """The first problems of each of ``seeds`` that has any."""
    results = {seed: run_bounded(seed, kamailio) for seed in seeds}
    return {seed: result.problems[:5] for seed, result in results.items() if result.problems}
