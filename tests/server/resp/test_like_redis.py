"""Side by side with a real redis-server: the same commands get the same replies.

What is different on purpose is in no transcript; the README tells it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

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
    node = FakeNode("cache", "more", time=RealTime())
    with serving(node) as server:
        ours, theirs = Speaker(server.address), Speaker(rival)
        theirs.say(["FLUSHALL"])
        yield ours, theirs
        ours.close()
        theirs.close()


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
