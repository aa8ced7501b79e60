"""A key that is there twice is found without looking at each object, where a body is long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.kamailio import wire_keys
from dmqcache.store.kamailio.wire_keys import FEW_TOKENS, SHORT_BYTES, is_soon_looked_through
from dmqcache.store.kamailio.wire_read import MAX_CELLS, read
from dmqcache.store.kamailio.wire_types import Action, CellBatch, Set, WireError
from dmqcache.store.table.json_bytes import DuplicateKey, refuse_duplicates

SET = {"action": 2, "htname": "u", "cname": "k", "type": 2, "strval": "v", "mode": 1}
CELL = {"htname": "u", "cname": "k", "type": 2, "strval": "v", "expire": 0}
NUMBER = {"htname": "u", "cname": "k", "type": 0, "intval": 5, "expire": 0, "last_modified": 7}
LONG = "x" * SHORT_BYTES


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each body of which each object was looked at."""
    seen: list[int] = []

    def counted(body: bytes) -> None:
        seen.append(len(body))
        refuse_duplicates(body)

    monkeypatch.setattr(wire_keys, "refuse_duplicates", counted)
    return seen


def answer(body: bytes) -> Action | CellBatch | str:
    try:
        return read(body)
    except WireError as error:
        return error.reason


# -- what Kamailio sends ------------------------------------------------------------------------------------


@given(st.lists(st.text() | st.sampled_from(['{"a":1}', '":', '\\":\\', 'x\\"', "sip:a@b", '"\\\\"'])))
def test_no_object_of_what_has_no_other_keys_is_looked_at(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire_keys, "refuse_duplicates", lambda body: pytest.fail("looked at"))
        for indent in (None, 1):
            for text in texts:
                said = json.dumps(
                    SET | {"strval": text, "cname": text[:3]}, indent=indent, ensure_ascii=False
                )
                assert read(said.encode("utf-8", "surrogatepass")) == Set("u", text[:3], text)
            cells = [NUMBER, *(CELL | {"strval": text, "cname": text} for text in texts)]
            batch = read(json.dumps({"cells": cells}, indent=indent).encode())
            assert isinstance(batch, CellBatch)
            assert [cell.value for cell in batch.cells] == [5, *texts]


_KEYS = st.sampled_from(["strval", "cname", "zz", "intval", "last_modified", "a:", 'b"'])


@given(st.lists(st.tuples(_KEYS, st.text(max_size=3) | st.integers(1, 5)), max_size=4), st.booleans())
def test_what_is_refused_is_what_names_a_key_twice(more: list[tuple[str, Any]], in_cell: bool) -> None:
    pairs = [*(CELL if in_cell else SET).items(), *more]
    text = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}"
    body = ('{"cells":[' + text + "]}" if in_cell else text).encode()
    twice = False
    try:
        refuse_duplicates(body)
    except DuplicateKey:
        twice = True
    assert (answer(body) == "duplicate_key") is twice or answer(body) == "wrong_type"


# -- what is longer than anything that comes by UDP ---------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        SET | {"strval": LONG, "zz": {"a": [1, {"b": 2}]}},
        {"cells": [CELL | {"strval": LONG, "zz": 1}, NUMBER]},
    ],
)
def test_a_long_body_of_a_later_release_is_understood_and_its_objects_are_not_looked_at(
    body: dict[str, Any], looked: list[int]
) -> None:
    assert not isinstance(answer(json.dumps(body).encode()), str)
    assert looked == []


@pytest.mark.parametrize("more", ['"cname":"b"', '"cn\\u0061me":"b"', '"zz":1,"cname":"b"', '"zz":"cname"'])
@pytest.mark.parametrize("in_cells", [False, True])
def test_in_a_long_body_what_may_be_a_key_twice_is_refused(
    more: str, in_cells: bool, looked: list[int]
) -> None:
    text = json.dumps((CELL if in_cells else SET) | {"strval": LONG})[:-1] + f",{more}}}"
    body = f'{{"cells":[{text}]}}' if in_cells else text
    assert answer(body.encode()) == "duplicate_key"
    assert looked == []


def test_a_long_batch_with_something_wrong_is_read_cell_by_cell_only_if_there_are_few_values() -> None:
    """A Kamailio's batch has 60,000 bytes and some hundred cells, or a long value more."""
    few = json.dumps({"cells": [0, *[CELL] * 900, CELL | {"strval": LONG}]}).encode()
    assert len(few) > SHORT_BYTES and is_soon_looked_through(few)
    batch = answer(few)
    assert isinstance(batch, CellBatch) and (len(batch.cells), batch.bad) == (901, ["wrong_type"])
    assert answer(b'{"cells":[' + b"0," * FEW_TOKENS + b"0]}") == "too_many_bad_cells"
    assert answer(b'{"cells":[' + b"0," * FEW_TOKENS + b"0]") == "malformed_json"
    many = [json.dumps(CELL)] * (MAX_CELLS + 1)
    assert answer(('{"cells":[' + ",".join(many) + ",0]}").encode()) == "too_many_cells"
    assert answer(b'{"cells":{"a":[' + b"0," * FEW_TOKENS + b"0]}}") == "wrong_type"
