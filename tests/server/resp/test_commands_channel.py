"""Channels of the bus by commands: declare, send to one node, send to all."""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis

from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.session import Session
from tests.server.fakes import FakeNode, make_session
from tests.server.resp.saying import OK, say


def waited(session: Session, *args: str) -> Any:
    """The reply to a command that waits."""

    async def live() -> bytes:
        reply = execute(session, list(args))
        assert not isinstance(reply, bytes)
        return await reply

    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(asyncio.run(live()))
    return reader.gets()


def test_a_channel_is_declared_and_used() -> None:
    node = FakeNode()
    session = make_session(node)
    assert say(session, "DMQ.CHANNEL") == []
    assert say(session, "DMQ.CHANNEL", "alerts", "a/b") == OK
    assert say(session, "DMQ.CHANNEL") == ["alerts", "a/b"]
    assert say(session, "PUBLISH", "dmq:alerts", "1") == 0
    assert waited(session, "DMQ.SEND", "alerts", "sip:127.0.0.12:5060", "2") == 200
    assert waited(session, "DMQ.BROADCAST", "alerts", "3", "c/d") == ["sip:127.0.0.12:5060", 200]
    there = "sip:127.0.0.12:5060"
    assert node.bus.sent == [
        ("alerts", b"1", there, "a/b"),
        ("alerts", b"2", there, "a/b"),
        ("alerts", b"3", there, "c/d"),
    ]


def test_what_cannot_be_is_said() -> None:
    session = make_session()
    assert say(session, "DMQ.CHANNEL", "a b").startswith("ERR 'a b=text/plain' is no channel")
    assert say(session, "DMQ.CHANNEL", "htable").startswith("ERR channel 'htable' is taken")
    assert "wrong number" in say(session, "DMQ.CHANNEL", "a", "b/c", "d")
    assert "wrong number" in say(session, "DMQ.SEND", "a", "sip:127.0.0.12", "x", "b/c", "d")
    say(session, "DMQ.CHANNEL", "alerts")
    say(session, "MULTI")
    say(session, "DMQ.BROADCAST", "alerts", "x")
    assert str(say(session, "EXEC")[0]).startswith("ERR DMQ.BROADCAST waits")
