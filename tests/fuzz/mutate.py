"""Inputs from other inputs: bytes are changed, lines and fields moved, doubled, cut and exchanged."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

#: What readers of text stumble over.
WORDS = (
    *(b"", b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b"\xed\xa0\x80", b"\xc3", "\u2028".encode()),
    *(b"0", b"-1", b"1e999", b"4294967296", b"99999999999999999999", b"0x10", b"NaN", b"null", b"true"),
    *(b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b"[" * 500, b'{"a":' * 200, b"<", b">"),
    *(b";", b",", b":", b"=", b" ", b"\t", b"%00", b"%", b"@", b"[::1]", b"255.255.255.256", b"a" * 300),
)
_TOKENS = re.compile(rb"[A-Za-z0-9_.-]+|[^A-Za-z0-9_.-]")


def _flip(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    for _ in range(choose.choice((1, 1, 2, 8))):
        if data:
            data[choose.randrange(len(data))] = choose.randrange(256)


def _insert(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    at = choose.randint(0, len(data))
    data[at:at] = choose.choice(WORDS) * choose.choice((1, 1, 1, 3, 50))


def _cut(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    start = choose.randint(0, len(data))
    del data[start : start + choose.choice((1, 2, 10, len(data)))]


def _double(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    start = choose.randint(0, len(data))
    data[start:start] = data[start : start + choose.randint(1, 200)] * choose.choice((1, 2, 20))


def _splice(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    other = choose.choice(corpus)
    at, start = choose.randint(0, len(data)), choose.randint(0, len(other))
    data[at : at + choose.choice((0, 20))] = other[start : start + choose.randint(1, 200)]


def _lines(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    lines = bytes(data).split(b"\n")
    one, other = choose.randrange(len(lines)), choose.randrange(len(lines))
    if choose.random() < 0.5:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines.insert(one, lines[other])
    data[:] = b"\n".join(lines)


def _token(data: bytearray, choose: random.Random, corpus: Sequence[bytes]) -> None:
    found = list(_TOKENS.finditer(data))
    if found:
        token = choose.choice(found)
        data[token.start() : token.end()] = choose.choice(WORDS)


_CHANGES: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    _flip,
    _insert,
    _cut,
    _double,
    _splice,
    _lines,
    _token,
    _token,
)


def mutated(corpus: Sequence[bytes], choose: random.Random) -> bytes:
    """One of the corpus with one to six changes; at most 64 KiB, as a datagram."""
    data = bytearray(choose.choice(corpus))
    for _ in range(choose.choice((1, 1, 2, 3, 6))):
        choose.choice(_CHANGES)(data, choose, corpus)
    return bytes(data[:65_535])
