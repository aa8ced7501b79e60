"""Reading the htable channel: each message, each wrong type in each field, and nothing but WireError."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmqcache.store.kamailio.wire_read import MAX_BAD_CELLS, MAX_BODY_BYTES, MAX_CELLS, read
from dmqcache.store.kamailio.wire_types import (
    Action,
    CellBatch,
    Delete,
    NumberCell,
    Reason,
    Remove,
    Set,
    SetExpire,
    SyncRequest,
    TextCell,
    WireError,
)
from dmqcache.store.table.json_bytes import MAX_ESCAPES
from dmqcache.store.table.patterns import MatchKind, MatchOn

SET = {"action": 2, "htname": "users", "cname": "alice", "type": 2, "strval": "v", "mode": 1}
SET_INTEGER = {"action": 2, "htname": "users", "cname": "n", "type": 0, "intval": -5, "mode": 1}
EXPIRE = {"action": 3, "htname": "users", "cname": "alice", "type": 0, "intval": 77, "mode": 0}
DELETE = {"action": 4, "htname": "users", "cname": "alice", "mode": 0}
REMOVE = {"action": 5, "htname": "users", "type": 2, "strval": "^k", "mode": 0}
CELL = {"htname": "users", "cname": "bob", "type": 2, "strval": "hi", "expire": 1795472400}
CELL_INTEGER = {"htname": "users", "cname": "n", "type": 0, "intval": 7, "expire": 0, "last_modified": 9}


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def refusal(body: bytes) -> str:
    with pytest.raises(WireError) as caught:
        read(body)
    assert caught.value.reason in set(Reason)
    return caught.value.reason


def batch(body: bytes) -> CellBatch:
    answer = read(body)
    assert isinstance(answer, CellBatch)
    return answer


# -- what is understood ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ({"action": 1}, SyncRequest()),
        ({"action": 1, "htname": "users"}, SyncRequest("users")),
        ({"action": 1, "htname": ""}, SyncRequest()),
        (SET, Set("users", "alice", "v", None, 1)),
        (SET_INTEGER, Set("users", "n", -5)),
        (SET | {"last_modified": 1795468607415}, Set("users", "alice", "v", 1795468607415)),
        (SET | {"mode": 0}, Set("users", "alice", "v", None, 0)),
        (SET | {"cname": ""}, Set("users", "", "v")),
        (EXPIRE, SetExpire("users", "alice", 77)),
        (EXPIRE | {"intval": 0}, SetExpire("users", "alice", 0)),
        (EXPIRE | {"intval": -1}, SetExpire("users", "alice", 0)),
        (DELETE, Delete("users", "alice")),
        (REMOVE, Remove("users", MatchKind.REGEX, MatchOn.NAME, "^k")),
        (REMOVE | {"mode": 1}, Remove("users", MatchKind.REGEX, MatchOn.VALUE, "^k")),
        (REMOVE | {"action": 6}, Remove("users", MatchKind.PREFIX, MatchOn.NAME, "^k")),
        (REMOVE | {"action": 7}, Remove("users", MatchKind.SUFFIX, MatchOn.NAME, "^k")),
        (REMOVE | {"action": 8}, Remove("users", MatchKind.CONTAINS, MatchOn.NAME, "^k")),
    ],
)
def test_reads_each_action(body: dict[str, Any], meant: Action) -> None:
    assert read(encode(body)) == meant
    assert read(encode(dict(reversed(body.items())))) == meant, "fields may come in any order"
    assert read(encode(body | {"of_a_later_version": {"x": [1]}})) == meant, "unknown fields are ignored"
    assert read(json.dumps(body, indent=1).encode()) == meant, "white space does not matter"


def test_reads_a_batch() -> None:
    meant = [
        TextCell("users", "bob", "hi", 1795472400),
        NumberCell("users", "n", 7, 0, 9),
    ]
    assert batch(encode({"cells": [CELL, CELL_INTEGER]})) == CellBatch(meant)
    assert batch(encode({"cells": [dict(reversed(CELL.items())), CELL_INTEGER]})) == CellBatch(meant)
    assert batch(b'{"cells":[]}') == CellBatch([])


def test_cells_may_stand_anywhere_and_other_keys_beside_them_are_ignored() -> None:
    for body in (
        {"cells": [CELL], "deleted": [1], "zz": {"cells": 1}},
        {"zz": 1, "cells": [CELL]},
        {"action": 2, "cells": [CELL]},
    ):
        assert batch(encode(body)).cells == [TextCell("users", "bob", "hi", 1795472400)]


def test_unknown_fields_in_a_cell_are_ignored() -> None:
    assert batch(encode({"cells": [CELL | {"flags": 1}]})).cells == [
        TextCell("users", "bob", "hi", 1795472400)
    ]


def test_integers_reach_from_end_to_end_of_64_bits() -> None:
    for value in (-(2**63), 2**63 - 1, 0, 2**31):
        assert read(encode(SET_INTEGER | {"intval": value})) == Set("users", "n", value)
        cell = CELL_INTEGER | {"intval": value}
        assert batch(encode({"cells": [cell]})).cells[0].value == value


# -- strings of bytes ------------------------------------------------------------------------------------


def test_bytes_that_are_not_utf8_come_exactly() -> None:
    body = b'{"action":2,"htname":"u","cname":"k\xe9","type":2,'
    body += b'"strval":"\xff\\u00e9\xc3\xa9\\ud83d\\ude00","mode":1}'
    assert read(body) == Set("u", "k\udce9", "\udcfféé😀")


def test_bytes_that_are_not_utf8_come_exactly_in_cells() -> None:
    body = b'{"cells":[{"htname":"u","cname":"\xff","type":2,"strval":"\\u0001\xfe","expire":0},'
    body += b'{"htname":"u","cname":"n","type":0,"intval":1,"expire":0},5]}'
    assert batch(body) == CellBatch(
        [TextCell("u", "\udcff", "\x01\udcfe", 0), NumberCell("u", "n", 1, 0)], ["wrong_type"]
    )


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc80", "\\ud800x", "\\ud800\\ud800"])
@pytest.mark.parametrize("beside", [b"", b"\xff"])
def test_escaped_lone_surrogates_are_refused(escape: str, beside: bytes) -> None:
    for field in (b"htname", b"cname", b"strval", b"zz"):
        body = encode(SET | {"zz": "v"})
        value = encode((SET | {"zz": "v"})[field.decode()])
        body = body.replace(b'"%b":%b' % (field, value), b'"%b":"%b%b"' % (field, beside, escape.encode()))
        assert refusal(body) == "malformed_json"


# -- what is refused -------------------------------------------------------------------------------------

_WRONG: list[Any] = [None, True, False, 1.0, 1.5, -0.0, [], {}, [1], {"a": 1}]
_WRONG_FOR_TEXT: list[Any] = [*_WRONG, 0, 1, -1]
_WRONG_FOR_INTEGER: list[Any] = [*_WRONG, "", "1", "x"]
_TEXTS = ("htname", "cname", "strval")


@pytest.mark.parametrize("message", [{"action": 1, "htname": "a"}, SET, SET_INTEGER, EXPIRE, DELETE, REMOVE])
def test_every_wrong_type_in_every_field_of_an_action_is_refused(message: dict[str, Any]) -> None:
    for field in message:
        for wrong in _WRONG_FOR_TEXT if field in _TEXTS else _WRONG_FOR_INTEGER:
            assert refusal(encode(message | {field: wrong})) == "wrong_type", (field, wrong)
    for wrong in _WRONG_FOR_INTEGER:
        assert refusal(encode(message | {"last_modified": wrong})) == "wrong_type"


@pytest.mark.parametrize("cell", [CELL, CELL_INTEGER])
def test_every_wrong_type_in_every_field_costs_only_its_cell(cell: dict[str, Any]) -> None:
    good = TextCell("users", "bob", "hi", 1795472400)
    for field in cell:
        for wrong in _WRONG_FOR_TEXT if field in _TEXTS else _WRONG_FOR_INTEGER:
            answer = batch(encode({"cells": [CELL, cell | {field: wrong}, CELL]}))
            assert answer == CellBatch([good, good], ["wrong_type"]), (field, wrong)


@pytest.mark.parametrize("wrong", [*_WRONG_FOR_TEXT, "x"])
def test_cells_that_are_no_objects_cost_only_themselves(wrong: Any) -> None:
    if isinstance(wrong, dict):
        return
    assert batch(encode({"cells": [wrong, CELL]})) == CellBatch(
        [TextCell("users", "bob", "hi", 1795472400)], ["wrong_type"]
    )


@pytest.mark.parametrize("wrong", [*[wrong for wrong in _WRONG if not isinstance(wrong, list)], 1, "x"])
def test_cells_must_be_an_array(wrong: Any) -> None:
    assert refusal(encode({"cells": wrong})) == "wrong_type"


@pytest.mark.parametrize("message", [SET, SET_INTEGER, EXPIRE, DELETE, REMOVE])
def test_every_needed_field_is_missed(message: dict[str, Any]) -> None:
    for field in message:
        less = {key: value for key, value in message.items() if key != field}
        if field == "action":
            assert refusal(encode(less)) == "missing_action"
        elif field != "mode" and (field != "type" or message["action"] == 2):
            assert refusal(encode(less)) == "missing_field", field


@pytest.mark.parametrize("cell", [CELL, {**CELL_INTEGER, "last_modified": 1}])
def test_a_missing_field_costs_only_its_cell(cell: dict[str, Any]) -> None:
    for field in cell:
        if field == "last_modified":
            continue
        less = {key: value for key, value in cell.items() if key != field}
        answer = batch(encode({"cells": [less, CELL]}))
        assert (len(answer.cells), answer.bad) == (1, ["missing_field"]), field


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": 1}, "unknown_type"),
        ({"type": 3}, "unknown_type"),
        ({"type": -2}, "unknown_type"),
        ({"type": 0}, "missing_field"),
        ({"last_modified": 0}, "integer_out_of_range"),
        ({"last_modified": -1}, "integer_out_of_range"),
        ({"last_modified": 2**63}, "integer_out_of_range"),
    ],
)
def test_values_that_have_no_meaning_are_refused(change: dict[str, Any], reason: str) -> None:
    assert refusal(encode(SET | change)) == reason
    assert batch(encode({"cells": [CELL | change]})).bad == [reason]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (EXPIRE | {"type": 2}, "unknown_type"),
        (REMOVE | {"type": 0}, "unknown_type"),
        (REMOVE | {"mode": 2}, "unknown_mode"),
        (REMOVE | {"mode": -1}, "unknown_mode"),
        (SET | {"action": 0}, "unknown_action"),
        (SET | {"action": 9}, "unknown_action"),
        (SET | {"action": -1}, "unknown_action"),
        ({"action": 7, "htname": "users", "mode": 0}, "missing_field"),  # as Kamailio 6 sends it
        ({}, "missing_action"),
        ({"zz": 1}, "missing_action"),
    ],
)
def test_actions_that_have_no_meaning_are_refused(body: dict[str, Any], reason: str) -> None:
    assert refusal(encode(body)) == reason


@pytest.mark.parametrize(
    "digits", ["9223372036854775808", "-9223372036854775809", "1" + "0" * 30, "9" * 5000]
)
def test_integers_beyond_64_bits_are_refused(digits: str) -> None:
    for field in ("action", "type", "intval", "mode"):
        body = encode(SET_INTEGER | {field: "@"}).replace(b'"@"', digits.encode())
        assert refusal(body) == "integer_out_of_range", field
    for field in ("intval", "expire"):
        body = encode({"cells": [CELL_INTEGER | {field: "@"}]}).replace(b'"@"', digits.encode())
        assert batch(body).bad == ["integer_out_of_range"], field


def test_long_numbers_where_nobody_looks_do_no_harm() -> None:
    body = encode(DELETE | {"zz": "@"}).replace(b'"@"', b"9" * 5000)
    assert read(body) == Delete("users", "alice")


@pytest.mark.parametrize("root", [b"[]", b"[1]", b"1", b"1.5", b"null", b"true", b'"x"', b'"cells"'])
def test_the_root_must_be_an_object(root: bytes) -> None:
    assert refusal(root) == "not_an_object"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"cells":[',
        b'{"cells":[]',
        b'{"cells":[]}}',
        b'{"cells":[{"htname":"a","cname":"b","type":2,"strval":"c","expire":0},]}',
        b'{"action":1}x',
        b'{"action":1}\0',
        b'{"action":01}',
        b'{"action":+1}',
        b'{"action":1,}',
        b"{'action':1}",
        b"{action:1}",
        b'{"action":NaN}',
        b'{"action":2,"strval":"a\nb"}',
        b'{"action":2,"strval":"a\0b"}',
        b'{"action":2,"strval":"\\x41"}',
        b'{"action":2,"strval":"\\u12"}',
        b'{"action":2,"strval":"abc',
        b"\xef\xbb\xbf{}",
        b"\xff",
        b" ",
        b"not json",
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refusal(body) == "malformed_json"


@pytest.mark.parametrize("opening", [b'{"x":', b'{"cells":', b'{"cells":[{"htname":', b'{"action":1,"x":'])
@pytest.mark.parametrize("nest", [b"[", b'{"a":'])
def test_deep_nesting_is_refused(opening: bytes, nest: bytes) -> None:
    # An object for ``cells`` is refused before anybody looks into it.
    reason = "wrong_type" if (opening, nest) == (b'{"cells":', b'{"a":') else "nested_too_deep"
    assert refusal(opening + nest * 100_000) == reason
    closing = (b"]" if nest == b"[" else b"}") * 100_000
    assert refusal(opening + nest * 100_000 + b"1" + closing) == reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"action":1,"action":1}',
        b'{"action":1,"htname":"a","htname":"a"}',
        b'{"action":1,"htname":"a","htn\\u0061me":"a"}',
        b'{"action" :1, "action" :1}',
        b'{"action":1,"action"\n:1}',
        b'{"action":1,"zz":1,"zz":1}',
        b'{"action":1,"zz":{"a":1,"a":1}}',
        b'{"cells":[],"cells":[]}',
        b'{"cells":[],"zz":1,"zz":1}',
        b'{"cells":[{"htname":"a","cname":"b","type":0,"intval":1,"expire":0,"expire":0}]}',
        b'{"cells":[{"htname":"a","cname":"b","type":0,"intval":1,"expire":0,"expire"\t:0}]}',
        b'{"cells":[{"htname":"a:","cname":"b","type":0,"intval":1,"expire":0,"htname":"a:"}]}',
        b'{"cells":[{"htname":"a","htname":"\xff","cname":"b","type":0,"intval":1,"expire":0}]}',
        b'{"cells":[{"htname":1,"htname":"a","cname":"b","type":0,"intval":1,"expire":0}]}',
    ],
)
def test_a_key_that_is_there_twice_is_refused(body: bytes) -> None:
    assert refusal(body) == "duplicate_key"


@pytest.mark.parametrize("text", ["sip:a@b:5060", '{"a":1}', ' "cells":', "\t:\n", "http://", "\u003a"])
def test_colons_and_quotes_in_strings_are_no_keys(text: str) -> None:
    assert read(encode(SET | {"strval": text})) == Set("users", "alice", text)
    assert batch(encode({"cells": [CELL | {"strval": text}]})).cells[0].value == text


def test_sizes_are_limited() -> None:
    assert refusal(b"") == "empty_body"
    body = b'{"action":1}'
    assert read(body.ljust(MAX_BODY_BYTES)) == SyncRequest()
    assert refusal(body.ljust(MAX_BODY_BYTES + 1)) == "body_too_long"


def test_raw_bytes_and_more_escaped_characters_than_anybody_sends_are_refused() -> None:
    body = encode(SET | {"strval": "@"})
    assert refusal(body.replace(b"@", b"\xff" + b"\\u00e9" * (MAX_ESCAPES + 1))) == "too_many_escapes"


def test_a_batch_has_no_more_cells_than_a_kamailio_can_have_sent() -> None:
    """A body of a megabyte could have ten thousand, and would hold others up for a tenth of a second."""
    cell = b'{"htname":"t","cname":"%04d","type":0,"intval":5,"expire":0}'
    cells = [cell % number for number in range(MAX_CELLS + 1)]
    assert len(b",".join(cells[: MAX_CELLS // 4])) > 59_000
    assert len(batch(b'{"cells":[%b]}' % b",".join(cells[1:])).cells) == MAX_CELLS
    for more in (b"", b",{}"):
        assert refusal(b'{"cells":[%b%b]}' % (b",".join(cells), more)) == "too_many_cells"


def test_a_body_of_bad_cells_is_given_up() -> None:
    bad = b",".join([b"{}"] * MAX_BAD_CELLS)
    assert batch(b'{"cells":[%b]}' % bad).bad == ["missing_field"] * MAX_BAD_CELLS
    assert refusal(b'{"cells":[%b,1]}' % bad) == "too_many_bad_cells"


# -- anything at all -------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*SET, *CELL, "cells", "last_modified", "x"]), inner, max_size=8)
    ),
    max_leaves=12,
)


def only_wire_errors(body: bytes) -> None:
    try:
        answer = read(body)
    except WireError as error:
        assert error.reason in set(Reason)
        return
    if isinstance(answer, CellBatch):
        assert set(answer.bad) <= set(Reason)
        texts = [text for cell in answer.cells for text in (cell.htname, cell.cname, cell.value)]
    else:
        texts = [getattr(answer, name) for name in answer.__struct_fields__]
    for text in texts:
        if isinstance(text, str):
            data = text.encode("utf-8", "surrogateescape")
            assert data.decode("utf-8", "surrogateescape") == text


@given(st.binary())
def test_any_bytes_give_a_wire_error_at_worst(body: bytes) -> None:
    only_wire_errors(body)


@given(_JSON)
def test_any_json_gives_a_wire_error_at_worst(value: Any) -> None:
    only_wire_errors(json.dumps(value).encode())


@settings(max_examples=300)
@given(
    st.sampled_from([SET, SET_INTEGER, EXPIRE, DELETE, REMOVE, {"cells": [CELL, CELL_INTEGER, CELL]}]),
    st.lists(
        st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=3
    ),
)
def test_damaged_messages_give_a_wire_error_at_worst(
    message: dict[str, Any], wounds: list[tuple[int, bytes, int]]
) -> None:
    body = encode(message)
    for at, put, cut in wounds:
        at %= len(body) + 1
        body = body[:at] + put + body[at + cut :]
    only_wire_errors(body)
