"""Commands in steps: others get their turn, a transaction does not wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmqcache.server.resp import steps as module
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.long_reply import joined
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.steps import in_steps, key_steps
from tests.server.fakes import make_session
from tests.server.resp.saying import say


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """A table of ten keys, of which three are looked at in a step: no time passes here."""
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
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
            reply = joined(end.value)
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
    monkeypatch.setattr("dmqcache.store.table.listing.SORTED_AT_ONCE", 2)
    assert turns(session, "SCAN", "0", "COUNT", "3") == 4 + 1
    session.table.set("a", "x")
    session.table.set("b", "x")
    session.table.set("c", "x")
    assert turns(session, "RANDOMKEY") == 1
    assert say(session, "KEYS", "*") == ["a", "b", "c", *(f"k{number}" for number in range(10))]


def test_a_step_holds_as_many_pieces_as_fit_into_its_time(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.002)
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


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three keys of a command are many, and two are a piece."""
    for name in ("steps", "commands_string"):
        monkeypatch.setattr(f"dmqcache.server.resp.{name}.MANY", 3)
        monkeypatch.setattr(f"dmqcache.server.resp.{name}.STEP_CHANGES", 2)
    monkeypatch.setattr("dmqcache.server.resp.commands_string.STEP_KEYS", 2)


NAMES = [f"k{number}" for number in range(8)]
PAIRS = [word for name in NAMES for word in (name, "new")]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("command", "answer", "count"),
    [
        (["MGET", *NAMES, "none"], [*(f"v{number}" for number in range(8)), None], 5),
        (["EXISTS", *NAMES, "k1", "none"], 9, 5),
        (["TOUCH", *NAMES], 8, 4),
        (["DEL", *NAMES, "none"], 8, 5),
        (["UNLINK", *NAMES], 8, 4),
        (["MSET", *PAIRS], "OK", 12),
        (["MGET", "k1", "k2"], ["v1", "v2"], 0),
        (["DEL", "k1", "k2"], 2, 0),
        (["MSET", "k1", "v"], "OK", 0),
        (["MSETNX", *[word + "0" for word in PAIRS]], 1, 0),
    ],
)
def test_a_command_that_names_many_keys_is_done_in_steps(
    session: Session, command: list[str], answer: object, count: int
) -> None:
    assert turns(session, *command) == count
    for number in range(10):
        session.table.set(f"k{number}", f"v{number}")
        session.table.delete(f"k{number}0")
    assert say(session, *command) == answer
    if command[0] == "MSET":
        assert session.table["k1"] == command[2]


@pytest.mark.usefixtures("few")
def test_many_writes_of_which_one_is_refused_are_none() -> None:
    session = make_session()
    assert "ERR" in str(say(session, "MSET", *PAIRS, "", "empty"))
    assert len(session.table) == 0


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("command", [["DEL", *NAMES], ["MSET", *[word + "0" for word in PAIRS]]])
@pytest.mark.parametrize("when", [0, 1, 3])
def test_what_a_client_has_sent_is_done_to_the_end_though_it_leaves(
    session: Session, command: list[str], when: int
) -> None:
    reply = execute(session, list(command))
    assert not isinstance(reply, bytes)
    for _ in range(when):
        reply.send(None)
    reply.close()
    del reply
    assert len(session.table) == (2 if command[0] == "DEL" else 18)


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
