"""What a flush kills, hides at once and leaves, whichever way it is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.store.table import flushing
from dmqcache.store.table.floor_raising import raise_floor, sink
from dmqcache.store.table.listener import TableListener
from tests.store.fixtures import agree, make_table


def test_a_floor_kills_what_stands_below_it_and_forgets_the_tombstones_there() -> None:
    table, hands = make_table()
    table.set("old", "x")
    table.set("dead", "x")
    table.delete("dead")
    floor = max(cell.stamp for cell in table.cells.values())
    hands.seconds += 1
    table.set("new", "x")
    assert raise_floor(table, floor) == 1
    assert list(table.cells) == ["new"]
    agree(table)
    assert raise_floor(table, floor) == 0
    assert raise_floor(table, floor - 1) == 0
    assert table.floor == floor


@pytest.mark.parametrize("few", [1, 1_000])
def test_a_flush_is_the_same_cell_by_cell_and_with_new_books(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everything dies, and where some cells of each kind stand above the floor."""
    monkeypatch.setattr("dmqcache.store.table.floor_raising.FEW_KEPT", few)
    for late in (0, 3):
        told: list[int] = []
        table, hands = make_table(listener=TableListener(floor_raised=told.append))
        for number in range(20):
            table.set(f"k{number:02}", f"v{number}", ttl=60 if number % 3 else None)
        table.set("n", 5)
        table.incr("n")
        table.delete("k03")
        held = list(table.cells.values())
        lived = {cell.key for cell in held if cell.value is not None}
        table.touched = {}
        hands.seconds += 1
        floor = table.clock.version()
        hands.seconds += 1
        for number in range(late):
            table.set(f"late{number}", "x", ttl=60)
            table.set("n", 7)
            table.delete("late0")
        assert raise_floor(table, floor) == (20 if not late else 19)
        agree(table)
        assert told == [floor]
        assert table.emptied or lived <= set(table.touched)
        assert table.scan() == (["late1", "late2", "n"] if late else [])
        assert [cell.key for cell in held if cell.value is not None] == (["n"] if late else [])
        assert set(table.tombstones) == ({"late0"} if late else set())
        assert (table.ttl("late1") if late else 60) == 60
        assert table.expiry.about(table.clock.now())[0] == (2 if late else 0)
        hands.seconds += 61
        assert table.sweep(100) == (2 if late else 0)
        agree(table)
        table.set("again", "x")
        assert table.scan() == (["again", "n"] if late else ["again"])


def test_what_a_flush_killed_is_hidden_at_once_and_taken_apart_by_and_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flushing, "APART", 10)
    told: list[Iterator[list[str]]] = []
    table, _ = make_table(listener=TableListener(flushed=told.append))
    watched: list[str] = []
    table.tell_touches(lambda key, events: watched.append(key))
    for number in range(25):
        table.set(f"k{number}", "v")
    held = list(table.cells.values())
    watched.clear()
    assert table.flush() == 25
    agree(table)
    assert (len(table), table.text_bytes, table.scan(), watched) == (0, 0, [], [""])
    table.set("k7", "again")
    assert [cell.value for cell in held] == ["v"] * 25
    (apart,) = told
    assert len(next(apart)) == 10
    assert sum(cell.value is None for cell in held) == 10
    assert sorted(key for keys in apart for key in keys) == sorted(
        f"k{number}" for number in range(25) if held[number].key not in watched[2:12]
    )
    assert len(watched) == 27 and table["k7"] == "again"
    agree(table)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 30.0])
def test_a_flush_leaves_what_is_later_however_long_ago_it_was(seconds: float) -> None:
    table, hands = make_table()
    for number in range(20):
        table.set(f"before{number}", "x")
    hands.seconds += 1
    table.sweep(10)
    floor = table.clock.version()
    for number in range(4):
        hands.seconds += seconds / 4
        table.set(f"late{number}", "x")
        table.sweep(10)
    table.delete("late0")
    assert raise_floor(table, floor) == 20
    assert table.scan() == ["late1", "late2", "late3"]
    assert list(table.tombstones) == ["late0"]
    agree(table)


def test_what_a_flush_leaves_stays_though_it_is_dated_anew_before_the_dead_are_taken_apart() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    for number in range(50):
        table.set(f"old{number}", "x")
    floor = table.clock.version()
    hands.seconds += 1
    table.set("new", "y")
    _, apart = sink(table, floor)
    hands.jump_ms = 0
    assert table.redate() == 1 and table.cells["new"].stamp < floor
    for _ in apart:
        pass
    assert dict(table) == {"new": "y"}
    agree(table)
