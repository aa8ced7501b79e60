"""What was read from disk is given up in one moment, and nothing of it is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.store.table.giving_up import give_up
from dmqcache.store.table.happenings import GONE, NOTHING, Events
from dmqcache.store.table.late_flush import LateFlush
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, agree, make_table


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
