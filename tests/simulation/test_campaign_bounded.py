"""Runs of the campaign with a node whose memory is bounded; and what is noticed if evicting is a delete."""

from __future__ import annotations

import pytest

from dmqcache.store.outbox import memory_bound
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.table import Table
from tests.simulation.bounded import run_bounded, small_scenario
from tests.simulation.faults import draw

#: Seeds within which a breakage must be found.
SEEDS = 20


def test_a_node_that_evicts_takes_nothing_from_the_others() -> None:
    results = {seed: run_bounded(seed) for seed in range(1_000, 1_004)}
    assert {seed: found.problems[:5] for seed, found in results.items() if found.problems} == {}
    assert sum(found.counts["evicted"] for found in results.values()) > 0


def test_evictions_that_delete_for_all_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory_bound.evict

    def deletes(table: Table, cell: Cell) -> None:
        if table.counters.evictions % 4:
            whole(table, cell)
        else:
            table.counters.evictions += 1
            table.delete(cell.key)

    monkeypatch.setattr(memory_bound, "evict", deletes)
    seed = next(seed for seed in range(SEEDS) if run_bounded(seed).problems)
    monkeypatch.undo()
    assert not run_bounded(seed).problems


def test_what_the_campaign_draws_without_it_stays_as_it_is() -> None:
    for seed in range(20):
        small, _ = small_scenario(seed)
        number = len(small.kinds)
        plain = draw(seed, kamailio=False)
        ours = [event for event in plain.events if event.what != "wait"]
        theirs = [event for event in small.events if event.args != (number,)]
        assert (small.kinds, theirs, small.skews_ms) == (plain.kinds, ours, plain.skews_ms)
