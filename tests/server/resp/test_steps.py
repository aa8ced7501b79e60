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
    """A table of ten keys, of which three are looked at in a step: no time passes here."""
    monkeypatch.setattr(module, "STEP_S", 0.0)
    monkeypatch.setattr("dmqcache.server.resp.commands_scan.STEP_KEYS", 3)
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


@pytest.mark.parametrize("command", ["SCAN", "DMQ.SCAN"])
def test_a_large_part_of_a_scan_is_one_of_many_steps(session: Session, command: str) -> None:
    cursor, found = say(session, command, "0", "COUNT", "7")
    assert found[:: 3 if command == "DMQ.SCAN" else 1] == [f"k{number}" for number in range(7)]
    cursor, found = say(session, command, cursor, "COUNT", "7")
    assert (cursor, found[0]) == ("0", "k7")
    assert turns(session, command, "0", "COUNT", "7") == 3
    assert turns(session, command, "0", "COUNT", "10") == 4


def test_keys_that_were_never_listed_are_sorted_in_steps(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP_SORTED", 2)
    assert turns(session, "SCAN", "0", "COUNT", "3") == 4 + 1
    session.table.set("a", "x")
    session.table.set("b", "x")
    session.table.set("c", "x")
    assert turns(session, "RANDOMKEY") == 1
    assert say(session, "KEYS", "*") == ["a", "b", "c", *(f"k{number}" for number in range(10))]


def test_a_step_holds_as_many_pieces_as_fit_into_its_time(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP_S", 0.002)
    assert turns(session, "KEYS", "*") == 0, "no time passes"
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.0009
        return now

    session.shared.clock = clock
    assert turns(session, "KEYS", "*") == 1


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
