"""What counts as a use of a cell, and since when there was none."""

from __future__ import annotations

from dmqcache.store.table.use import TICKS_S, idle_s, peek, set_idle
from tests.store.fixtures import make_table


def test_asking_and_listing_count_as_no_use_and_reading_and_writing_do() -> None:
    table, _ = make_table()
    table.set("a", "1")
    cell = table.cells["a"]
    table.tick += 75 * TICKS_S
    assert "a" in table and table.ttl("a") is None and list(table) == ["a"] and table.keys()
    assert peek(table, "a") is cell and idle_s(table, cell) == 75
    assert table["a"] == "1" and idle_s(table, cell) == 0
    table.tick += 19
    assert idle_s(table, cell) == 1
    table.expire("a", 100)
    assert idle_s(table, cell) == 0
    set_idle(table, cell, 1000)
    assert idle_s(table, cell) == 1000
    assert peek(table, "b") is None


def test_what_is_over_is_not_seen() -> None:
    table, time = make_table()
    table.set("a", "1", 5)
    time.seconds += 6
    assert peek(table, "a") is None and table.cells["a"].value is None
