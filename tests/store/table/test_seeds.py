"""Cells that lose to whatever anybody wrote."""

from __future__ import annotations

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.merge import Arrivals
from dmqcache.store.table.row import Row
from dmqcache.store.table.seeds import SEED, Seed, is_untouched, seed
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table


def a_table(declared: str = "t", listener: TableListener | None = None) -> Table:
    clock = Clock(lambda: 1000.0, lambda: 1_700_000_000_000)
    return Table(TableSettings.parse(declared), clock, listener=listener)


def test_they_are_there_and_everybody_is_told() -> None:
    told: list[Cell] = []
    table = a_table("t=>autoexpire=60", TableListener(told.append))
    assert seed(table, [Seed("a", "x"), Seed("b", 5, 7.5), Seed("over", "x", 0.0)]) == []
    assert dict(table) == {"a": "x", "b": 5}
    assert (table.ttl("a"), table.ttl("b")) == (60, 7.5)
    assert [cell.key for cell in told] == ["a", "b"]
    assert table.incr("b") == 6


def test_what_was_written_deleted_or_flushed_wins() -> None:
    table = a_table()
    table.set("written", "w")
    table.set("gone", "w")
    table.delete("gone")
    seed(table, [Seed("written", "x"), Seed("gone", "x"), Seed("new", "x")])
    assert dict(table) == {"written": "w", "new": "x"}
    table.flush()
    seed(table, [Seed("new", "x")])
    assert dict(table) == {}


def test_a_later_write_of_another_node_wins_whenever_it_comes() -> None:
    ours, theirs = a_table(), a_table()
    seed(ours, [Seed("k", "old")])
    theirs.set("k", "new")
    Arrivals(ours, StoreCounters()).merge_rows([Row("k", "new", theirs.cells["k"].stamp)], "sip:b")
    assert ours["k"] == "new"


def test_nodes_that_begin_with_the_same_agree() -> None:
    one, two = a_table(), a_table()
    for table in (one, two):
        seed(table, [Seed("k", "v"), Seed("n", 5)])
    assert one.digest.leaves == two.digest.leaves
    assert one.cells["k"].stamp == SEED


def test_what_no_table_takes_is_named() -> None:
    assert seed(a_table(), [Seed("k" * 5000, "v"), Seed("n", 1 << 70)]) == [
        f"'{'k' * 60}': a key has at most 4096 characters, this one has 5000",
        "'n': an integer has at most 64 bits; store a larger one as text",
    ]


def test_a_table_is_untouched_until_something_is_known_of_it() -> None:
    table = a_table()
    assert is_untouched(table)
    table.flush()
    assert not is_untouched(table)
    other = a_table()
    other.set("k", "v")
    other.delete("k")
    assert not is_untouched(other)
