"""DUMP and RESTORE: times to live, refusals, and that others get their turn."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.session import Session
from dmqcache.store.table.use import MAX_IDLE_S, TICKS_S
from tests.server.fakes import EPOCH, make_session
from tests.server.resp.saying import NOT_INTEGER, OK, say
from tests.server.resp.test_steps import turns


@pytest.fixture
def session() -> Session:
    return make_session()


def dumped(session: Session, value: str) -> str:
    session.table.set("dumped", value)
    return str(say(session, "DUMP", "dumped"))


@pytest.mark.parametrize("value", ["", "10", "x" * 300, "\u00e9\udcff\0"])
def test_there_and_back(session: Session, value: str) -> None:
    payload = dumped(session, value)
    assert say(session, "RESTORE", "b", "0", payload) == OK
    assert (say(session, "GET", "b"), say(session, "TTL", "b")) == (value, -1)


def test_times_to_live(session: Session) -> None:
    payload = dumped(session, "x")
    assert say(session, "RESTORE", "a", "9000", payload) == OK
    assert say(session, "TTL", "a") == 9
    at = round((EPOCH + 1000) * 1000)
    assert say(session, "RESTORE", "a", str(at + 5000), payload, "REPLACE", "ABSTTL") == OK
    assert say(session, "TTL", "a") == 5
    for past in (at, at - 1, 1):
        assert say(session, "RESTORE", "a", str(past), payload, "replace", "absttl") == OK
        assert say(session, "GET", "a") is None


def test_how_long_it_was_not_used_is_given_back(session: Session) -> None:
    payload = dumped(session, "x")
    assert say(session, "RESTORE", "a", "0", payload, "IDLETIME", "70") == OK
    assert say(session, "OBJECT", "IDLETIME", "a") == 70
    assert say(session, "RESTORE", "a", "0", payload, "REPLACE", "IDLETIME", str(2**63 - 1)) == OK
    session.table.tick += TICKS_S
    assert say(session, "OBJECT", "IDLETIME", "a") == MAX_IDLE_S + 1, "a reply has 64 bits"


def test_refusals(session: Session) -> None:
    payload = dumped(session, "x")
    session.table.set("a", "1")
    busy = "BUSYKEY Target key name already exists."
    wrong = "ERR DUMP payload version or checksum are wrong"
    for words, refusal in (
        (["a", "0", payload], busy),
        (["a", "-1", "bogus"], busy),
        (["b", "x", payload], NOT_INTEGER),
        (["b", "-1", payload], "ERR Invalid TTL value, must be >= 0"),
        (["b", "0", "bogus"], wrong),
        (["a", "0", payload + "x", "REPLACE"], wrong),
        (["a", "x", "bogus", "bogus"], "ERR syntax error"),
        (["b", "0", payload, "IDLETIME", "1", "FREQ", "1"], "ERR syntax error"),
        (["b", "0", payload, "IDLETIME", "-1"], "ERR Invalid IDLETIME value, must be >= 0"),
        (["b", "0", payload, "FREQ", "256"], "ERR Invalid FREQ value, must be >= 0 and <= 255"),
    ):
        assert say(session, "RESTORE", *words) == refusal, words
    assert (say(session, "GET", "a"), say(session, "GET", "b")) == ("1", None)
    assert say(session, "DUMP", "b") is None


def test_who_is_overtaken_while_others_have_their_turn(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    payload = dumped(session, "x" * 10_000)
    assert turns(session, "DUMP", "dumped") >= 4
    restored = turns(session, "RESTORE", "b", "0", payload, between=lambda turn: session.table.set("b", "y"))
    assert restored >= 4 and session.table.get("b") == "y"
