"""A client that tracks: its reads are noted when done, its own changes are told after the reply."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.session import Session
from tests.server.fakes import make_session
from tests.server.resp.saying import say

TOLD = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"


@pytest.fixture
def session() -> Iterator[Session]:
    session = make_session()
    say(session, "HELLO", "3")
    yield session


def run(session: Session, line: str) -> bytes:
    reply = execute(session, line.split())
    assert isinstance(reply, bytes)
    return reply


def test_ones_own_change_is_told_after_the_reply(session: Session) -> None:
    run(session, "CLIENT TRACKING ON")
    run(session, "GET a")
    assert run(session, "SET a 1") == b"+OK\r\n" + TOLD
    for line in ("GET a", "MULTI", "DEL a", "PING"):
        run(session, line)
    assert run(session, "EXEC") == b"*2\r\n:1\r\n+PONG\r\n" + TOLD


def test_a_reply_that_is_left_out_leaves_out_no_message(session: Session) -> None:
    got: list[bytes] = []
    session.push = got.append
    run(session, "CLIENT TRACKING ON")
    run(session, "GET a")
    run(session, "CLIENT REPLY OFF")
    assert run(session, "SET a 1") == b"+OK\r\n"
    assert got == [TOLD]


def test_a_key_whose_time_is_over_when_it_is_read_is_remembered(session: Session) -> None:
    """That it is over is told; that it is written after that too."""
    run(session, "CLIENT TRACKING ON")
    run(session, "SET a 1 PX 5")
    run(session, "GET a")
    session.shared.node.time.seconds += 1  # type: ignore[attr-defined]
    assert run(session, "GET a") == b"_\r\n" + TOLD
    assert run(session, "SET a 2") == b"+OK\r\n" + TOLD


def test_what_is_queued_is_no_read_yet(session: Session) -> None:
    run(session, "CLIENT TRACKING ON")
    for line in ("MULTI", "GET a", "DISCARD"):
        run(session, line)
    assert run(session, "SET a 1") == b"+OK\r\n"


def test_changes_in_steps_are_ones_own(session: Session) -> None:
    """Long commands run in steps, in which others change too."""
    got: list[bytes] = []
    session.push = got.append
    keys = [f"k{number}" for number in range(3_000)]
    for key in keys:
        run(session, f"SET {key} v")
    run(session, "CLIENT TRACKING ON BCAST NOLOOP")
    assert say(session, "DEL", *keys) == len(keys)
    assert got == []
    run(session, "CLIENT TRACKING ON BCAST")
    for key in keys:
        run(session, f"SET {key} v")
    reply = execute(session, ["DEL", *keys])
    while not isinstance(reply, bytes):
        try:
            reply.send(None)
        except StopIteration as end:
            reply = end.value
    assert (b"".join(got) + reply).count(b"invalidate") == len(keys)
