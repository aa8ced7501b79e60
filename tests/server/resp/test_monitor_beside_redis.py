"""Side by side with a real redis-server: what MONITOR tells, and what the slow log has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving

pytestmark = pytest.mark.interop

SAID = [
    ["SET", "a", "1"],
    ["set", "a", '\n\r\t\a\b\0"\\ \u00e9\udcff'],
    ["GET", "a"],
    ["INCR", "a"],
    ["NOPE", "x"],
    ["GET"],
    ["AUTH", "nobody", "secret"],
    ["HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me"],
    ["MULTI"],
    ["SET", "a", "2"],
    ["ECHO", "x"],
    ["EXEC"],
    ["MULTI"],
    ["DISCARD"],
    ["SELECT", "1"],
    ["CONFIG", "GET", "maxclients"],
    ["CLIENT", "LIST"],
    ["CLIENT", "GETNAME"],
    ["PUBLISH", "a", "b"],
    ["MSET", *(f"k{number}" for number in range(40))],
    ["APPEND", "a", "\u00e9" * 100],
    ["EVALSHA", "abc", "0"],
    ["WAIT", "0", "0"],
    ["EVAL", "return redis.call('get', KEYS[1])", "1", "a"],
    ["MULTI"],
    ["EVAL", "return redis.call('set', 'a', ARGV[1])", "0", "x y"],
    ["EXEC"],
    ["RESET"],
    ["PING"],
]


@pytest.fixture
def addresses() -> Iterator[list[tuple[str, int]]]:
    with redis_server() as theirs, serving(FakeNode("cache", "more", time=RealTime())) as server:
        yield [server.address, theirs]


def told(speaker: Speaker, mark: str) -> list[str]:
    """The lines of a monitor up to a command, without what differs from time to time."""
    lines = []
    while mark not in (said := speaker.read().decode()):
        lines.append(re.sub(r"^\d+\.\d{6} |127.0.0.1:\d+", "", said))
    return lines


def test_what_a_monitor_is_told(addresses: list[tuple[str, int]]) -> None:
    heard, own = [], []
    for address in addresses:
        monitor, client = Speaker(address), Speaker(address)
        assert monitor.say(["MONITOR"]) == b"OK"
        monitor.send_words(["MONITOR"])
        for words in SAID:
            client.say(words)
        client.say(["ECHO", "the end"])
        heard.append(told(monitor, "the end"))
        own.append([monitor.say(["GET", "a"]), monitor.say(["PING"])])
        assert b"PING" in monitor.read()
        own.append([monitor.say(["RESET"]), monitor.say(["GET", "a"])])
        monitor.close()
        client.close()
    assert heard[0] == heard[1] and len(heard[0]) > 20
    assert own[:2] == own[2:]


def test_what_a_slow_log_has(addresses: list[tuple[str, int]]) -> None:
    found: list[Any] = []
    for address in addresses:
        client = Speaker(address)
        assert client.say(["CONFIG", "SET", "slowlog-log-slower-than", "0"]) == b"OK"
        for words in SAID:
            client.say(words)
        found.append(
            [[entry[0], entry[3], entry[4][:3], entry[5]] for entry in client.say(["SLOWLOG", "GET", "-1"])]
        )
        found.append(client.say(["SLOWLOG", "LEN"]))
        client.close()
    assert found[:2] == found[2:]
