"""Listing keys."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.session import Session
from tests.server.fakes import make_session, stay_open, unheard
from tests.server.resp.saying import OK, Transcript, hold, say

TRANSCRIPTS: dict[str, Transcript] = {
    "listing": [
        ("MSET user:1 a user:2 b other c", OK),
        ("KEYS user:*", ["user:1", "user:2"]),
        ("KEYS *r*", ["other", "user:1", "user:2"]),
        ("KEYS nope", []),
        ("DBSIZE", 3),
        ("TYPE user:1", "string"),
        ("TYPE nope", "none"),
        ("TOUCH user:1 nope", 1),
        ("SCAN 0 MATCH user:* COUNT 100", ["0", ["user:1", "user:2"]]),
        ("SCAN 0 TYPE hash", ["0", []]),
        ("SCAN 0 TYPE string MATCH o*", ["0", ["other"]]),
        ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 MATCH", "ERR syntax error"),
        ("SCAN 0 BOGUS", "ERR syntax error"),
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 12345", "ERR invalid cursor"),
        ("FLUSHDB ASYNC", OK),
        ("DBSIZE", 0),
        ("RANDOMKEY", None),
        ("SET a 1", OK),
        ("RANDOMKEY", "a"),
        ("FLUSHDB NOW", "ERR syntax error"),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_scan_returns_each_key_once_whatever_is_written_meanwhile() -> None:
    session = make_session()
    kept = {f"kept{number:03}" for number in range(100)}
    for key in kept:
        say(session, "SET", key, "1")
    found: list[str] = []
    cursor = "0"
    for step in range(1000):
        cursor, keys = say(session, "SCAN", cursor, "COUNT", "7")
        found += keys
        say(session, "SET", f"new{step}", "1")
        say(session, "SET", f"a{step}", "1")
        say(session, "DEL", f"new{step - 3}")
        if cursor == "0":
            break
    assert cursor == "0"
    assert sorted(key for key in found if key in kept) == sorted(kept)
    assert len(found) == len(set(found))


def test_a_scan_goes_on_on_another_connection() -> None:
    session = make_session()
    for key in "abc":
        say(session, "SET", key, "1")
    cursor, first = say(session, "SCAN", "0", "COUNT", "2")
    other = Session(session.shared, "127.0.0.1:2", stay_open, unheard)
    assert (first, say(other, "SCAN", cursor)) == (["a", "b"], ["0", ["c"]])
