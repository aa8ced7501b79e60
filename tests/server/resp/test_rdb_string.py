"""Values as DUMP writes them: bytes that a Redis 7.0.15 wrote, and any bytes there and back."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.server.resp.rdb_string import PayloadError, checksum, dump, is_whole, load

T = TypeVar("T")
MOST = 1 << 20
#: Value -> what Redis 7.0.15 wrote of it, without compression.
WRITTEN = {
    b"0": b"\x00\xc0\x00\n\x00\x98@\xa7x\xf8P\x03\x08",
    b"-128": b"\x00\xc0\x80\n\x00\x99f2m/\x0c[\xd9",
    b"-129": b"\x00\xc1\x7f\xff\n\x00\x17`\x82(T\x80\x84\x80",
    b"10000": b"\x00\xc1\x10'\n\x00\xe4\xb7\xcal\x86C%\xd1",
    b"2147483647": b"\x00\xc2\xff\xff\xff\x7f\n\x00,t\xe5\x9e\xe0.\xad\xa1",
    b"2147483648": b"\x00\n2147483648\n\x00\xe7\xb1)\xa3L\x1dv\xee",
    b"01": b"\x00\x0201\n\x00l\xdd\xc4A\x14L}\xa4",
    b"": b"\x00\x00\n\x00]\x9b\\@\x0f\x7f\xa2\xda",
}
#: The same, compressed.
PACKED = {
    b"x" * 21: b"\x00\xc3\x06\x15\x01xx\xe0\n\x00\n\x00\x94\x1a\x83g`\x17\x19/",
    b"abc" * 30: b"\x00\xc3\x0b@Z\x03abca\xe0K\x02\x01bc\n\x00#\x806\xf9\xe2\xd0\xc7\x80",
}


def done(steps: Generator[None, None, T]) -> T:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        value: T = end.value
        return value


def signed(data: bytes) -> bytes:
    """A payload whose version and checksum are right."""
    data += b"\n\0"
    return data + done(checksum(data)).to_bytes(8, "little")


@pytest.mark.parametrize("value", WRITTEN)
def test_what_redis_writes(value: bytes) -> None:
    assert done(dump(value)) == WRITTEN[value]
    assert done(is_whole(WRITTEN[value])) and done(load(WRITTEN[value], MOST)) == value


@pytest.mark.parametrize("value", PACKED)
def test_what_redis_packs(value: bytes) -> None:
    assert done(is_whole(PACKED[value])) and done(load(PACKED[value], MOST)) == value
    with pytest.raises(PayloadError, match="at most 20 bytes"):
        done(load(PACKED[value], 20))


@given(
    st.binary(max_size=200)
    | st.integers().map(lambda number: b"%d" % number)
    | st.sampled_from([b"-", b"--5"])
)
def test_there_and_back(value: bytes) -> None:
    payload = done(dump(value))
    assert done(is_whole(payload)) and done(load(payload, MOST)) == value


@pytest.mark.parametrize("size", [63, 64, 16_383, 16_384, 100_000])
def test_long_ones(size: int) -> None:
    payload = done(dump(b"x" * size))
    assert done(is_whole(payload)) and done(load(payload, MOST)) == b"x" * size


@pytest.mark.parametrize("payload", [b"", b"bogus", b"x" * 30, WRITTEN[b"0"][:-1] + b"x", WRITTEN[b"0"][:-1]])
def test_what_is_damaged_is_noticed(payload: bytes) -> None:
    assert not done(is_whole(payload))


def test_what_a_newer_redis_writes_otherwise_is_refused() -> None:
    data = b"\x00\x01x\x0d\x00"
    assert not done(is_whole(data + done(checksum(data)).to_bytes(8, "little")))


@given(st.binary(max_size=30).map(lambda data: b"\0" + data) | st.binary(max_size=30))
def test_whatever_is_signed_is_a_value_or_refused(data: bytes) -> None:
    payload = signed(data)
    assert done(is_whole(payload))
    try:
        assert len(done(load(payload, 1000))) <= 1000
    except PayloadError as problem:
        assert "Bad data format" in str(problem) or "at most" in str(problem)
