"""Strings of any bytes through JSON, exactly."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.json_bytes import (
    MAX_ESCAPES,
    DuplicateKey,
    TooManyEscapes,
    from_latin,
    quote,
    refuse_duplicates,
    to_latin,
)


def raw(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def unquote(quoted: bytes) -> bytes:
    return from_latin(msgspec.json.decode(to_latin(quoted), type=str)).encode("utf-8", "surrogateescape")


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    assert unquote(quote(raw(data))) == data


@given(st.binary())
def test_bytes_above_127_stand_raw_and_the_rest_is_json(data: bytes) -> None:
    quoted = quote(raw(data))
    assert bytes(byte for byte in quoted if byte > 127) == bytes(byte for byte in data if byte > 127)
    assert all(byte >= 32 for byte in quoted)


def test_escapes_as_kamailio_does() -> None:
    assert quote('a"\\/\b\f\n\r\t\x01\x1f\x7f') == b'"a\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f"'


def test_a_text_that_stands_for_no_bytes_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        quote("\ud800")


@given(st.lists(st.one_of(st.binary(max_size=3), st.text(max_size=3)), max_size=6))
def test_escaped_characters_and_raw_bytes_mix(parts: list[bytes | str]) -> None:
    """Texts are written all in escapes, bytes raw; between them nothing may be joined or lost."""
    body, meant = b'"', b""
    for part in parts:
        if isinstance(part, bytes):
            part = bytes(byte for byte in part if byte >= 32 and byte not in b'"\\')
            body += part
            meant += part
        else:
            body += json.dumps(part).encode()[1:-1]
            meant += part.encode()
    assert unquote(body + b'"') == meant


def test_an_escaped_backslash_before_a_u_is_no_escape() -> None:
    assert unquote(b'"\\\\u00e9\xff"') == b"\\u00e9\xff"


def test_what_is_escaped_may_stand_beside_escaped_backslashes_and_a_nul_is_no_json() -> None:
    assert unquote(b'"\\\\\\u00e9\\\\\\\\u00e9\\n\\u0041\xff"') == b"\\\xc3\xa9\\\\u00e9\nA\xff"
    with pytest.raises(msgspec.DecodeError):
        unquote(b'"\\\\u00e9\0\xff"')


def test_more_escaped_characters_than_anybody_sends_are_not_rewritten() -> None:
    assert unquote(b'"\xff' + b"\\u00e9" * MAX_ESCAPES + b'"') == b"\xff" + "é".encode() * MAX_ESCAPES
    assert unquote(b'"\xff' + b"\\u001f\\n" * 2 * MAX_ESCAPES + b'"') == b"\xff" + b"\x1f\n" * 2 * MAX_ESCAPES
    with pytest.raises(TooManyEscapes):
        unquote(b'"\xff' + b"\\u00e9" * (MAX_ESCAPES + 1) + b'"')


@pytest.mark.parametrize("escapes", [b"\\ud800", b"\\udc00", b"\\ud800\\u0041", b"\\udc00\\ud800"])
def test_escaped_lone_surrogates_are_refused(escapes: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        unquote(b'"\xff' + escapes + b'"')


@pytest.mark.parametrize(
    "body", [b'{"a":1,"a":1}', b'[{"b":{"a":1,"\\u0061":2}}]', b'{"\xff":1,"\xff":2}', b'{"a":{},"a":[]}']
)
def test_finds_a_key_that_is_there_twice(body: bytes) -> None:
    with pytest.raises(DuplicateKey):
        refuse_duplicates(body)


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"b":{"a":1}}', b"[]", b'{"\xff":1,"\xfe":2}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":1e9}'],
)
def test_lets_other_bodies_pass(body: bytes) -> None:
    refuse_duplicates(body)
