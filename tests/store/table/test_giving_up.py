"""What was read from disk is given up in one moment, and nothing of it is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from dmqcache.store.table import giving_up, late_flush
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.giving_up import LateGivingUp, give_up, keep, prepared
from dmqcache.store.table.happenings import GONE, NOTHING, Events
from dmqcache.store.table.late_flush import LateFlush
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, agree, make_table
from tests.store.table.test_late_flush import change


def read_from_disk(count: int, listener: TableListener | None = None) -> tuple[Table, Hands]:
    """A table of so many cells that were read, a counter, a tombstone, and a cell that was written since."""
    table, hands = make_table(listener=listener)
    for number in range(count):
        table.set(f"old{number}", "x", ttl=100)
    table.incr("count")
    table.set("dead", "x")
    table.delete("dead")
    table.known, table.forgot = table.clock.version(), 5
    hands.seconds += 1
    table.set("new", "y")
    table.touched = {}
    return table, hands


@pytest.mark.parametrize("count", [1, 50])
def test_cells_that_are_given_up_leave_nothing_behind(count: int) -> None:
    table, _ = read_from_disk(count)
    assert give_up(table) == count + 1
    assert list(table) == ["new"]
    assert sorted(table.cells) == ["dead", "new"]
    assert list(table.tombstones) == ["dead"]
    # On disk they go one by one, or with all that is there.
    assert table.emptied or len(table.touched or {}) == count + 1
    assert (table.known, table.forgot) == (0, 0)
    agree(table)


def test_many_are_taken_apart_in_steps_and_who_watches_is_told_of_each() -> None:
    waiting: list[Iterator[list[str]]] = []
    table, _ = read_from_disk(50, TableListener(buried=waiting.append))
    held, told = dict(table.cells), dict[str, Events]()
    table.tell_touches(lambda key, events: told.__setitem__(key, events))
    table.partial = True
    assert give_up(table) == 51 and table.partial
    assert held["old1"].value == "x"
    table.set("old1", "again")
    for _ in waiting.pop():
        pass
    assert (told["old1"], told["old2"], told["count"]) == (NOTHING, GONE, GONE)
    assert "dead" not in told and "new" not in told
    assert all(held[key].value is None for key in ("old1", "old2", "count"))
    assert dict(table) == {"new": "y", "old1": "again"}
    agree(table)


def test_a_late_flush_that_was_being_prepared_looks_no_further() -> None:
    table, _ = read_from_disk(50)
    late = table.late = LateFlush(table, 7)
    table.use_recent()
    give_up(table)
    assert late.over and table.late is None
    agree(table)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tens of cells are many."""
    monkeypatch.setattr(giving_up, "AT_ONCE", 10)
    monkeypatch.setattr(late_flush, "LOOKED_AT", 3)
    monkeypatch.setattr(late_flush, "ENTERED", 2)
    monkeypatch.setattr(late_flush, "FEW_DEAD", 5)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(60))
def test_what_is_looked_through_in_steps_is_what_is_given_up_at_once(seed: int) -> None:
    hands = Hands()
    stepped, at_once = (make_table(hands=hands, limits=TableLimits(tombstone_limit=2))[0] for _ in range(2))
    choose = Random(seed)

    def both() -> None:
        state = choose.getstate()
        change(stepped, choose, stepped.clock.version())
        choose.setstate(state)
        change(at_once, choose, at_once.clock.version())

    for _ in range(choose.choice([40, 100])):
        both()
        hands.seconds += 0.01
    stepped.known = at_once.known = stepped.clock.version()
    hands.seconds += 0.01
    for _ in range(choose.choice([0, 3, 60])):
        both()
        hands.seconds += 0.01
    for _ in prepared(stepped):
        for _ in range(choose.randrange(3)):
            both()
        hands.seconds += choose.choice([0, 0.3])
        stepped.sweep(5)
        at_once.sweep(5)
        agree(stepped)
    assert give_up(stepped) == give_up(at_once)
    for table in (stepped, at_once):
        agree(table)
        assert (table.late, table.known) == (None, 0)
    assert dict(stepped.items()) == dict(at_once.items())
    assert {key: cell.stamp for key, cell in stepped.cells.items()} == {
        key: cell.stamp for key, cell in at_once.cells.items()
    }


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("count", [11, 50])
def test_of_a_large_table_so_many_cells_are_looked_at_in_one_piece_and_none_when_it_is_given_up(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, _ = read_from_disk(count)
    looked = 0
    stays = LateGivingUp.stays

    def counted(self: LateGivingUp, cell: Cell) -> bool:
        nonlocal looked
        looked += 1
        return stays(self, cell)

    monkeypatch.setattr(LateGivingUp, "stays", counted)
    monkeypatch.setattr(giving_up, "FEW_KEPT", None)  # what is done at once would fail
    before, pieces = 0, 0
    for _ in prepared(table):
        assert looked - before <= 3 and len(table) == count + 2
        before, pieces = looked, pieces + 1
    assert pieces > count / 3
    before = looked
    assert give_up(table) == count + 1 and looked == before
    assert list(table) == ["new"] and sorted(table.cells) == ["dead", "new"]
    agree(table)


@pytest.mark.usefixtures("small_steps")
def test_who_lets_go_of_it_or_decides_otherwise_leaves_the_table_as_it_was() -> None:
    table, _ = read_from_disk(50)
    pieces = prepared(table)
    next(pieces)
    assert table.late is not None
    del pieces
    assert table.late is None
    for _ in prepared(table):
        pass
    keep(table)
    assert table.late is None and len(table) == 52
    agree(table)
    small, _ = read_from_disk(5)
    assert list(prepared(small)) == [] and small.late is None
