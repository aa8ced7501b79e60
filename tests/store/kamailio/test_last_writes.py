"""What is remembered of a Kamailio's last writes, and for how long."""

from __future__ import annotations

import pytest

from dmqcache.store.kamailio.last_writes import MAX_EARLIER, MAX_VALUE, MAX_WRITES, Content, LastWrites
from dmqcache.store.kamailio.overtaking import KEPT_S, Sent
from dmqcache.store.table.cell import DEFAULT_TTL, NEVER, Cell


def cell(key: str, value: str | int | None, version: int, ttl: int = 0, flags: int = 0) -> Cell:
    return Cell(key, 0, value, version, ttl, NEVER, flags)


def test_a_write_is_known_as_long_as_the_cell_has_its_version() -> None:
    writes = LastWrites()
    writes.note(cell("a", "x", 7), "k", Sent(5.0))
    writes.note(cell("b", "x", 7), "k", None)
    assert writes.sent(cell("a", "x", 7), "k", 1000.0) == Sent(5.0)
    assert writes.sent(cell("a", "y", 8), "k", 5.0) is None
    assert writes.sent(cell("a", "x", 7), "other", 5.0) is writes.sent(cell("b", "x", 7), "k", 5.0) is None


def test_a_write_that_another_node_has_dated_is_known_by_its_value_for_a_while() -> None:
    writes = LastWrites()
    writes.note(cell("a", "x", 7), "k", Sent(5.0))
    assert writes.sent(cell("a", "x", 8), "k", 5.0 + KEPT_S) == Sent(5.0)
    assert writes.sent(cell("a", "x", 8), "k", 5.1 + KEPT_S) is None


def test_only_so_many_writes_are_remembered() -> None:
    writes = LastWrites()
    for number in range(MAX_WRITES + 1):
        writes.note(cell(f"k{number}", "x", 7), "k", Sent(5.0))
    assert writes.sent(cell("k0", "x", 7), "k", 5.0) is None
    assert writes.sent(cell("k1", "x", 7), "k", 5.0) == Sent(5.0)


SECONDS = [
    cell("a", "second", 8),
    cell("a", "first", 8, ttl=5_000),
    cell("a", None, 8),
    cell("a", 1, 8),
]


@pytest.mark.parametrize("second", SECONDS, ids=["value", "time", "delete", "type"])
def test_of_two_writes_the_second_is_later_than_the_first_whatever_version_that_has(second: Cell) -> None:
    writes = LastWrites()
    writes.note(cell("a", "first", 7, ttl=3_600_000, flags=DEFAULT_TTL), "k", Sent(5.0))
    writes.note(cell("a", "1", 7), "k", Sent(5.0))
    writes.note(second, "k", Sent(5.0001))
    held = cell("a", "first", 99, ttl=3_600_000, flags=DEFAULT_TTL)
    assert writes.later_than(held, 5.0 + KEPT_S) == Content(second.value, second.ttl, NEVER, 0)
    assert writes.later_than(cell("a", "1", 99), 5.0 + KEPT_S)
    assert writes.later_than(held, 5.1 + KEPT_S) is None
    # What it wrote itself is not older, nor what it never wrote, nor another key.
    assert writes.later_than(second, 5.0) is None
    assert writes.later_than(cell("a", "another", 99), 5.0) is None
    assert writes.later_than(cell("b", "first", 99), 5.0) is None


def test_what_another_wrote_between_makes_the_first_unknown() -> None:
    writes = LastWrites()
    writes.note(cell("a", "first", 7), "k", Sent(5.0))
    writes.note(cell("a", "other", 8), "another", Sent(5.1))
    assert writes.later_than(cell("a", "first", 99), 5.2) is None


def test_of_many_writes_the_last_few_are_known() -> None:
    writes = LastWrites()
    for number in range(MAX_EARLIER + 2):
        writes.note(cell("a", f"v{number}", number), "k", Sent(5.0 + number / 10))
    assert writes.later_than(cell("a", "v0", 99), 6.0) is None
    assert writes.later_than(cell("a", "v1", 99), 6.0) is not None


def test_a_long_value_is_not_kept() -> None:
    writes = LastWrites()
    writes.note(cell("a", "first", 7), "k", Sent(5.0))
    writes.note(cell("a", "x" * (MAX_VALUE + 1), 8), "k", Sent(5.1))
    assert writes.later_than(cell("a", "first", 99), 5.2) is None
    assert writes.sent(cell("a", "x" * (MAX_VALUE + 1), 99), "k", 5.2) == Sent(5.1)
