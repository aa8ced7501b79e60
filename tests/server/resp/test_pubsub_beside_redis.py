"""Side by side with a real redis-server: subscriptions, what subscribers get, and in which order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving
from tests.waiting import wait_until

pytestmark = pytest.mark.interop

#: Sequences of commands, and commands of each.
SEEDS = 40
LENGTH = 150
NAMES = ["a", "b", "ab", "", "x y", "\u00e9", "__keyevent@0__:set"]
GLOBS = ["*", "a*", "?", "[ab]", "\u00e9", "", "__key*"]


class Both:
    """Two servers, and on each the same clients."""

    def __init__(self, addresses: list[tuple[str, int]], protocols: list[str]) -> None:
        self.clients = [[Speaker(address) for address in addresses] for _ in protocols]
        self.compared = 0
        for place, protocol in enumerate(protocols):
            self.say(place, "HELLO", protocol)

    def say(self, client: int, *words: str, replies: int = 1) -> Any:
        """One command to both; its replies are the same. All that came before them is told too."""
        for one in self.clients[client]:
            one.send_words(words)
        got = [[one.read() for _ in range(replies)] for one in self.clients[client]]
        if words[0] == "HELLO":
            return None
        self.compared += replies
        assert got[0] == got[1], f"{words}: {got[0]}, Redis {got[1]}"
        return got[0]

    def drained(self, client: int, in_order: bool = True) -> list[Any]:
        """All messages that a client has waiting: those before the answer to a PING."""
        mark = f"mark{self.compared}"
        found = []
        for one in self.clients[client]:
            one.send_words(("PING", mark))
            heard = []
            while (reply := one.read()) not in (mark.encode(), [b"pong", mark.encode()]):
                heard.append(reply)
            found.append(heard if in_order else sorted(heard))
        self.compared += len(found[0]) + 1
        assert found[0] == found[1]
        return found[0]

    def close(self) -> None:
        for one in itertools.chain(*self.clients):
            one.close()


@pytest.fixture(scope="module")
def addresses() -> Iterator[list[tuple[str, int]]]:
    with redis_server() as theirs, serving(FakeNode("cache", "more", time=RealTime())) as ours:
        yield [ours.address, theirs]


@pytest.fixture
def both(addresses: list[tuple[str, int]]) -> Iterator[Both]:
    both = Both(addresses, ["2", "3", "2", "3"])
    both.say(2, "FLUSHALL")
    both.say(2, "CONFIG", "SET", "notify-keyspace-events", "")
    yield both
    both.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_generated_sequences(both: Both, seed: int) -> None:
    """Clients 0 and 1 subscribe (RESP2, RESP3), 2 and 3 publish and ask."""
    chance = random.Random(seed)
    for _ in range(LENGTH):
        who = chance.randrange(2)
        names = chance.sample(NAMES, chance.randint(1, 3))
        match chance.randrange(9):
            case 0 | 1:
                both.say(who, "SUBSCRIBE", *names, replies=len(names))
            case 2:
                globs = chance.sample(GLOBS, chance.randint(1, 2))
                both.say(who, "PSUBSCRIBE", *globs, replies=len(globs))
            case 3:
                both.say(who, "UNSUBSCRIBE", *names, replies=len(names))
            case 4:
                both.say(who, "PUNSUBSCRIBE", chance.choice(GLOBS))
            case 5 | 6:
                # Which pattern is told first is chance in Redis: one message at a time is compared sorted.
                both.say(2 + chance.randrange(2), "PUBLISH", names[0], chance.choice(["", "1", "\udcff\0"]))
                for client in (0, 1):
                    both.drained(client, in_order=False)
            case 7:
                both.say(2, "PUBSUB", "NUMSUB", *names)
                both.say(3, "PUBSUB", "NUMPAT")
            case 8:
                both.say(0, *chance.choice([["PING"], ["PING", "x"], ["GET", "a"], ["SUBSCRIBE"], ["GET"]]))
    assert both.compared > LENGTH


def test_a_subscriber_of_resp3_that_publishes_to_itself(both: Both) -> None:
    both.say(1, "SUBSCRIBE", "a")
    assert both.say(1, "PUBLISH", "a", "x", replies=2) == [[b"message", b"a", b"x"], 1]
    both.say(1, "UNSUBSCRIBE")
    assert both.say(1, "UNSUBSCRIBE") == [[b"unsubscribe", None, 0]]
    both.say(1, "PUNSUBSCRIBE")
    both.say(0, "UNSUBSCRIBE")
    both.say(1, "MULTI")
    both.say(1, "SUBSCRIBE", "b")
    both.say(2, "PUBSUB", "CHANNELS")
    both.say(2, "PUBSUB", "CHANNELS", "a*")
    both.say(2, "PUBSUB", "NUMSUB")
    both.say(2, "PUBSUB", "NOTHING")
    both.say(2, "PUBSUB", "NUMPAT", "x")
    both.say(2, "PUBLISH", "a")


@pytest.mark.parametrize(
    "letters", ["KEA", "Kg$", "Ex", "KEAn", "", "gE", "EKxlA", "Kn", "g$lshzxetdKE", "xnK"]
)
def test_letters(both: Both, letters: str) -> None:
    both.say(2, "CONFIG", "SET", "notify-keyspace-events", letters)
    both.say(2, "CONFIG", "GET", "notify-keyspace-events")


WRITES = [
    ["SET", "a", "1"],
    ["SET", "b", "1"],
    ["SET", "a", "1", "EX", "1000"],
    ["SET", "b", "x", "PX", "100000"],
    ["SETNX", "a", "1"],
    ["SETEX", "a", "100", "1"],
    ["GETSET", "b", "1"],
    ["GETDEL", "a"],
    ["MSET", "a", "1", "b", "2"],
    ["MSETNX", "a", "1", "b", "2"],
    ["SET", "a", "5", "XX"],
    ["SET", "a", "5", "NX"],
    ["SET", "a", "6", "KEEPTTL"],
    ["DEL", "a"],
    ["DEL", "a", "b", "c"],
    ["UNLINK", "b"],
    ["EXPIRE", "a", "1000"],
    ["EXPIRE", "a", "-1"],
    ["PEXPIRE", "b", "50000"],
    ["EXPIRE", "a", "2000", "NX"],
    ["PERSIST", "a"],
    ["PERSIST", "c"],
    ["GETEX", "b", "EX", "700"],
    ["GETEX", "b", "PERSIST"],
    ["GET", "a"],
]


@pytest.mark.parametrize("seed", range(20))
def test_keyspace_notifications(both: Both, seed: int) -> None:
    """Of the commands whose events are Redis' own; all others are told as set and del."""
    chance = random.Random(seed)
    both.say(2, "CONFIG", "SET", "notify-keyspace-events", "KEA")
    both.say(0, "PSUBSCRIBE", "__key*")
    both.say(1, "SUBSCRIBE", "__keyevent@0__:expire")
    for _ in range(LENGTH):
        words = chance.choice(WRITES)
        both.say(2, *words)
        for client in (0, 1):
            heard = both.drained(client)
            assert words[0] != "GET" or not heard


def test_expiry_is_told_once(both: Both) -> None:
    both.say(2, "CONFIG", "SET", "notify-keyspace-events", "KEx")
    both.say(0, "PSUBSCRIBE", "__key*")
    both.say(2, "SET", "a", "1", "PX", "1")
    for one in both.clients[2]:
        wait_until(lambda one=one: one.say(["GET", "a"]) is None)  # type: ignore[misc]
    assert [heard[2] for heard in both.drained(0)] == [b"__keyspace@0__:a", b"__keyevent@0__:expired"]
