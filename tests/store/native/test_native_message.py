"""The ``dmqcache`` channel's messages: what goes out comes back, and nothing hostile gets past the reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.native.native_courier import MOST_CELLS
from dmqcache.store.native.native_message import (
    MAX_PARTS,
    MAX_ROWS,
    Answer,
    Done,
    NativeMessage,
    Part,
    Summary,
    Want,
    decode,
    decode_answer,
    encode,
    encode_rows,
)
from dmqcache.store.table.cell import DEFAULT_TTL, EXPIRED, PROVISIONAL
from dmqcache.store.table.counts import Share
from dmqcache.store.table.row import BYTES, Row, RowError, escaped

FULL = NativeMessage(
    rows={"t": [Row("k", "v", 1, 2, 3, DEFAULT_TTL), Row("n", 4, 1, shares={"a": Share(3, -2)})]},
    floors={"t": 9},
    repair=True,
    ask={"t": [(1, 2)], "u": []},
    want=Want(1, "t", [Part(2, 255, [(1 << 64) - 1])]),
    done=Done(1, [5]),
)
ANSWER = Answer(5, True, {"t": Summary(1, 2, 3, [[1 << 63] * 16], (1 << 64) - 1)}, 7, False)


def test_everything_that_is_written_is_read_the_same() -> None:
    assert decode(encode(FULL)) == FULL
    assert decode(encode(NativeMessage())) == NativeMessage()
    assert decode_answer(encode(ANSWER)) == ANSWER
    assert encode(Answer(5)) == b'{"now":5}'


def test_the_short_way_of_writing_rows_is_read_as_the_long_one() -> None:
    rows: dict[str, list[tuple[object, ...]]] = {"t": [("k", "v", 1)]}
    assert decode(encode_rows(rows, {}, False)) == NativeMessage(rows={"t": [Row("k", "v", 1)]})
    assert decode(encode_rows(rows, {"t": 3}, True)) == NativeMessage(
        rows={"t": [Row("k", "v", 1)]}, floors={"t": 3}, repair=True
    )


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@given(st.binary(min_size=1, max_size=20), st.binary(max_size=20))
def test_any_bytes_come_through_spelt_out_where_utf8_cannot_hold_them(key: bytes, value: bytes) -> None:
    row = escaped((text(key), text(value), 5))
    assert decode(encode_rows({"t": [row]}, {}, False)).rows["t"] == [Row(text(key), text(value), 5)]


def message(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def row(*parts: Any) -> bytes:
    return message(rows={"t": [parts]})


HUGE = 10**30
HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "a second value": b'{"repair":true}{"repair":true}',
    "not UTF-8": b'{"rows":{"\xff":[]}}',
    "half a surrogate pair": b'{"rows":{"t":[["\\ud800","x",1]]}}',
    "nested without end": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested and torn": b'{"rows":{"t":' + b"[" * 100_000,
    "rows: list": message(rows=[]),
    "rows: null": message(rows=None),
    "row: object": message(rows={"t": [{}]}),
    "row: too short": row("k", "v"),
    "key: empty": row("", "v", 1),
    "key: number": row(5, "v", 1),
    "key: null": row(None, "v", 1),
    "value: fraction": row("k", 1.5, 1),
    "value: bool": row("k", True, 1),
    "value: list": row("k", [], 1),
    "value: 65 bits": row("k", 1 << 63, 1),
    "stamp: text": row("k", "v", "1"),
    "stamp: negative": row("k", "v", -1),
    "stamp: beyond time": row("k", "v", HUGE),
    "ttl: negative": row("k", "v", 1, -1),
    "ttl: beyond time": row("k", "v", 1, HUGE),
    "left: negative": row("k", "v", 1, 1, -1),
    "flags: text": row("k", "v", 1, 1, 1, "x"),
    "bytes that are none": row("ġ", "v", 1, 0, 0, BYTES),
    "shares: of a text": row("k", "v", 1, 0, 0, 0, {"a": [1, 1]}),
    "shares: of a tombstone": row("k", None, 1, 0, 0, 0, {"a": [1, 1]}),
    "shares: list": row("k", 1, 1, 0, 0, 0, [1]),
    "shares: short": row("k", 1, 1, 0, 0, 0, {"a": [1]}),
    "shares: huge": row("k", 1, 1, 0, 0, 0, {"a": [1, HUGE]}),
    "shares: negative version": row("k", 1, 1, 0, 0, 0, {"a": [-1, 1]}),
    "shares: beyond time": row("k", 1, 1, 0, 0, 0, {"a": [HUGE, 1]}),
    "floors: text": message(floors={"t": "1"}),
    "floors: negative": message(floors={"t": -1}),
    "floors: huge": message(floors={"t": HUGE}),
    "repair: number": message(repair=1),
    "ask: beyond depth": message(ask={"t": [[5, 0]]}),
    "ask: negative": message(ask={"t": [[-1, 0]]}),
    "ask: negative place": message(ask={"t": [[0, -1]]}),
    "ask: too many": message(ask={"t": [[0, 0]] * MAX_PARTS, "u": [[0, 0]]}),
    "want: place beyond its depth": message(want={"id": 1, "table": "t", "parts": [[1, 16, []]]}),
    "want: beyond depth": message(want={"id": 1, "table": "t", "parts": [[5, 0, []]]}),
    "want: too many": message(want={"id": 1, "table": "t", "parts": [[0, 0, []]] * (MAX_PARTS + 1)}),
    "want: no table": message(want={"id": 1, "parts": []}),
    "want: texts": message(want={"id": 1, "table": "t", "parts": [[0, 0, ["x"]]]}),
    "done: null": message(done={"id": 1, "lack": None}),
    "done: text": message(done={"id": "x"}),
}


HOSTILE_ANSWERS = {
    "nothing": b"",
    "no time": b"{}",
    "now: text": b'{"now":"1"}',
    "now: fraction": b'{"now":1.5}',
    "now: bool": b'{"now":true}',
    "now: negative": b'{"now":-1}',
    "now: beyond time": b'{"now":9999999999999}',
    "now: 5,000 digits": b'{"now":' + b"9" * 5000 + b"}",
    "sums: text": message(now=1, sums={"t": {"cells": 1, "floor": 0, "depth": 2, "sums": [["x"]]}}),
    "sums: depth": message(now=1, sums={"t": {"cells": 1, "floor": 0, "depth": -1}}),
    "sums: cells": message(now=1, sums={"t": {"cells": -1, "floor": 0, "depth": 2}}),
    "waiting: negative": message(now=1, waiting=-5),
    "ahead: number": message(now=1, ahead=1),
}


@pytest.mark.parametrize("name", HOSTILE_ANSWERS)
def test_what_is_wrong_in_any_field_of_an_answer_is_refused(name: str) -> None:
    with pytest.raises(RowError) as refused:
        decode_answer(HOSTILE_ANSWERS[name])
    assert refused.value.reason == "bad_answer"


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_in_any_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(RowError) as refused:
        decode(HOSTILE[name])
    assert refused.value.reason in {"bad_message", "bad_row", "bad_part"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_in_any_field_is_read_or_refused(value: Any) -> None:
    for field in ("rows", "floors", "repair", "ask", "want", "done"):
        for body in (message(**{field: value}), row("k", value, 1), row(value, "v", 1, value, value)):
            try:
                decode(body)
            except RowError as error:
                assert error.reason in {"bad_message", "bad_row", "bad_part"}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for each in (body, b'{"repair":false,' + body + b"}"):
        try:
            decode(each)
        except RowError:
            continue


def test_flags_of_another_version_are_left_out_and_a_value_is_never_expired() -> None:
    known = PROVISIONAL | DEFAULT_TTL
    assert decode(row("k", "v", 1, 0, 0, 0xD0 | known | EXPIRED)).rows["t"][0].flags == known
    assert decode(row("k", None, 1, 0, 0, EXPIRED)).rows["t"][0].flags == EXPIRED


def test_fields_of_another_version_are_no_error() -> None:
    assert decode(message(new={"a": [1]}, rows={"t": [["k", "v", 1, 0, 0, 0, None, "new"]]})).rows["t"] == [
        Row("k", "v", 1)
    ]


def test_more_rows_than_a_node_sends_at_once_are_none() -> None:
    """A message of a few megabytes would hold everybody up for a second."""
    assert 2 * MOST_CELLS <= MAX_ROWS
    for count, tables in ((MAX_ROWS, 1), (MAX_ROWS // 2, 2)):
        row = [Row("k", 1, 5)]
        rows = {f"t{number}": row * count for number in range(tables)}
        assert decode(encode(NativeMessage(rows=rows))).rows == rows
        rows["one more"] = row
        with pytest.raises(RowError, match=f"more than {MAX_ROWS} rows") as refused:
            decode(encode(NativeMessage(rows=rows)))
        assert refused.value.reason == "bad_message"
