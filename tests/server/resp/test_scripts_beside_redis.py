"""Side by side with a real redis-server: scripts get the same replies in RESP2 and RESP3."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from dmqcache.server.resp.command_table import COMMANDS
from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving

pytestmark = pytest.mark.interop

PIECES = [
    "redis.call('SET', KEYS[1], ARGV[1])",
    "redis.call('GET', KEYS[1])",
    "redis.call('GET', KEYS[2])",
    "redis.call('INCR', KEYS[2])",
    "redis.pcall('INCR', KEYS[1])",
    "redis.call('MGET', KEYS[1], KEYS[2], 'nope')",
    "redis.call('DEL', KEYS[1], KEYS[2])",
    "redis.call('PTTL', 'nope')",
    "redis.call('EXISTS', KEYS[1])",
    "redis.call('TYPE', KEYS[1])",
    "redis.call('SET', KEYS[1], 1.5)",
    "redis.call('APPEND', KEYS[1], 12)",
    "redis.call('GETRANGE', KEYS[1], 0, -1)",
    "redis.pcall('NOPE')['err'] ~= nil",
    "redis.pcall('SET', KEYS[1])['err'] ~= nil",
    "redis.sha1hex(ARGV[1])",
    "#KEYS + #ARGV",
    "tonumber(ARGV[2]) * 1.7",
    "ARGV[1] .. '\\0' .. KEYS[1]",
    "{1, 2, {3, 'x', {}}, nil, 5}",
    "{ok = 'fine'}",
    "{err = 'MY words'}",
    "redis.status_reply('S')",
    "redis.error_reply('MY bad thing')",
    "true",
    "false",
    "nil",
    "string.format('%5.2f', 1 / 3)",
    "table.concat({1, 2, 3}, ARGV[1])",
    "{tostring(1e15), tostring(0.1), 10 / 3, -7.9}",
    "select('#', unpack({1, 2, 3}))",
    "{string.find('a=b', '(%w)=(%w)')}",
    "math.floor(-2.5)",
]


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_generated_scripts(protocol: str) -> None:
    chance = random.Random(7)
    compared = 0
    with redis_server() as theirs, serving(FakeNode("cache", time=RealTime())) as ours:
        pair = [Speaker(ours.address), Speaker(theirs)]
        for one in pair:
            one.say(["HELLO", protocol])
        for _ in range(600):
            first, second, last = (chance.choice(PIECES) for _ in range(3))
            code = f"local a = {first} local b = {second} return {chance.choice(['a', 'b', '{a, b}', last])}"
            words = ["EVAL", code, "2", "k", "n", chance.choice(["", "5", "\udcff"]), "3", "x"]
            replies = [one.say(words) for one in pair]
            compared += 1
            assert replies[0] == replies[1], code
        for words in (
            ["EVAL", "return 1"],
            ["EVAL", "return 1", "x"],
            ["EVAL", "return 1", "-1"],
            ["EVAL", "return 1", "2", "a"],
            ["EVALSHA", "0" * 40, "0"],
            ["EVALSHA", "short", "0"],
            ["SCRIPT", "LOAD", "return 1"],
            ["SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "x"],
            ["EVALSHA", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "0"],
            ["SCRIPT", "FLUSH", "NOW"],
            ["SCRIPT", "FLUSH"],
            ["SCRIPT", "EXISTS"],
            ["SCRIPT", "KILL"],
        ):
            replies = [one.say(words) for one in pair]
            assert replies[0] == replies[1], words
        for one in pair:
            one.close()
    assert compared == 600


def test_what_a_script_selects_is_selected_for_it_alone() -> None:
    code = (
        "redis.call('SELECT', ARGV[1]) redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
    )
    failing = "redis.call('SELECT', '1') return redis.call('NOPE')"
    with redis_server() as theirs, serving(FakeNode("cache", "more", time=RealTime())) as ours:
        pair = [Speaker(ours.address), Speaker(theirs)]
        for words in (
            ["EVAL", code, "1", "a", "1"],
            ["GET", "a"],
            ["EVAL", failing, "0"],
            ["SET", "a", "x"],
            ["EVAL", "return redis.call('GET', 'a')", "0"],
            ["SELECT", "1"],
            ["GET", "a"],
            ["EVAL", code, "1", "a", "0"],
            ["GET", "a"],
        ):
            replies = [one.say(words) for one in pair]
            assert replies[0] == replies[1], words
        for one in pair:
            one.close()


def test_what_no_script_may_call() -> None:
    """All that Redis does not let it, and no more."""
    with redis_server() as theirs:
        speaker = Speaker(theirs)
        barred = dict(_barred(speaker.say(["COMMAND"])))
        speaker.close()
    with serving(FakeNode("cache")) as ours:
        speaker = Speaker(ours.address)
        different = set()
        for command in {one.name: one for one in COMMANDS.values()}.values():
            for one in command.subcommands.values() or [command]:
                words = one.name.split("|") + ["x"] * (abs(one.arity) - 1 - one.name.count("|"))
                if one.name in barred and not one.name.endswith("|HELP"):
                    script = "return redis.pcall(unpack(ARGV)).err"
                    got = speaker.say(["EVAL", script, "0", *words])
                    if (got == b"ERR This Redis command is not allowed from script") != barred[one.name]:
                        different.add(one.name)
        speaker.close()
    assert different == set()


def _barred(described: Any) -> Iterator[tuple[str, bool]]:
    """Name -> whether Redis has it ``noscript``."""
    for one in described:
        yield one[0].decode().upper(), b"noscript" in one[2]
        yield from _barred(one[9])
