"""What lies ahead gets a version of now, and the books agree."""

from __future__ import annotations

from dmqcache.store.table.redating import pull_back
from tests.store.fixtures import make_table
from tests.store.table.test_cells import agree


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
    assert table.raise_floor(table.clock.version() - 1) == 1
    assert table.scan() == ["ahead"] and list(table.tombstones) == ["before"]
    agree(table)
