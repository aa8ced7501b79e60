"""Which commands are timed and told, and that nothing is when nobody wants it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dmqcache.server.resp.acl import Users
from dmqcache.server.resp.command import Command
from dmqcache.server.resp.command_table import COMMANDS
from dmqcache.server.resp.long_reply import Reply, joined
from dmqcache.server.resp.looking_on import is_quick, timed
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.users import make_users
from tests.server.fakes import FakeNode, make_session, stay_open
from tests.server.resp.saying import say


@pytest.fixture
def session() -> Session:
    return make_session()


def slow(session: Session) -> list[list[str]]:
    return [entry.words for entry in session.shared.slow_log.newest(100)]


def test_what_a_cache_does_most_is_not_timed() -> None:
    assert all(is_quick(COMMANDS[name]) for name in ("GET", "SET", "INCR", "TTL", "EXISTS", "SETNX"))
    assert not any(is_quick(COMMANDS[name]) for name in ("KEYS", "EVAL", "MSET", "LCS", "FLUSHALL", "DEL"))


def test_all_are_timed_while_all_are_wanted(session: Session) -> None:
    say(session, "CONFIG", "SET", "slowlog-log-slower-than", "0")
    said = (["GET", "a"], ["MGET", "a", "b"], ["MULTI"], ["GET", "b"], ["EXEC"], ["INCR", "a", "b"])
    for words in said:
        say(session, *words)
    say(session, "SET", "a", "x")
    assert say(session, "INCR", "a").startswith("ERR value")
    assert slow(session)[::-1][1:] == [
        ["GET", "a"],
        ["MGET", "a", "b"],
        ["MULTI"],
        ["GET", "b"],
        ["SET", "a", "x"],
        ["INCR", "a"],
    ]
    say(session, "CONFIG", "SET", "slowlog-log-slower-than", "10000")
    assert not session.limited


def test_a_slow_command_is_noted_by_itself(session: Session) -> None:
    node = session.shared.node
    assert isinstance(node, FakeNode)
    time = node.time

    def slowly(key: str) -> bool:
        time.seconds += 0.02
        return False

    session.table.delete = slowly  # type: ignore[method-assign]
    say(session, "DEL", "a")
    assert say(session, "SLOWLOG", "GET")[0][2:4] == [20_000, ["DEL", "a"]]


def monitor_of(session: Session, users: Users | None = None, name: str = "default") -> list[bytes]:
    """What another client is told that monitors."""
    told: list[bytes] = []
    push: Callable[[bytes], None] = told.append
    other = Session(session.shared, "127.0.0.1:2", stay_open, push)
    session.shared.sessions[other.id] = other
    if users is not None:
        other.become(users.by_name[name])
    assert say(other, "MONITOR") == "OK"
    return told


def test_monitors_are_told_until_they_leave(session: Session) -> None:
    told = monitor_of(session)
    say(session, "SET", "a", "1")
    say(session, "CONFIG", "GET", "maxclients")
    say(session, "AUTH", "secret")
    assert [one.partition(b"] ")[2] for one in told] == [b'"SET" "a" "1"\r\n', b'"AUTH" "(redacted)"\r\n']
    session.shared.sessions[2].let_go()
    assert not session.limited and not session.shared.looked_at
    say(session, "SET", "a", "1")
    assert len(told) == 2


def test_a_user_is_told_what_he_might_run(session: Session) -> None:
    users = make_users(
        None, "user default on nopass ~* &* +@all alltables\nuser some on >p ~a* +@all alltables\n"
    )
    told = monitor_of(session, users, "some")
    for words in (["SET", "a", "1"], ["SET", "b", "1"], ["GET", "b"], ["MGET", "a", "b"], ["GET", "a"]):
        say(session, *words)
    assert [one.partition(b"] ")[2] for one in told] == [b'"SET" "a" "1"\r\n', b'"GET" "a"\r\n']


def test_one_in_steps_is_timed_at_its_end_and_leaves_nothing_if_it_never_begins(
    session: Session, recwarn: pytest.WarningsRecorder
) -> None:
    async def steps() -> bytes:
        return b"+OK\r\n"

    run = timed(Command("X", lambda session, args: steps(), 1, "", "A command in steps."))
    session.shared.slow_log.slower_than = 0
    begun, never = run(session, ["X"]), run(session, ["X", "never"])
    assert not isinstance(begun, bytes) and not isinstance(never, bytes)
    assert asyncio.run(_reply(begun)) == b"+OK\r\n"
    never.close()
    del never
    gc.collect()
    assert ["X"] in slow(session) and ["X", "never"] not in slow(session)
    assert not [warning for warning in recwarn if "never awaited" in str(warning.message)]


async def _reply(answer: Coroutine[Any, Any, Reply]) -> bytes:
    return joined(await answer)
