"""One value as Redis' DUMP writes it, and back: a string of an RDB file, then a version and a checksum.

So values go from a Redis to dmqcache and the other way. Written are strings as they are, without compression
(Redis with ``rdbcompression no`` writes the same bytes); what Redis has compressed by LZF is read too.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

#: RDB's version of Redis 7.0, which is written, and the newest one whose strings are known to be the same.
VERSION: Final = 10
NEWEST: Final = 12
#: Bytes of the version and the checksum.
FOOTER: Final = 10
#: Bytes that are read in one piece.
PIECE: Final = 2048
_STRING: Final = 0
#: What a length's first byte means whose two highest bits are set: an integer of so many bytes, or LZF.
_INTEGERS: Final = {0xC0: 1, 0xC1: 2, 0xC2: 4}
_LZF: Final = 0xC3


class PayloadError(ValueError):
    """What cannot be restored: no value that this could be, in Redis' words."""


def _checksums() -> tuple[int, ...]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x95AC9329AC4BC9B5 if number & 1 else 0)
        table.append(number)
    return tuple(table)


#: Of CRC-64 as Redis has it (Jones' polynomial, reflected).
_TABLE: Final = _checksums()


def checksum(data: bytes) -> Generator[None, None, int]:
    """CRC-64 of some bytes; yields after each piece."""
    crc, table = 0, _TABLE
    for start in range(0, len(data), PIECE):
        for byte in data[start : start + PIECE]:
            crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
        yield
    return crc


def dump(value: bytes) -> Generator[None, None, bytes]:
    """A value with all that RESTORE wants to see."""
    data = bytes([_STRING]) + (_as_integer(value) or _length(len(value)) + value)
    data += VERSION.to_bytes(2, "little")
    crc = yield from checksum(data)
    return data + crc.to_bytes(8, "little")


def _as_integer(value: bytes) -> bytes:
    """The short form of a number of up to 32 bits that is written as Redis writes one; else nothing."""
    if not 0 < len(value) <= 11 or not value.removeprefix(b"-").isdigit() or b"%d" % int(value) != value:
        return b""
    for kind, size in _INTEGERS.items():
        if -(1 << 8 * size - 1) <= int(value) < 1 << 8 * size - 1:
            return bytes([kind]) + int(value).to_bytes(size, "little", signed=True)
    return b""


def _length(size: int) -> bytes:
    if size < 1 << 6:
        return bytes([size])
    if size < 1 << 14:
        return (size | 1 << 14).to_bytes(2, "big")
    return b"\x80" + size.to_bytes(4, "big")


def is_whole(payload: bytes) -> Generator[None, None, bool]:
    """Whether version and checksum are right."""
    data = payload[:-8]
    if len(payload) < FOOTER or int.from_bytes(data[-2:], "little") > NEWEST:
        return False
    crc = yield from checksum(data)
    return crc.to_bytes(8, "little") == payload[-8:]


def load(payload: bytes, most: int) -> Generator[None, None, bytes]:
    """The value of a payload that is whole. PayloadError if it is no string, or longer than ``most``."""
    data = payload[:-FOOTER]
    if data[:1] != bytes([_STRING]) or len(data) < 2:
        raise PayloadError("Bad data format")
    size = _INTEGERS.get(data[1])
    if size is not None and len(data) == 2 + size:
        return b"%d" % int.from_bytes(data[2:], "little", signed=True)
    if data[1] == _LZF:
        packed, at = _read_length(data, 2)
        unpacked, at = _read_length(data, at)
        if unpacked > most:
            raise PayloadError(f"a value takes at most {most} bytes in a message, this {unpacked}")
        value = yield from _unpacked(data[at : at + packed], unpacked)
        rest = len(data) - at - packed
    else:
        unpacked, at = _read_length(data, 1)
        value, rest = data[at:], 0
    if rest or len(value) != unpacked:
        raise PayloadError("Bad data format")
    return value


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    first = data[at] if at < len(data) else 0xFF
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | int.from_bytes(data[at + 1 : at + 2], "big"), at + 2
    size = {0x80: 4, 0x81: 8}.get(first)
    if size is None:
        raise PayloadError("Bad data format")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _unpacked(data: bytes, size: int) -> Generator[None, None, bytes]:
    """What LZF packed: runs of bytes as they are, and copies of what came before."""
    found, at, piece = bytearray(), 0, 0
    while at < len(data) and len(found) <= size:
        if at >= piece:
            piece = at + PIECE
            yield
        first = data[at]
        at += 1
        if first < 32:
            found += data[at : at + first + 1]
            at += first + 1
            continue
        length, back = first >> 5, (first & 31) << 8
        if length == 7:
            length += data[at] if at < len(data) else 0
            at += 1
        back += (data[at] if at < len(data) else 0) + 1
        at += 1
        start, wanted = len(found) - back, length + 2
        if start < 0:
            raise PayloadError("Bad data format")
        found += (found[start:] * (wanted // back + 1))[:wanted]
    return bytes(found)
