"""A failing run is made short by itself, and still fails in the same way."""

from __future__ import annotations

import pytest

from dmqcache.store.table.cells import Cells
from tests.simulation.campaign import run_seed
from tests.simulation.faults import Event, draw
from tests.simulation.minimise import Minimiser, kinds, machines_of
from tests.simulation.run import Run


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletes are forgotten at once."""

    def wrong(self: Cells, limit: int, held: bool, behind: bool = False) -> int:
        for key in list(self.tombstones):
            self.tombstones.remove(key)
            del self.cells[key]
        return 0

    monkeypatch.setattr(Cells, "collect", wrong)


@pytest.mark.usefixtures("broken")
def test_a_failing_run_is_made_short_and_still_fails() -> None:
    # One of several kinds of problems at once needs more events, and more runs than a test has time for.
    seed = next(seed for seed in range(50) if len(kinds(run_seed(seed).problems)) == 1)
    scenario = draw(seed)
    minimiser = Minimiser(scenario, seconds=600.0, runs=40)
    shortest = minimiser.shrink()
    assert minimiser.tried <= 40
    assert len(shortest.events) <= len(scenario.events) // 4
    assert kinds(Run(shortest).live().problems) & kinds(Run(scenario).live().problems)


@pytest.mark.usefixtures("broken")
def test_shrinking_ends_when_its_time_is_over() -> None:
    seed = next(seed for seed in range(50) if run_seed(seed).problems)
    minimiser = Minimiser(draw(seed), seconds=0.0)
    assert minimiser.shrink() == draw(seed)
    assert minimiser.tried == 1


def test_a_run_in_which_all_is_well_is_left_as_it_is() -> None:
    minimiser = Minimiser(draw(5))
    assert not minimiser.failing
    assert minimiser.shrink() == draw(5)


def test_problems_are_alike_whatever_the_moment_the_node_and_the_key() -> None:
    one = "4.500 s: 127.0.0.14: plain/k16 shows 'v63', but it may have held a delete (#1 of 127.0.0.12#1)"
    other = "5.000 s: 127.0.0.12: plain/k1 shows 5, but it may have held a delete (#10 of 127.0.0.13#2)"
    assert kinds([one]) == kinds([other])
    assert kinds([one]) != kinds(["127.0.0.12 is not ready"])


def test_events_are_told_apart_by_the_machines_that_they_are_about() -> None:
    assert machines_of(Event(1.0, "set", (2, "plain", "k0", "v", None))) == (2,)
    assert machines_of(Event(1.0, "cut", (2, 0))) == (2, 0)
    assert machines_of(Event(1.0, "partition", ((0,), (1, 2)))) == ()
