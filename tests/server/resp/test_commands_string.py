"""Values: set, get, count, cut. Replies and errors are Redis' own."""

from __future__ import annotations

import pytest

from dmqcache.server.resp import commands_string
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.reply import bulk
from tests.server.fakes import EPOCH, make_session
from tests.server.resp.saying import NOT_INTEGER, OK, Transcript, hold, say
from tests.server.resp.test_steps import turns

TRANSCRIPTS: dict[str, Transcript] = {
    "get and set": [
        ("GET a", None),
        ("SET a 1", OK),
        ("GET a", "1"),
        ("gEt a", "1"),
        ("SET a", "ERR wrong number of arguments for 'set' command"),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("FOO a b", "ERR unknown command 'FOO', with args beginning with: 'a' 'b' "),
    ],
    "set on conditions": [
        ("SET a 1 XX", None),
        ("SET a 1 NX", OK),
        ("SET a 2 NX", None),
        ("SET a 2 XX", OK),
        ("GET a", "2"),
        ("SET a 3 NX XX", "ERR syntax error"),
        ("SET a 3 GET", "2"),
        ("SET b 3 GET", None),
        ("SET b 4 NX GET", "3"),
        ("GET b", "3"),
        ("SET a 3 BOGUS", "ERR syntax error"),
    ],
    "set with a time": [
        ("SET a 1 EX 10", OK),
        ("TTL a", 10),
        ("SET a 2 KEEPTTL", OK),
        ("TTL a", 10),
        ("SET a 2", OK),
        ("TTL a", -1),
        ("SET a 1 PX 1500", OK),
        ("PTTL a", 1500),
        ("TTL a", 2),
        (f"SET a 1 EXAT {int(EPOCH) + 1100}", OK),
        ("TTL a", 100),
        (f"SET a 1 PXAT {int(EPOCH) * 1000 + 1050_000}", OK),
        ("TTL a", 50),
        ("SET a 1 EXAT 5", OK),
        ("GET a", None),
        ("SET a 1 EX 0", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX -1", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX", "ERR syntax error"),
        ("SET a 1 EX ten", NOT_INTEGER),
        ("SET a 1 EX 5 PX 5", "ERR syntax error"),
        ("SET a 1 EX 5 KEEPTTL", "ERR syntax error"),
        ("SET a 1 KEEPTTL EX 5", "ERR syntax error"),
    ],
    "the older ways to set": [
        ("SETEX a 10 x", OK),
        ("TTL a", 10),
        ("PSETEX a 10000 y", OK),
        ("PTTL a", 10000),
        ("SETEX a 0 x", "ERR invalid expire time in 'setex' command"),
        ("PSETEX a -1 x", "ERR invalid expire time in 'psetex' command"),
        ("SETNX a z", 0),
        ("SETNX b z", 1),
        ("GETSET a new", "y"),
        ("GETDEL a", "new"),
        ("GETDEL a", None),
    ],
    "get and change the time": [
        ("GETEX a", None),
        ("SET a 1", OK),
        ("GETEX a EX 5", "1"),
        ("TTL a", 5),
        ("GETEX a PERSIST", "1"),
        ("TTL a", -1),
        ("GETEX a EX 5 PX 5", "ERR syntax error"),
        ("GETEX a NX", "ERR syntax error"),
        ("GETEX a EXAT 1", "1"),
        ("GET a", None),
    ],
    "many at once": [
        ("MSET a 1 b 2", OK),
        ("MGET a nope b", ["1", None, "2"]),
        ("MSET a 1 b", "ERR wrong number of arguments for 'mset' command"),
        ("MSETNX c 1 a 2", 0),
        ("MSETNX c 1 d 2", 1),
        ("EXISTS a b a nope", 3),
        ("DEL a a nope", 1),
        ("UNLINK b c d", 3),
        ("DBSIZE", 0),
    ],
    "integers": [
        ("SET n 5 INT", OK),
        ("DMQ.CELL n", [5, -1]),
        ("SET n 05 INT", NOT_INTEGER),
        ("SET n +5 INT", NOT_INTEGER),
        ("SET s 5", OK),
        ("DMQ.CELL s", ["5", -1]),
        ("OBJECT ENCODING n", "int"),
        ("OBJECT ENCODING s", "int"),
        ("OBJECT ENCODING nope", None),
        ("STRLEN n", 1),
        ("SET b x INT", NOT_INTEGER),
        # As in Redis, PERSIST is no word of SET; dmqcache's own is another one.
        ("SET f x PERSIST", "ERR syntax error"),
        ("SET f x FOREVER", OK),
        ("TTL f", -1),
        ("SET f x FOREVER EX 5", "ERR syntax error"),
        ("EXISTS b", 0),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


@pytest.mark.parametrize("command", ["MSET", "MSETNX"])
def test_what_the_table_refuses_of_many_leaves_nothing_of_them(command: str) -> None:
    session = make_session()
    assert str(say(session, command, "a", "1", "b", "x" * (1 << 21))).startswith("ERR a value takes at most")
    assert str(say(session, command, "a", "1", "", "2")).startswith("ERR a key is a text")
    assert say(session, "EXISTS", "a", "b") == 0


def test_a_getex_that_is_not_understood_deletes_nothing() -> None:
    session = make_session()
    say(session, "SET", "k", "v")
    assert say(session, "GETEX", "k", "PXAT", "5", "junk") == "ERR syntax error"
    assert say(session, "GET", "k") == "v"


def test_a_getex_that_changes_no_time_writes_nothing() -> None:
    session = make_session()
    say(session, "SET", "a", "x")
    assert (say(session, "GETEX", "a", "PERSIST"), session.table.counters.sets) == ("x", 1)
    say(session, "EXPIRE", "a", "9")
    assert (say(session, "GETEX", "a", "PERSIST"), say(session, "TTL", "a")) == ("x", -1)


def test_long_values_are_told_in_steps_and_one_that_is_asked_for_twice_is_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    session = make_session()
    for number in range(10):
        session.table.set(f"k{number}", f"{number}" * 50_000)
    keys = [f"k{number}" for number in range(10)]
    values = [f"{number}" * 50_000 for number in range(10)]
    hits = session.table.counters.hits
    assert say(session, "MGET", *keys, "none", "k1") == [*values, None, values[1]]
    assert session.table.counters.hits - hits == 11
    assert turns(session, "MGET", *keys) == 10
    assert turns(session, "MGET", *keys[:2]) == 0
    encoded: list[str | int] = []

    def counted(text: str | int) -> bytes:
        encoded.append(text)
        return bulk(text)

    monkeypatch.setattr(commands_string, "bulk", counted)
    assert say(session, "MGET", *["k1", "k2"] * 20) == values[1:3] * 20
    assert encoded == values[1:3]


@pytest.mark.parametrize("executing", [False, True])
def test_a_reply_that_is_there_at_once_and_too_long_for_one_write_is_in_parts(executing: bool) -> None:
    session = make_session()
    session.table.set("k", "x" * 60_000)
    session.executing = executing
    reply = execute(session, ["MGET", *["k"] * 50])
    assert isinstance(reply, bytes) is executing
    if not isinstance(reply, bytes):
        with pytest.raises(StopIteration) as end:
            reply.send(None)
        assert len(end.value.value) > 10
