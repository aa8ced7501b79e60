"""Side by side with a real redis-server: which commands a pause holds, and what they reply after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving
from tests.waiting import wait_until

pytestmark = pytest.mark.interop

COMMANDS = [
    *("GET a", "SET a 1", "SET a", "GETEX a", "GETDEL a", "MGET a b", "APPEND a x", "COPY a b", "TOUCH a"),
    *("SETBIT a 1 1", "GETBIT a 1", "BITFIELD a GET u8 0", "BITFIELD_RO a GET u8 0", "BITOP NOT b a"),
    *("LCS a b LEN", "EXPIRE a 100", "PERSIST a", "RENAME a b", "RENAMENX no b", "MOVE a 1", "SCAN 0"),
    *("FLUSHALL", "FLUSHDB", "DEL no", "PUBLISH a b", "SELECT 1", "SELECT 0", "WATCH a", "UNWATCH", "PING"),
    *("MULTI", "INCR a", "EXEC", "MULTI", "GET a", "EXEC", "MULTI", "BOGUS", "SET a 1", "EXEC", "EXEC"),
    *(
        "MULTI",
        "SET a 1",
        "BOGUS",
        "EXEC",
        "MULTI",
        "PUBLISH a b",
        "DISCARD",
        "DISCARD",
        "CLIENT PAUSE x",
        "CLIENT GETNAME",
        "WAIT 0 0",
        "DBSIZE",
    ),
    *(
        "EVALSHA abc 0",
        "EVALSHA",
        "EVAL return 0",
        "SCRIPT EXISTS a",
        "SUBSCRIBE x",
        "UNSUBSCRIBE x",
        "RESET",
    ),
]


class Side:
    """One server with two clients: one that pauses, one that is held."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.boss, self.client = Speaker(address), Speaker(address)

    def say(self, line: str) -> tuple[bool, Any]:
        """Whether a pause of writes holds a command, and its reply."""
        assert self.boss.say(["CLIENT", "PAUSE", "100000", "WRITE"]) == b"OK"
        self.client.send_words(line.split(" "))
        held = wait_until(lambda: (self.is_held() and "held") or (self.has_reply() and "answered"))
        assert self.boss.say(["CLIENT", "UNPAUSE"]) == b"OK"
        return held == "held", self.client.read()

    def is_held(self) -> bool:
        return b"blocked_clients:1" in self.boss.say(["INFO", "clients"])

    def has_reply(self) -> bool:
        return self.client.has_reply()


@pytest.fixture
def sides() -> Iterator[tuple[Side, Side]]:
    with redis_server() as theirs, serving(FakeNode("cache", "more", time=RealTime())) as server:
        ours = Side(server.address), Side(theirs)
        yield ours
        for side in ours:
            side.boss.close()
            side.client.close()


def test_what_is_held_and_what_it_replies(sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    differences = []
    for line in COMMANDS:
        got, wanted = ours.say(line), theirs.say(line)
        if got != wanted:
            differences.append(f"{line}: {got}, Redis {wanted}")
    assert not differences, "\n".join(differences)


def test_pauses_of_both_kinds_at_once(sides: tuple[Side, Side]) -> None:
    """The longer and the stricter one: UNPAUSE itself waits."""
    for side in sides:
        said = [
            side.boss.say(["CLIENT", "PAUSE", "100000", "WRITE"]),
            side.boss.say(["CLIENT", "UNPAUSE"]),
            side.boss.say(["CLIENT", "PAUSE", "300", "WRITE"]),
            side.boss.say(["CLIENT", "PAUSE", "1", "ALL"]),
            side.boss.say(["CLIENT", "PAUSE", "100000", "WRITE"]),
        ]
        assert said == [b"OK"] * 5
        side.client.send_words(["SET", "a", "1"])
        wait_until(side.is_held)
        assert side.boss.say(["CLIENT", "UNPAUSE"]) == b"OK"
        assert side.client.read() == b"OK"
        assert side.boss.say(["CLIENT", "UNBLOCK", "1", "bogus"])[0] == "error"
