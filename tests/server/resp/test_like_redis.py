"""Side by side with a real redis-server: the same commands get the same replies.

What is different on purpose is in no transcript; the README tells it.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.serving import serving

pytestmark = pytest.mark.interop

Pair = tuple[Speaker, Speaker]


@pytest.fixture(scope="module")
def rival() -> Iterator[tuple[str, int]]:
    with redis_server() as address:
        yield address


@pytest.fixture
def pair(rival: tuple[str, int]) -> Iterator[Pair]:
    """A connection to ours and one to Redis, both with empty tables."""
    logger = logging.getLogger("dmqcache")
    before = logger.level
    node = FakeNode("cache", "more", time=RealTime())
    with serving(node) as server:
        ours, theirs = Speaker(server.address), Speaker(rival)
        theirs.say(["FLUSHALL"])
        yield ours, theirs
        ours.close()
        theirs.close()
    logger.setLevel(before)  # CONFIG SET changes it


def _transcripts() -> dict[str, list[str]]:
    text = Path(__file__).with_name("like_redis.txt").read_text("utf-8")
    sections = text.split("\n# ")[1:]
    return {name: lines for name, *lines in (section.strip().split("\n") for section in sections)}


TRANSCRIPTS = _transcripts()


class RealTime:
    """The time of day, as Redis has it."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def wall_ms(self) -> int:
        return round(self.wall() * 1000)


def words_of(line: str) -> list[str]:
    return ["" if word == "''" else word for word in line.split(" ")]


@pytest.mark.parametrize("name", TRANSCRIPTS)
@pytest.mark.parametrize("protocol", ["2", "3"])
def test_transcript(pair: Pair, name: str, protocol: str) -> None:
    ours, theirs = pair
    for speaker in pair:
        speaker.say(["HELLO", protocol])
    differences = []
    for line in TRANSCRIPTS[name]:
        words = words_of(line)
        got, wanted = ours.say(words), theirs.say(words)
        if got != wanted:
            differences.append(f"{line}: {got!r}, Redis {wanted!r}")
    assert not differences, "\n".join(differences)


KEYS = ["a", "b", "c", "\u00e9", "x y", "ab"]
VALUES = [
    "",
    "0",
    "5",
    "-5",
    "01",
    "-0",
    "+1",
    "abc",
    "\udcff\0",
    "9223372036854775807",
    "1e3",
    "3.5",
    " 1",
    "x" * 60,
]
NUMBERS = [
    "0",
    "1",
    "-1",
    "5",
    "-5",
    "100",
    "-100",
    "01",
    "x",
    "",
    "9223372036854775807",
    "9223372036854775808",
]
TIMES = ["100000", "9999999", "0", "-1", "x", "9223372036854775807", "99999999999"]
GLOBS = ["*", "a*", "?", "??", "[a-b]", "[^a]*", "\\a", "[", "a[b", "*b", "\u00e9"]
WORDS = [
    "NX",
    "xx",
    "GET",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "PERSIST",
    "GT",
    "lt",
    "bogus",
    "100000",
    "9999999",
]
#: Commands, and what their words are drawn from; the last one may come up to three times.
GRAMMAR: dict[str, list[list[str]]] = {
    "GET": [KEYS],
    "SET": [KEYS, VALUES, WORDS],
    "SETEX": [KEYS, TIMES, VALUES],
    "PSETEX": [KEYS, TIMES, VALUES],
    "SETNX": [KEYS, VALUES],
    "GETSET": [KEYS, VALUES],
    "GETDEL": [KEYS],
    "GETEX": [KEYS, WORDS],
    "MGET": [KEYS, KEYS],
    "MSET": [KEYS, VALUES, KEYS, VALUES],
    "MSETNX": [KEYS, VALUES, KEYS, VALUES],
    "INCR": [KEYS],
    "DECR": [KEYS],
    "INCRBY": [KEYS, NUMBERS],
    "DECRBY": [KEYS, NUMBERS],
    "APPEND": [KEYS, VALUES],
    "STRLEN": [KEYS],
    "GETRANGE": [KEYS, NUMBERS, NUMBERS],
    "SUBSTR": [KEYS, NUMBERS, NUMBERS],
    "LCS": [KEYS, KEYS, ["IDX", "len", "WITHMATCHLEN", "MINMATCHLEN", "2", "bogus"]],
    "DEL": [KEYS, KEYS],
    "UNLINK": [KEYS],
    "EXISTS": [KEYS, KEYS],
    "TOUCH": [KEYS],
    "TYPE": [KEYS],
    "EXPIRE": [KEYS, TIMES, WORDS],
    "PEXPIRE": [KEYS, TIMES, WORDS],
    "EXPIREAT": [KEYS, TIMES, WORDS],
    "PEXPIREAT": [KEYS, TIMES],
    "PERSIST": [KEYS],
    "TTL": [KEYS],
    "PTTL": [KEYS],
    "EXPIRETIME": [KEYS],
    "KEYS": [GLOBS],
    "SCAN": [["0"], ["MATCH", "COUNT", "TYPE", "bogus"], [*GLOBS, "1000", "string", "hash"]],
    "SELECT": [["0", "0", "0", "01", "x1", ""]],
    "MULTI": [[]],
    "EXEC": [[]],
    "DISCARD": [[]],
    "PING": [VALUES],
    "ECHO": [VALUES],
}
#: Where only the sign is compared: time goes on between the two.
TIMED = {"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"}
#: Where ours has its own words, on purpose: tables have names.
OWN_WORDS = ("ERR no table", "ERR DB index", "ERR a time to live is at most", "ERR a key is a text")


def random_command(rng: random.Random) -> list[str]:
    name = rng.choice(list(GRAMMAR))
    pools = [pool for pool in GRAMMAR[name] if pool]
    words = [rng.choice(pool) for pool in pools]
    if pools and not name.startswith("MSET"):
        words += [rng.choice(pools[-1]) for _ in range(rng.choice([0, 0, 0, 1, 2]))]
    if rng.random() < 0.05:
        words = words[:-1]
    return [rng.choice([name, name.lower()]), *words]


def comparable(words: list[str], reply: Any) -> Any:
    name = words[0].upper()
    if name in TIMED and isinstance(reply, int):
        return min(reply, 1)
    if name == "KEYS" and isinstance(reply, list):
        return sorted(reply)
    if name == "SCAN" and isinstance(reply, list):
        return sorted(reply[1])
    return reply


@pytest.mark.parametrize("seed", range(int(os.environ.get("LIKE_REDIS_SEEDS", "4"))))
def test_random_commands(pair: Pair, seed: int) -> None:
    rng = random.Random(seed)
    queued: list[list[str]] = []
    for _ in range(1000):
        words = random_command(rng)
        got, wanted = (speaker.say(words) for speaker in pair)
        if isinstance(wanted, list) and words[0].upper() == "EXEC":
            for said in zip(queued, got, wanted, strict=True):
                compare(pair, *said)
            queued = []
        elif wanted == b"QUEUED":
            assert got == wanted
            queued.append(words)
        else:
            queued = [] if wanted == b"OK" or words[0].upper() == "EXEC" else queued
            compare(pair, words, got, wanted)


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_random_common_subsequences(pair: Pair, protocol: str) -> None:
    """Of values with much in common, in more than one way: Redis' choice among them."""
    rng = random.Random(protocol)
    for speaker in pair:
        speaker.say(["HELLO", protocol])
    for size in (3, 10, 40, 400):
        for _ in range(30):
            values = ["".join(rng.choices("ab\u00e9\0", k=rng.randrange(size + 1))) for _ in range(2)]
            shape = rng.choice([[], ["IDX"], ["IDX", "WITHMATCHLEN", "MINMATCHLEN", rng.choice("012")]])
            for words in (["MSET", "a", values[0], "b", values[1]], ["LCS", "a", "b", *shape]):
                got, wanted = (speaker.say(words) for speaker in pair)
                assert got == wanted, (values, words)


def test_values_that_one_dumps_are_restored_by_the_other(pair: Pair) -> None:
    rng = random.Random(5)
    some = [
        rng.choice("a\u00e9\0") * rng.randrange(90) + str(rng.getrandbits(rng.randrange(1, 70)))
        for _ in range(40)
    ]
    for number, value in enumerate([*VALUES, *some, "".join(rng.choices("abc ", k=50_000))]):
        for mode in ("yes", "no"):
            pair[1].say(["CONFIG", "SET", "rdbcompression", mode])
            for speaker in pair:
                speaker.say(["SET", "a", value])
            dumps = [speaker.say(["DUMP", "a"]).decode("utf-8", "surrogateescape") for speaker in pair]
            assert mode == "yes" or dumps[0] == dumps[1], value
            key = f"k{number}{mode}"
            for speaker, payload in zip(pair, reversed(dumps), strict=True):
                assert speaker.say(["RESTORE", key, "100000", payload, "FREQ", "1"]) == b"OK"
            got, wanted = (speaker.say(["GET", key]) for speaker in pair)
            assert got == wanted == value.encode("utf-8", "surrogateescape")
            assert got is not None and all(speaker.say(["TTL", key]) in (99, 100) for speaker in pair)
    pair[1].say(["RPUSH", "list", "x"])
    dumped = pair[1].say(["DUMP", "list"]).decode("utf-8", "surrogateescape")
    assert pair[0].say(["RESTORE", "list", "0", dumped]) == ("error", "ERR Bad data format")


def compare(pair: Pair, words: list[str], got: Any, wanted: Any) -> None:
    if isinstance(got, tuple) and got[1].startswith(OWN_WORDS):
        for speaker in pair:  # from here on the same again
            speaker.say(["DEL", *words[1:2]])
    else:
        assert comparable(words, got) == comparable(words, wanted), words
