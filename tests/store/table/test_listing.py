"""A table's keys in pieces, none of which sorts in more than a few, whatever happens between two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmqcache.store.table.listing import SORTED_AT_ONCE, listed
from dmqcache.store.table.order import KeyOrder
from tests.store.fixtures import make_table

COUNT = 10 * SORTED_AT_ONCE


@pytest.fixture
def sorted_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many keys were sorted in or taken out at once, at most, since it was last asked."""
    most = 0

    def noting(name: str) -> Callable[..., object]:
        settle = getattr(KeyOrder, name)

        def settling(order: KeyOrder, *args: int) -> object:
            nonlocal most
            before = len(order._born) + len(order._died)
            result = settle(order, *args)
            most = max(most, before - len(order._born) - len(order._died))
            return result

        return settling

    for name in ("settle_some", "_settle"):
        monkeypatch.setattr(KeyOrder, name, noting(name))

    def ask() -> int:
        nonlocal most
        asked, most = most, 0
        return asked

    return ask


def test_keys_come_in_their_order_and_are_sorted_in_some_at_a_time(sorted_in: Callable[[], int]) -> None:
    table, _ = make_table()
    for number in range(COUNT):
        table[f"k{number * 7 % COUNT:05}"] = "x"
    found: list[str] = []
    for keys in listed(table, 30):
        assert len(keys) <= 30 and sorted_in() <= SORTED_AT_ONCE
        found += keys
    assert found == sorted(table.cells)
    assert [key for keys in listed(table, 30, "k0001") for key in keys] == [f"k{n:05}" for n in range(10, 20)]


def test_what_is_written_and_deleted_meanwhile_is_sorted_some_at_a_time_too(
    sorted_in: Callable[[], int],
) -> None:
    table, _ = make_table()
    for number in range(COUNT):
        table[f"k{number:05}"] = "x"
    found: list[str] = []
    for keys in listed(table, 30):
        # So many came, and so many went.
        assert sorted_in() <= 2 * SORTED_AT_ONCE
        if keys and not found:
            for number in range(0, COUNT, 2):
                table.delete(f"k{number:05}")
                table[f"l{number:05}"] = "x"
        found += keys
    assert len(found) == len(set(found))
    assert set(table) <= set(found)


def test_an_empty_table_is_one_empty_piece() -> None:
    table, _ = make_table()
    assert list(listed(table, 3)) == [[]]
