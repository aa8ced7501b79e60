"""Sweeps come ten times a second, in pieces between which others have their turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dmqcache.bus.loop_steps import step
from dmqcache.store import sweeping
from dmqcache.store.sweeping import COLLECT_EVERY, PIECE, SWEEP_S
from tests.store.harness import World

COUNT = 3 * PIECE + 7


@pytest.mark.parametrize("step_s", [0.0, 0.002])
def test_what_expired_is_buried_and_what_was_long_dead_forgotten_in_pieces(
    monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", step_s)
    steps: list[tuple[int, int]] = []

    def noting(pieces: Iterator[object], now: Callable[[], float]) -> None:
        steps.append((side.table.counters.expirations, len(side.table.cells)))
        step(pieces, now)

    world = World()
    side = world.side("127.0.0.11", tombstone_ttl=30)
    monkeypatch.setattr("dmqcache.bus.loop_steps.step", noting)
    for number in range(COUNT):
        side.table.set(f"k{number}", "x", ttl=5)
    world.run(60)
    buried, left = (list(dict.fromkeys(each)) for each in zip(*steps, strict=True))
    if step_s:
        assert (buried, left) == ([0, COUNT], [COUNT, 0])
    else:
        assert buried == [0, PIECE, 2 * PIECE, 3 * PIECE, COUNT]
        assert left == [COUNT, COUNT - PIECE, COUNT - 2 * PIECE, COUNT - 3 * PIECE, 0]


def test_a_sweep_ends_after_so_many_cells_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "SWEEP_CELLS", 2 * PIECE)
    world = World()
    side = world.side("127.0.0.11", tombstone_limit=10)
    for number in range(COUNT):
        side.table.set(f"k{number}", "x")
    world.run(1)
    for number in range(COUNT):
        side.table.delete(f"k{number}")
    counts = [COUNT]
    for _ in range(4 * COLLECT_EVERY):
        world.run(SWEEP_S)
        if counts[-1] != len(side.table.cells):
            counts.append(len(side.table.cells))
    assert counts == [COUNT, COUNT - 2 * PIECE, 10]


def test_a_node_that_stops_between_two_pieces_sweeps_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    world = World()
    side = world.side("127.0.0.11")
    for number in range(COUNT):
        side.table.set(f"k{number}", "x", ttl=5)
    sweep = side.table.sweep

    def last(limit: int) -> int:
        count = sweep(limit)
        if count:
            side.store.stop()
        return count

    monkeypatch.setattr(side.table, "sweep", last)
    world.run(20)
    assert side.table.counters.expirations == PIECE
