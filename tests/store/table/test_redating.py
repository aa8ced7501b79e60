"""What lies ahead gets a version of now, and the books agree."""

from __future__ import annotations

from dmqcache.store.table.clock import version_at
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.redating import pull_back
from tests.store.fixtures import agree, make_table


def test_only_what_lies_ahead_is_dated_anew_and_a_flush_that_comes_later_finds_it() -> None:
    table, hands = make_table()
    table["before"] = "x"
    hands.jump_ms = 3_600_000
    table["ahead"] = "y"
    table.incr("count")
    table.delete("before")
    hands.jump_ms = 0
    hands.seconds += 1
    assert [cell.key for cell in pull_back(table, table.clock.limit())] == ["before", "ahead", "count"]
    agree(table)
    assert pull_back(table, table.clock.limit()) == []
    # The version of a counter is that of its beginning.
    assert raise_floor(table, table.clock.version() - 1) == 1
    assert table.scan() == ["ahead"] and list(table.tombstones) == ["before"]
    agree(table)


def test_what_was_dated_by_a_clock_that_was_set_back_stays_below_what_is_written_since() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    table["first"] = "x"
    table.incr("count")
    hands.seconds += 3
    table["second"] = "y"
    table.delete("first")
    hands.seconds += 1
    hands.jump_ms = 40
    now = table.clock.version()
    before = {key: cell.last_modified() for key, cell in table.cells.items()}
    pull_back(table, table.clock.limit())
    hour = version_at(3_601_000)
    assert {key: cell.last_modified() + hour for key, cell in table.cells.items()} == before
    assert all(cell.last_modified() < now for cell in table.cells.values())
    agree(table)


def test_a_flush_that_lies_ahead_stays_below_what_was_written_after_it() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    table.flush()
    table["after"] = "x"
    hands.jump_ms = 0
    hands.seconds += 20
    pull_back(table, table.clock.limit())
    assert table.floor < table.cells["after"].stamp < table.clock.version() - version_at(20_000)
