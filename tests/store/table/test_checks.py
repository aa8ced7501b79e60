"""Keys and values that a table takes or refuses, seen through a table: what is refused changes nothing."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.checks import MAX_KEY_LENGTH, as_integer, canonical
from dmqcache.store.table.counts import MAX_INTEGER
from dmqcache.store.table.listener import TableLimits
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from tests.store.fixtures import books, make_table


@given(st.binary(max_size=40))
def test_any_bytes_survive(value: bytes) -> None:
    table, _ = make_table()
    table["k"] = value
    held = table["k"]
    assert isinstance(held, str)
    assert held.encode("utf-8", "surrogateescape") == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "x"),
        ("k" * (MAX_KEY_LENGTH + 1), "x"),
        ("k", None),
        ("k", 1.5),
        ("k", True),
        ("k", MAX_INTEGER + 1),
        ("k", "x" * (1 << 21)),
    ],
)
def test_what_no_table_holds_is_refused_and_changes_nothing(key: str, value: object) -> None:
    table, _ = make_table()
    with pytest.raises(ValueError):
        table.set(key, value)  # type: ignore[arg-type]
    assert len(table) == 0
    assert not table.cells


@pytest.mark.parametrize("value", ["x", "1.5", "", "--1", "9" * 30, "\udcff1", "²"])
def test_what_is_no_integer_is_not_incremented(value: str) -> None:
    table, _ = make_table()
    table["a"] = value
    with pytest.raises(ValueError, match="not an integer"):
        table.incr("a")
    assert table["a"] == value


@pytest.mark.parametrize("held", [None, "x", 5])
@pytest.mark.parametrize("bad", ["\ud800", "a\udfff", "\ud83d\ude00"])
def test_a_surrogate_that_is_no_byte_is_refused_and_changes_nothing(held: str | int | None, bad: str) -> None:
    table, _ = make_table()
    if held is not None:
        table["a"] = held
    if held == 5:
        table.incr("a")
    before = books(table)
    with pytest.raises(ValueError, match="surrogate"):
        table["a"] = bad
    with pytest.raises(ValueError, match="surrogate"):
        table[bad] = "x"
    with pytest.raises(ValueError, match="surrogate"):
        table.incr(bad)
    assert books(table) == before
    assert table.get("a") == (6 if held == 5 else held)


def test_one_sequence_of_bytes_is_one_text() -> None:
    table, _ = make_table()
    parts = "\udcc3" + "\udca9"
    table["a"] = parts
    assert table["a"] == "é"
    with pytest.raises(ValueError, match="UTF-8"):
        table[parts] = "x"


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    TWO = 2


def test_a_subclass_of_a_text_or_an_integer_is_kept_as_what_it_is() -> None:
    table, _ = make_table()
    table["a"] = Colour.RED
    table["n"] = Number.TWO
    table[Colour.RED] = "x"
    assert [type(table[key]) for key in ("a", "n")] == [str, int]
    assert {type(key) for key in table} == {str}
    for key in list(table):
        del table[key]
    assert table.text_bytes == 0


@pytest.mark.parametrize("key", [b"k", 5, None, ""])
def test_what_is_no_key_is_refused(key: Any) -> None:
    table, _ = make_table()
    with pytest.raises(ValueError, match="a key"):
        table[key] = "x"
    with pytest.raises(ValueError, match="a key"):
        table.incr(key)
    assert not table.cells


def test_a_small_limit_holds_for_small_values() -> None:
    table = Table(TableSettings("t"), make_table()[0].clock, limits=TableLimits(max_value_bytes=12))
    table["a"] = "0123456789"
    for value in ("0123456789ab", "\x01" * 3):
        with pytest.raises(ValueError, match="at most 12 bytes"):
            table["a"] = value
    assert table["a"] == "0123456789"


@given(st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_the_one_text_for_some_bytes_is_itself_and_made_of_those_bytes(text: str) -> None:
    pieces = "".join(
        chr(0xDC00 + byte) if byte > 127 else chr(byte) for byte in text.encode("utf-8", "surrogateescape")
    )
    assert canonical(text) == canonical(pieces) == text


@pytest.mark.parametrize("number", [0, 1, -1, MAX_INTEGER, -MAX_INTEGER - 1])
def test_an_integer_is_read_from_its_text(number: int) -> None:
    assert as_integer(number) == as_integer(str(number)) == number
