"""A cell as a row and back: nothing of it is lost, and nothing hostile gets past the check."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.cell import DEFAULT_TTL, EXPIRED, PROVISIONAL, UNTIMED
from dmqcache.store.table.counts import Share
from dmqcache.store.table.row import BYTES, Row, RowError, check_row, escaped, row_of
from tests.store.fixtures import make_table, rows_of


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@given(st.binary(min_size=1, max_size=20), st.binary(max_size=20))
def test_any_bytes_come_through_spelt_out_where_utf8_cannot_hold_them(key: bytes, value: bytes) -> None:
    row = msgspec.convert(escaped((text(key), text(value), 5)), Row)
    check_row(row)
    assert row == Row(text(key), text(value), 5)


def test_a_cell_becomes_a_row_and_nothing_of_it_is_lost() -> None:
    table, hands = make_table("t=>autoexpire=60")
    table.set("plain", "x", 0)
    table["timed"] = "y"
    table.set("gone", "z", 0)
    del table["gone"]
    table.incr("n", 5)
    hands.seconds += 10
    stamps = {key: cell.stamp for key, cell in table.cells.items()}
    plain, timed, gone, number = rows_of(table, "plain", "timed", "gone", "n")
    assert plain == Row("plain", "x", stamps["plain"])
    assert timed == Row("timed", "y", stamps["timed"], 60_000, 50_000, DEFAULT_TTL)
    assert gone == Row("gone", None, stamps["gone"])
    assert (number.value, number.left, next(iter((number.shares or {}).values())).total) == (0, 50_000, 5)
    assert row_of(table.cells["timed"], hands.now() + 1000)[4] == 0


@pytest.mark.parametrize(
    "row",
    [
        Row("", "v", 1),
        Row("\u0121", "v", 1, flags=BYTES),
        Row("k", "v", 1, shares={"a": Share(1, 1)}),
        Row("k", None, 1, shares={"a": Share(1, 1)}),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_by_name(row: Row) -> None:
    with pytest.raises(RowError) as refused:
        check_row(row)
    assert refused.value.reason == "bad_row"


def test_flags_of_another_version_are_left_out_and_a_value_is_never_expired() -> None:
    known = PROVISIONAL | DEFAULT_TTL
    value, tombstone = Row("k", "v", 1, flags=0xD0 | known | EXPIRED), Row("k", None, 1, flags=EXPIRED)
    check_row(value)
    check_row(tombstone)
    assert (value.flags, tombstone.flags) == (known, EXPIRED)


def test_only_what_lives_for_ever_can_be_from_one_who_keeps_no_times() -> None:
    rows = [
        Row("k", "v", 1, 0, 0, UNTIMED),
        Row("k", "v", 1, 5, 5, UNTIMED),
        Row("k", None, 1, 0, 0, UNTIMED),
    ]
    rows.append(Row("k", 1, 1, 0, 0, UNTIMED, {"a": Share(1, 1)}))
    for row in rows:
        check_row(row)
    assert [row.flags for row in rows] == [UNTIMED, 0, 0, 0]
