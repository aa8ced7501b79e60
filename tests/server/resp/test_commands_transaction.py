"""MULTI, EXEC, DISCARD."""

from __future__ import annotations

import pytest

from tests.server.fakes import make_session
from tests.server.resp.saying import OK, Transcript, hold, say

TRANSCRIPTS: dict[str, Transcript] = {
    "transactions": [
        ("EXEC", "ERR EXEC without MULTI"),
        ("DISCARD", "ERR DISCARD without MULTI"),
        ("MULTI", OK),
        ("MULTI", "ERR MULTI calls can not be nested"),
        ("DISCARD", OK),
        ("MULTI", OK),
        ("SET a 1", "QUEUED"),
        ("INCR a", "QUEUED"),
        ("GET nope", "QUEUED"),
        ("EXEC", [OK, 2, None]),
        ("MULTI", OK),
        ("SET a", "ERR wrong number of arguments for 'set' command"),
        ("SET a 9", "QUEUED"),
        ("EXEC", "EXECABORT Transaction discarded because of previous errors."),
        ("GET a", "2"),
        ("MULTI", OK),
        ("WAIT 1 1", "ERR WAIT is not allowed in transactions"),
        ("DISCARD", OK),
        ("SET a x", OK),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_a_transaction_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.server.resp.commands_transaction.MAX_QUEUED", 3)
    session = make_session()
    say(session, "MULTI")
    for _ in range(3):
        assert say(session, "PING") == "QUEUED"
    assert say(session, "PING") == "ERR a transaction has at most 3 commands"
    assert str(say(session, "EXEC")).startswith("EXECABORT")
