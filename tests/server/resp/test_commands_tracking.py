"""CLIENT TRACKING: its forms, its refusals, and the cache of a real client."""

from __future__ import annotations

import pytest
import redis
from redis.cache import CacheConfig

from tests.server.fakes import FakeNode, make_session
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.saying import OK, say
from tests.server.serving import serving
from tests.waiting import wait_until


def test_reads_are_noted_and_changes_told() -> None:
    session = make_session()
    got: list[bytes] = []
    session.push = got.append
    assert say(session, "CLIENT", "TRACKING", "ON").startswith("ERR CLIENT TRACKING tells by messages")
    say(session, "HELLO", "3")
    assert say(session, "CLIENT", "GETREDIR") == -1
    assert say(session, "CLIENT", "TRACKING", "ON") == OK
    assert say(session, "CLIENT", "GETREDIR") == 0
    say(session, "MGET", "a", "b")
    say(session, "SET", "c", "x")
    assert got == []
    say(session, "SET", "b", "x")
    assert got == [b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nb\r\n"]
    assert say(session, "CLIENT", "TRACKING", "OFF") == OK
    say(session, "SET", "a", "x")
    assert len(got) == 1 and not session.limited


def test_what_is_not_there_is_said() -> None:
    session = make_session()
    say(session, "HELLO", "3")
    for word in ("OPTIN", "OPTOUT", "NOLOOP"):
        assert say(session, "CLIENT", "TRACKING", "ON", word).startswith(f"ERR CLIENT TRACKING has no {word}")
    assert say(session, "CLIENT", "TRACKING", "ON", "PREFIX", "x").startswith(
        "ERR PREFIX option requires BCAST"
    )
    many = [word for number in range(101) for word in ("PREFIX", f"p{number:03}")]
    assert say(session, "CLIENT", "TRACKING", "ON", "BCAST", *many) == "ERR at most 100 prefixes"


@pytest.mark.interop
def test_beside_a_real_redis() -> None:
    with redis_server() as theirs, serving(FakeNode()) as ours:
        pair = [Speaker(ours.address), Speaker(theirs)]
        for line in (
            "HELLO 3",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING MAYBE",
            "CLIENT TRACKING ON x",
            "CLIENT TRACKING ON BCAST PREFIX a PREFIX b",
            "CLIENT TRACKINGINFO",
            "CLIENT GETREDIR",
            "CLIENT TRACKING ON BCAST PREFIX ab",
            "CLIENT TRACKING ON BCAST PREFIX a",
            "CLIENT TRACKING ON BCAST PREFIX c PREFIX d PREFIX cc",
            "CLIENT TRACKING ON BCAST PREFIX c PREFIX c",
            "CLIENT TRACKING ON BCAST PREFIX e",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING ON",
            "CLIENT TRACKING OFF",
            "CLIENT TRACKING ON",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING ON BCAST",
            "CLIENT TRACKING ON PREFIX a",
            "CLIENT TRACKING OFF",
            "CLIENT TRACKINGINFO",
        ):
            replies = [one.say(line.split()) for one in pair]
            if not line.startswith("HELLO"):
                assert _unordered(replies[0]) == _unordered(replies[1]), line
        for one in pair:
            one.close()


@pytest.mark.interop
def test_redirection_beside_a_real_redis() -> None:
    with redis_server() as theirs, serving(FakeNode()) as ours:
        assert _redirected(ours.address) == _redirected(theirs)


def _redirected(address: tuple[str, int]) -> list[object]:
    """What one server says when a client of RESP2 is told of what another one reads."""
    reader, writer, ear = (Speaker(address) for _ in range(3))
    said: list[object] = []
    id_ = str(ear.say(["CLIENT", "ID"]))
    ear.say(["SUBSCRIBE", "__redis__:invalidate"])
    for words in (
        ["CLIENT", "TRACKING", "ON", "REDIRECT"],
        ["CLIENT", "TRACKING", "ON", "REDIRECT", "x"],
        ["CLIENT", "TRACKING", "ON", "REDIRECT", "999999"],
        ["CLIENT", "TRACKING", "ON", "REDIRECT", id_, "REDIRECT", id_],
        ["CLIENT", "TRACKING", "ON", "REDIRECT", id_],
    ):
        said.append(reader.say(words))
    said.append(str(reader.say(["CLIENT", "GETREDIR"])) == id_)
    for words in (["SET", "k", "1"], ["SET", "k", "2"], ["FLUSHDB"]):
        reader.say(["GET", "k"])
        writer.say(words)
        said.append(ear.read())
    reader.say(["CLIENT", "TRACKING", "OFF"])
    reader.say(["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "REDIRECT", id_])
    writer.say(["SET", "ab", "1"])
    said.append(ear.read())
    ear.close()

    def broken() -> bool:
        writer.say(["SET", "ab", "1"])
        return b"broken_redirect" in reader.say(["CLIENT", "TRACKINGINFO"])[1]

    wait_until(broken, what="who was told is gone")
    info = reader.say(["CLIENT", "TRACKINGINFO"])
    said.append([sorted(info[1]), str(info[3]) == id_, info[4:]])
    for one in (reader, writer):
        one.close()
    return said


def _unordered(reply: object) -> object:
    if isinstance(reply, dict):
        return {
            key: sorted(value) if isinstance(value, list | set) else value for key, value in reply.items()
        }
    return reply


def test_the_cache_of_a_client() -> None:
    with serving(FakeNode()) as server:
        host, port = server.address
        caching = redis.Redis(host, port, protocol=3, cache_config=CacheConfig(), decode_responses=True)
        other = redis.Redis(host, port, decode_responses=True)
        other.set("a", "1")
        assert caching.get("a") == caching.get("a") == "1"
        commands = server.counters.commands
        assert caching.get("a") == "1"
        assert server.counters.commands == commands, "it was not asked again"
        other.set("a", "2")
        wait_until(lambda: caching.get("a") == "2")
        caching.close()
        other.close()
