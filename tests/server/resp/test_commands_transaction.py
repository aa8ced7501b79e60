"""MULTI, EXEC, DISCARD."""

from __future__ import annotations

import pytest

from tests.server.fakes import make_session
from tests.server.resp.saying import OK, Transcript, hold, say

DISCARDED = "EXECABORT Transaction discarded because"

TRANSCRIPTS: dict[str, Transcript] = {
    "a MULTI within one is refused and spoils nothing": [
        ("MULTI", OK),
        ("MULTI", "ERR MULTI calls can not be nested"),
        ("SET a 1", "QUEUED"),
        ("EXEC", [OK]),
    ],
    "a word too many ends it": [
        ("MULTI", OK),
        ("EXEC x", f"{DISCARDED} of: wrong number of arguments for 'exec' command"),
        ("EXEC", "ERR EXEC without MULTI"),
    ],
    "a subcommand that there is not is not kept": [
        ("MULTI", OK),
        ("CLIENT BOGUS", "ERR unknown subcommand 'BOGUS'. Try CLIENT HELP."),
        ("EXEC", "EXECABORT Transaction discarded because of previous errors."),
    ],
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
        ("WAIT 1 1", "QUEUED"),
        ("EXEC", [0]),
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


def test_a_transaction_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.server.resp.commands_transaction.MAX_QUEUED_BYTES", 10_000)
    session = make_session()
    say(session, "MULTI")
    assert say(session, "SET", "a", "x" * 5000) == "QUEUED"
    assert (
        say(session, "SET", "b", "x" * 5000) == "ERR the commands of a transaction take at most 10000 bytes"
    )
    assert session.transaction is not None and not session.transaction.commands
    assert say(session, "SET", "c", "x" * 5000).startswith("ERR the commands of a transaction")
    assert str(say(session, "EXEC")).startswith("EXECABORT")
    assert say(session, "EXISTS", "a", "b", "c") == 0


def test_a_watched_key_that_another_node_changed_stops_the_transaction() -> None:
    session = make_session()
    table = session.table
    say(session, "SET", "a", "1")
    say(session, "WATCH", "a")
    say(session, "MULTI")
    say(session, "SET", "a", "mine")
    table.set("a", "theirs")
    assert say(session, "EXEC") is None
    assert say(session, "GET", "a") == "theirs"
    say(session, "WATCH", "a")
    say(session, "MULTI")
    say(session, "SET", "a", "mine")
    assert say(session, "EXEC") == [OK]


def test_watched_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.server.resp.commands_transaction.MAX_WATCHED", 3)
    session = make_session()
    assert say(session, "WATCH", "a", "b") == OK
    assert say(session, "WATCH", "c") == "ERR at most 3 keys are watched"
    assert say(session, "UNWATCH") == OK
    assert say(session, "WATCH", "c") == OK
