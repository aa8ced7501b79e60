"""Parts of values."""

from __future__ import annotations

import pytest

from tests.server.resp.saying import NOT_INTEGER, OK, Transcript, hold

TRANSCRIPTS: dict[str, Transcript] = {
    "parts of values": [
        ("APPEND a hel", 3),
        ("APPEND a lo", 5),
        ("GET a", "hello"),
        ("STRLEN a", 5),
        ("STRLEN nope", 0),
        ("GETRANGE a 1 3", "ell"),
        ("GETRANGE a -3 -1", "llo"),
        ("GETRANGE a 0 -9", "h"),
        ("GETRANGE a 3 99", "lo"),
        ("GETRANGE nope 0 1", ""),
        ("GETRANGE a x 1", NOT_INTEGER),
        ("SET t x EX 9", OK),
        ("APPEND t y", 2),
        ("TTL t", 9),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])
