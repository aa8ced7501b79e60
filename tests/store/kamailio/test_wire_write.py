"""Writing the htable channel: the exact bytes of each message, and what each dialect can carry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.kamailio.dialect import KAMAILIO5, KAMAILIO6, KAMAILIO62, Dialect
from dmqcache.store.kamailio.wire_read import read
from dmqcache.store.kamailio.wire_types import (
    Cell,
    CellBatch,
    Delete,
    NumberCell,
    Remove,
    Set,
    SetExpire,
    SyncRequest,
    TextCell,
)
from dmqcache.store.kamailio.wire_write import (
    BATCH_OVERHEAD_BYTES,
    MAX_BODY_BYTES,
    SYNC_REQUEST,
    carriable,
    cell_bytes,
    join_cells,
    write_delete,
    write_expire,
    write_set,
)
from dmqcache.store.table.json_bytes import quote
from dmqcache.store.table.patterns import MatchKind, MatchOn
from dmqcache.store.table.settings import MAX_TABLE_NAME_LENGTH

VECTORS = Path(__file__).parents[2] / "vectors"
DIALECTS = [KAMAILIO5, KAMAILIO6, KAMAILIO62]

texts = st.binary(max_size=30).map(lambda data: data.decode("utf-8", "surrogateescape"))
values = st.one_of(texts, st.integers(-(2**63), 2**63 - 1))
stamps = st.none() | st.integers(1, 2**63 - 1)


def write_cells(cells: Iterable[Cell], dialect: Dialect) -> bytes:
    """A batch of cells."""
    return join_cells(
        cell_bytes(cell.htname, cell.cname, cell.value, cell.expire, cell.last_modified, dialect)
        for cell in cells
    )


# -- exact bytes -----------------------------------------------------------------------------------------


def test_a_set_in_each_dialect() -> None:
    plain = b'{"action":2,"htname":"users","cname":"a","type":2,"strval":"b","mode":1}'
    stamped = b'{"action":2,"htname":"users","cname":"a","type":2,"strval":"b","last_modified":7,"mode":1}'
    for dialect in (KAMAILIO5, KAMAILIO6):
        assert write_set("users", "a", "b", 7, dialect) == plain, "a stamp would cost the set: 400"
    assert write_set("users", "a", "b", 7, KAMAILIO62) == stamped
    assert write_set("users", "a", "b", None, KAMAILIO62) == plain
    integer = b'{"action":2,"htname":"perm","cname":"n","type":0,"intval":-5,"mode":1}'
    assert write_set("perm", "n", -5, None, KAMAILIO5) == integer


def test_text_is_written_as_kamailio_does() -> None:
    body = write_set("t", 'k"\\', "ä\udcff\n\x01/", None, KAMAILIO5)
    assert body == (
        b'{"action":2,"htname":"t","cname":"k\\"\\\\","type":2,"strval":"\xc3\xa4\xff\\n\\u0001/","mode":1}'
    )


def test_the_other_actions() -> None:
    assert write_expire("users", "ttl", 77) == (
        b'{"action":3,"htname":"users","cname":"ttl","type":0,"intval":77,"mode":0}'
    )
    assert write_delete("perm", "n") == b'{"action":4,"htname":"perm","cname":"n","mode":0}'


def test_a_time_beyond_a_c_int_is_the_longest_one() -> None:
    """Cut to 32 bits it would be negative, which Kamailio reads as for ever."""
    assert read(write_expire("t", "k", 2**31)) == SetExpire("t", "k", 2**31 - 1)


def test_a_sync_request_is_read_as_one() -> None:
    assert read(SYNC_REQUEST) == SyncRequest()


def test_a_batch_begins_with_cells_and_has_every_field_in_each_cell() -> None:
    cells = [TextCell("users", "bob", "hi", 1795472400, 9), NumberCell("perm", "n", 5, 0)]
    assert write_cells(cells, KAMAILIO5) == (
        b'{"cells":[{"htname":"users","cname":"bob","type":2,"strval":"hi","expire":1795472400},'
        b'{"htname":"perm","cname":"n","type":0,"intval":5,"expire":0}]}'
    )
    assert write_cells(cells, KAMAILIO62) == (
        b'{"cells":[{"htname":"users","cname":"bob","type":2,"strval":"hi","expire":1795472400,'
        b'"last_modified":9},{"htname":"perm","cname":"n","type":0,"intval":5,"expire":0}]}'
    )
    assert write_cells([], KAMAILIO5) == b'{"cells":[]}'


def test_batches_can_be_sized_by_their_cells() -> None:
    cells = [cell_bytes("t", f"k{i}", "ü" * i, 0, None, KAMAILIO5) for i in range(5)]
    assert len(join_cells(cells)) == BATCH_OVERHEAD_BYTES + sum(map(len, cells)) + len(cells) - 1


# -- against real nodes ----------------------------------------------------------------------------------


def captured() -> list[tuple[str, bytes]]:
    """Every htable body in the captures, with the sender's User-Agent."""
    bodies = []
    for path in sorted(VECTORS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            head, _, body = json.loads(line)["datagram"].partition("\r\n\r\n")
            if body and head.startswith("KDMQ sip:htable@"):
                agent = head.partition("User-Agent: ")[2].partition("\r\n")[0]
                bodies.append((agent, body.encode("latin-1")))
    return bodies


def removal(meant: Remove) -> bytes:
    """As a Kamailio writes it; we send a delete for each key."""
    number, mode = {MatchKind.REGEX: 5, MatchKind.PREFIX: 6}[meant.kind], int(meant.on is MatchOn.VALUE)
    return b'{"action":%d,"htname":%b,"type":2,"strval":%b,"mode":%d}' % (
        number,
        quote(meant.htname),
        quote(meant.pattern),
        mode,
    )


def rewritten(meant: Any, dialect: Dialect) -> bytes | None:
    match meant:
        case SyncRequest():
            assert meant.htname is None
            return SYNC_REQUEST
        case Set():
            return write_set(meant.htname, meant.cname, meant.value, meant.last_modified, dialect)
        case SetExpire():
            return write_expire(meant.htname, meant.cname, meant.seconds)
        case Delete():
            return write_delete(meant.htname, meant.cname)
        case Remove():
            return removal(meant)
        case CellBatch():
            assert not meant.bad
            return write_cells(meant.cells, dialect)
    return None


def test_what_real_nodes_sent_is_read_and_written_to_the_byte() -> None:
    bodies = captured()
    assert len(bodies) > 20
    kinds = set()
    for agent, body in bodies:
        meant = read(body)
        kinds.add(type(meant))
        dialect = KAMAILIO62 if "6.2" in agent else KAMAILIO5
        assert rewritten(meant, dialect) == body
    assert kinds == {SyncRequest, Set, SetExpire, Delete, Remove, CellBatch}


# -- there and back --------------------------------------------------------------------------------------


@given(texts, texts, values, stamps)
def test_a_set_of_any_bytes_comes_back(table: str, key: str, value: str | int, stamp: int | None) -> None:
    assert read(write_set(table, key, value, stamp, KAMAILIO62)) == Set(table, key, value, stamp)
    assert read(write_set(table, key, value, stamp, KAMAILIO5)) == Set(table, key, value)


@given(texts, texts, st.integers(0, 2**31 - 1), st.sampled_from([MatchKind.REGEX, MatchKind.PREFIX]))
def test_the_other_actions_come_back(table: str, key: str, seconds: int, kind: MatchKind) -> None:
    assert read(write_expire(table, key, seconds)) == SetExpire(table, key, seconds)
    assert read(write_delete(table, key)) == Delete(table, key)
    for on in MatchOn:
        assert read(removal(Remove(table, kind, on, key))) == Remove(table, kind, on, key)


@given(st.lists(st.tuples(texts, texts, values, st.integers(0, 2**40), stamps), max_size=5))
def test_cells_of_any_bytes_come_back(rows: list[tuple[str, str, str | int, int, int | None]]) -> None:
    cells = [
        TextCell(table, key, value, expire, stamp)
        if isinstance(value, str)
        else NumberCell(table, key, value, expire, stamp)
        for table, key, value, expire, stamp in rows
    ]
    assert read(write_cells(cells, KAMAILIO62)) == CellBatch(cells)


# -- what cannot be carried ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("k", "v", None),
        ("k", "", None),
        ("k", "\x01\udcff\n", None),
        ("k", 2**31 - 1, None),
        ("k", -(2**31), None),
        ("k", 2**31, "integer_over_32_bits"),
        ("k", -(2**31) - 1, "integer_over_32_bits"),
        ("k", "a\0b", "nul_in_text"),
        ("a\0b", "v", "nul_in_text"),
        ("a\0b", 1, "nul_in_text"),
        ("", "v", "empty_key"),
        ("k", "x" * MAX_BODY_BYTES, "too_large"),
        ("k" * MAX_BODY_BYTES, 1, "too_large"),
    ],
)
def test_what_a_kamailio_cannot_carry_has_a_name(key: str, value: str | int, reason: str | None) -> None:
    assert carriable(key, value) == reason


@pytest.mark.parametrize("character", ["x", '"', "\x01", "é", "😀", "\udcff"])
def test_a_carriable_cell_never_exceeds_the_limit(character: str) -> None:
    """The largest that is taken comes near the limit, whatever its characters cost."""
    low, high = 0, MAX_BODY_BYTES + 1
    while high - low > 1:
        middle = (low + high) // 2
        if carriable("k", character * middle) is None:
            low = middle
        else:
            high = middle
    table = "t" * MAX_TABLE_NAME_LENGTH
    size = len(cell_bytes(table, "k", character * low, 2**40, 2**63 - 1, KAMAILIO62))
    assert MAX_BODY_BYTES - 100 < size <= MAX_BODY_BYTES
