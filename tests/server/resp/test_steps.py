"""Commands in steps: others get their turn, a transaction does not wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmqcache.server.resp import steps as module
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.steps import in_steps, key_steps
from tests.server.fakes import make_session
from tests.server.resp.saying import say


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """A table of ten keys, of which three are looked at in a step."""
    monkeypatch.setattr(module.key_steps, "__defaults__", ("", 3))
    monkeypatch.setattr("dmqcache.server.resp.commands_dmq.STEP_CHANGES", 3)
    session = make_session()
    for number in range(10):
        session.table.set(f"k{number}", f"v{number}")
    return session


def turns(session: Session, *args: str, between: Callable[[int], None] = lambda turn: None) -> int:
    """How often a command lets others have their turn."""
    reply, count = execute(session, list(args)), 0
    while not isinstance(reply, bytes):
        try:
            reply.send(None)
        except StopIteration as end:
            reply = end.value
        else:
            count += 1
            between(count)
    return count


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["KEYS", "*"], [f"k{number}" for number in range(10)]),
        (["KEYS", "?5"], ["k5"]),
        (["DMQ.MATCH", "suffix", "name", "9"], ["k9"]),
        (["DMQ.MATCH", "suffix", "value", "9"], ["k9"]),
        (["DMQ.REMOVE", "prefix", "name", "k"], 10),
    ],
)
def test_what_looks_at_all_keys_does_so_in_steps(
    session: Session, command: list[str], answer: object
) -> None:
    assert say(session, *command) == answer
    for number in range(10):
        session.table.set(f"k{number}", f"v{number}")
    assert turns(session, *command) == 4


def test_a_small_table_is_answered_at_once() -> None:
    session = make_session()
    session.table.set("a", "b")
    assert turns(session, "KEYS", "*") <= 1


def test_within_a_transaction_nothing_comes_between(session: Session) -> None:
    say(session, "MULTI")
    say(session, "KEYS", "k1*")
    say(session, "DMQ.REMOVE", "prefix", "name", "k")
    say(session, "DBSIZE")
    assert turns(session, "EXEC") == 0
    assert len(session.table) == 0


def test_writes_between_two_steps_hide_and_double_no_key(session: Session) -> None:
    def write(turn: int) -> None:
        session.table.set(f"a{turn}", "x")
        session.table.set(f"k{turn}{turn}", "x")
        session.table.delete("k9")

    found = []
    for some in key_steps(session.table):
        found += some
        write(len(found))
    assert {f"k{number}" for number in range(9)} <= set(found)
    assert len(found) == len(set(found))


def test_a_client_that_is_gone_ends_the_work(session: Session) -> None:
    def gone(turn: int) -> None:
        session.closing = True

    assert turns(session, "DMQ.REMOVE", "prefix", "name", "k", between=gone) == 1
    assert 0 < len(session.table) < 10


def test_the_reply_is_what_the_generator_returns() -> None:
    def work():  # type: ignore[no-untyped-def]
        yield
        return b"+OK\r\n"

    session = make_session()
    session.executing = True
    assert in_steps(session, work()) == b"+OK\r\n"
