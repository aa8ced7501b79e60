"""LCS: its words, its limits, and that it lets others have their turn."""

from __future__ import annotations

import pytest

from tests.server.fakes import make_session
from tests.server.resp.saying import NOT_INTEGER, OK, Transcript, hold, say
from tests.server.resp.test_steps import turns

MATCHES = [[[4, 7], [5, 8]], [[2, 3], [0, 1]]]
SIZED = [[*MATCHES[0], 4], [*MATCHES[1], 2]]

TRANSCRIPTS: dict[str, Transcript] = {
    "Redis' own example": [
        ("MSET a ohmytext b mynewtext", OK),
        ("LCS a b", "mytext"),
        ("lcs a b len", 6),
        ("LCS a b IDX", ["matches", MATCHES, "len", 6]),
        ("LCS a b IDX WITHMATCHLEN", ["matches", SIZED, "len", 6]),
        ("LCS a b IDX MINMATCHLEN 4", ["matches", MATCHES[:1], "len", 6]),
        ("LCS a b MINMATCHLEN 4 IDX WITHMATCHLEN", ["matches", SIZED[:1], "len", 6]),
        ("LCS a nope", ""),
        ("LCS nope nope IDX", ["matches", [], "len", 0]),
        ("LCS a b LEN IDX", "ERR If you want both the length and indexes, please just use IDX."),
        ("LCS a b bogus", "ERR syntax error"),
        ("LCS a b MINMATCHLEN", "ERR syntax error"),
        ("LCS a b MINMATCHLEN x", NOT_INTEGER),
    ]
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_what_would_take_too_long_is_refused_as_redis_does() -> None:
    session = make_session()
    session.table.set("a", "x" * 11_583)
    session.table.set("b", "y" * 11_586)
    refusal = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
    assert say(session, "LCS", "a", "b") == refusal
    session.table.set("b", "y" * 11_580)
    assert say(session, "LCS", "a", "b", "LEN") == 0


def test_others_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    session = make_session()
    session.table.set("a", "xy" * 50)
    session.table.set("b", "yx" * 60)
    assert turns(session, "LCS", "a", "b") >= 100
    assert say(session, "LCS", "a", "b", "LEN") == 100
    for words in (["MULTI"], ["LCS", "a", "b", "LEN"]):
        say(session, *words)
    assert say(session, "EXEC") == [100]
