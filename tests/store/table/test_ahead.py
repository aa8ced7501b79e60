"""Which rows show that what is held lies ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.store.table.ahead import date_anew
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table


def set_back(flushed: bool = False) -> tuple[Table, Hands, list[Iterator[int]]]:
    """Three keys of a time that is to come, and what is left to do once it is begun."""
    left: list[Iterator[int]] = []
    table, hands = make_table(listener=TableListener(redates=left.append))
    hands.jump_ms = 3_600_000
    table.clock.correct()
    if flushed:
        table.flush()
    table["a"] = table["b"] = "x"
    table.incr("n")
    hands.jump_ms = 0
    hands.seconds += 20
    return table, hands, left


@pytest.mark.parametrize("key", ["a", "n"])
def test_a_row_of_now_brings_down_what_it_meets_at_once_and_the_others_follow(key: str) -> None:
    table, _, left = set_back()
    limit = table.clock.limit()
    assert date_anew(table, [Row(key, "y", table.clock.version())]) == 1
    assert [name for name, cell in table.cells.items() if cell.last_modified() <= limit] == [key]
    assert date_anew(table, [Row("b", "y", table.clock.version())]) == 1 and len(left) == 1
    assert sum(left[0]) == 1 and table.redating is None


def test_a_row_that_lies_ahead_itself_or_meets_nothing_shows_nothing() -> None:
    table, _, left = set_back()
    ahead = table.clock.version() + version_at(3_000_000)
    assert date_anew(table, [Row("a", "y", ahead), Row("none", "y", table.clock.version())]) == 0
    assert left == []


def test_any_row_of_now_shows_that_a_flush_lies_ahead() -> None:
    table, _, left = set_back(flushed=True)
    assert date_anew(table, [Row("none", "y", table.clock.version())]) == 0
    assert len(left) == 1 and table.floor < table.clock.version()
    assert sum(left[0]) == 3
