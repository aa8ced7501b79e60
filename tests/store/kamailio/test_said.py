"""Two states of a key are the same if both version and value are."""

from __future__ import annotations

from dmqcache.store.kamailio.said import what_is
from dmqcache.store.table.cell import Cell


def test_the_same_version_with_another_value_is_something_else() -> None:
    assert what_is(None) is None
    assert what_is(Cell("a", 1, "x", 7)) == what_is(Cell("a", 1, "x", 7)) == (7, "x")
    others = [Cell("a", 1, "y", 7), Cell("a", 1, "x", 8), Cell("a", 1, None, 7)]
    assert all(what_is(other) != what_is(Cell("a", 1, "x", 7)) for other in others)
