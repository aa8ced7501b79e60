"""Counters."""

from __future__ import annotations

import pytest

from tests.server.resp.saying import NOT_INTEGER, OK, Transcript, hold

TRANSCRIPTS: dict[str, Transcript] = {
    "counters": [
        ("INCR n", 1),
        ("INCRBY n 41", 42),
        ("DECR n", 41),
        ("DECRBY n 1", 40),
        ("GET n", "40"),
        ("MGET n", ["40"]),
        ("SET s 10", OK),
        ("INCR s", 11),
        ("SET s ten", OK),
        ("INCR s", NOT_INTEGER),
        ("INCRBY n x", NOT_INTEGER),
        ("INCRBY n 1.5", NOT_INTEGER),
        ("INCRBY n 9223372036854775808", NOT_INTEGER),
        ("INCRBY n 9223372036854775807", "ERR increment or decrement would overflow"),
        ("DECRBY n -9223372036854775808", "ERR decrement would overflow"),
        ("GET n", "40"),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])
