"""Times to live."""

from __future__ import annotations

import pytest

from tests.server.fakes import EPOCH
from tests.server.resp.saying import NOT_INTEGER, OK, Transcript, hold

TRANSCRIPTS: dict[str, Transcript] = {
    "times to live": [
        ("TTL nope", -2),
        ("PTTL nope", -2),
        ("EXPIRE nope 5", 0),
        ("SET a 1", OK),
        ("TTL a", -1),
        ("EXPIRETIME a", -1),
        ("EXPIRE a 100", 1),
        ("TTL a", 100),
        ("EXPIRETIME a", int(EPOCH) + 1100),
        ("PEXPIRETIME a", (int(EPOCH) + 1100) * 1000),
        ("PERSIST a", 1),
        ("PERSIST a", 0),
        ("PERSIST nope", 0),
        ("PEXPIRE a 2500", 1),
        ("PTTL a", 2500),
        (f"EXPIREAT a {int(EPOCH) + 1010}", 1),
        ("TTL a", 10),
        (f"PEXPIREAT a {(int(EPOCH) + 1020) * 1000}", 1),
        ("TTL a", 20),
        ("EXPIRE a x", NOT_INTEGER),
        ("EXPIRE a 9223372036854775807", "ERR invalid expire time in 'expire' command"),
        ("EXPIRE a -1", 1),
        ("EXISTS a", 0),
    ],
    "times to live on conditions": [
        ("SET a 1", OK),
        ("EXPIRE a 10 XX", 0),
        ("EXPIRE a 10 GT", 0),
        ("EXPIRE a 10 LT", 1),
        ("EXPIRE a 20 NX", 0),
        ("EXPIRE a 20 LT", 0),
        ("EXPIRE a 20 GT", 1),
        ("EXPIRE a 5 XX", 1),
        ("TTL a", 5),
        ("EXPIRE a 5 NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE a 5 LT GT", "ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE a 5 FOO", "ERR Unsupported option FOO"),
        ("PERSIST a", 1),
        ("EXPIRE a 5 NX", 1),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])
