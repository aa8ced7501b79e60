"""CLIENT TRACKING: its forms, its refusals, and the cache of a real client."""

from __future__ import annotations

import time
from typing import Final

import pytest
import redis
from redis.cache import CacheConfig

from tests.server.fakes import FakeNode, make_session
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.saying import OK, say
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving
from tests.waiting import wait_until


def test_reads_are_noted_and_changes_told() -> None:
    session = make_session()
    got: list[bytes] = []
    session.push = got.append
    say(session, "HELLO", "3")
    assert say(session, "CLIENT", "GETREDIR") == -1
    assert say(session, "CLIENT", "TRACKING", "ON") == OK
    assert say(session, "CLIENT", "GETREDIR") == 0
    say(session, "MGET", "a", "b")
    session.shared.tables["cache"].set("c", "x")
    assert got == []
    session.shared.tables["cache"].set("b", "x")
    assert got == [b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nb\r\n"]
    assert say(session, "CLIENT", "TRACKING", "OFF") == OK
    session.shared.tables["cache"].set("a", "x")
    assert len(got) == 1 and not session.limited


def test_prefixes_are_bounded() -> None:
    session = make_session()
    many = [word for number in range(101) for word in ("PREFIX", f"p{number:03}")]
    assert say(session, "CLIENT", "TRACKING", "ON", "BCAST", *many) == "ERR at most 100 prefixes"


#: Lines to one new connection of RESP3; a number before: so many messages follow the reply.
SCENARIOS: Final = {
    "refusals": """
        CLIENT CACHING YES
        CLIENT TRACKINGINFO
        CLIENT TRACKING MAYBE
        CLIENT TRACKING MAYBE REDIRECT x
        CLIENT TRACKING ON x
        CLIENT TRACKING ON PREFIX a
        CLIENT TRACKING ON BCAST PREFIX
        CLIENT TRACKING ON BCAST OPTIN
        CLIENT TRACKING ON BCAST NOLOOP OPTOUT
        CLIENT TRACKING ON OPTIN OPTOUT
        CLIENT TRACKING ON NOLOOP
        CLIENT CACHING YES
        CLIENT CACHING NO
        CLIENT CACHING x
        CLIENT CACHING
        CLIENT TRACKING ON BCAST OPTIN
        CLIENT TRACKING OFF OPTIN OPTOUT
        CLIENT GETREDIR""",
    "prefixes": """
        CLIENT TRACKING ON BCAST PREFIX b PREFIX a
        CLIENT TRACKINGINFO
        CLIENT GETREDIR
        CLIENT TRACKING ON BCAST PREFIX ab
        CLIENT TRACKING ON BCAST PREFIX a
        CLIENT TRACKING ON BCAST PREFIX c PREFIX d PREFIX cc
        CLIENT TRACKING ON BCAST PREFIX c PREFIX c
        CLIENT TRACKING ON BCAST PREFIX e NOLOOP
        CLIENT TRACKINGINFO
        CLIENT TRACKING ON
        CLIENT TRACKING ON BCAST
        CLIENT TRACKING ON BCAST
        CLIENT TRACKINGINFO
        CLIENT TRACKING OFF
        CLIENT TRACKING ON
        CLIENT TRACKINGINFO
        CLIENT TRACKING ON BCAST""",
    "ones own changes": """
        CLIENT TRACKING ON
        GET a
        1 SET a 1
        SET a 2
        GET a
        MULTI
        SET a 2
        GET a
        SET a 3
        2 EXEC
        GET a
        1 FLUSHDB
        CLIENT TRACKING ON NOLOOP
        CLIENT TRACKINGINFO
        GET a
        SET a 1
        GET a
        1 FLUSHDB""",
    "ones own changes of prefixes": """
        CLIENT TRACKING ON BCAST PREFIX a
        1 SET a 1
        SET b 1
        1 FLUSHDB
        CLIENT TRACKING OFF
        CLIENT TRACKING ON BCAST NOLOOP
        SET a 1
        1 FLUSHDB""",
    "optin": """
        CLIENT TRACKING ON OPTIN
        CLIENT CACHING NO
        CLIENT CACHING YES
        CLIENT TRACKINGINFO
        BOGUS
        CLIENT TRACKINGINFO
        CLIENT CACHING YES
        GET
        CLIENT TRACKINGINFO
        CLIENT CACHING YES
        CLIENT CACHING
        CLIENT TRACKINGINFO
        CLIENT BOGUS
        CLIENT TRACKINGINFO
        GET a
        SET a 1
        CLIENT CACHING YES
        MGET a b
        GET c
        1 SET a 1
        1 SET b 1
        SET c 1
        CLIENT CACHING YES
        CLIENT ID
        MULTI
        CLIENT TRACKINGINFO
        GET a
        GET b
        EXEC
        CLIENT TRACKINGINFO
        1 SET a 1
        1 SET b 1
        MULTI
        CLIENT CACHING YES
        GET b
        EXEC
        CLIENT TRACKINGINFO
        1 SET b 1
        CLIENT CACHING YES
        MULTI
        DISCARD
        CLIENT TRACKINGINFO
        CLIENT TRACKING ON OPTOUT
        CLIENT TRACKING ON
        CLIENT TRACKINGINFO
        GET a
        1 SET a 1""",
    "optout": """
        CLIENT TRACKING ON OPTOUT NOLOOP
        CLIENT TRACKINGINFO
        CLIENT TRACKING ON OPTOUT
        CLIENT CACHING YES
        CLIENT CACHING no
        CLIENT TRACKINGINFO
        GET a
        GET b
        SET a 1
        1 SET b 1
        CLIENT TRACKING ON OPTIN
        CLIENT TRACKING OFF
        CLIENT TRACKINGINFO
        CLIENT TRACKING ON OPTIN
        CLIENT TRACKINGINFO""",
}


@pytest.mark.interop
def test_beside_a_real_redis() -> None:
    with redis_server() as theirs, serving(FakeNode(time=RealTime())) as ours:
        for name, lines in SCENARIOS.items():
            got, wanted = _said(ours.address, lines), _said(theirs, lines)
            assert got == wanted, name
        for lines in ("CLIENT TRACKING ON\nCLIENT TRACKINGINFO\nGET a\nSET a 1", "INFO x\nCLIENT GETREDIR"):
            assert _said(ours.address, lines, "2") == _said(theirs, lines, "2")


def _said(address: tuple[str, int], lines: str, protocol: str = "3") -> list[tuple[str, object]]:
    """Each line with what it got."""
    client = Speaker(address)
    client.say(["HELLO", protocol])
    said: list[tuple[str, object]] = []
    for line in [*lines.strip().splitlines(), "ECHO end"]:
        count, *words = line.split() if line.split()[0].isdigit() else ("0", *line.split())
        if words == ["FLUSHDB"]:
            # Here a second one of the same millisecond deletes key by key.
            begun = time.monotonic()
            wait_until(lambda since=begun: time.monotonic() > since + 0.002)  # type: ignore[misc]
        client.send_words(words)
        replies = [client.read() for _ in range(1 + int(count))]
        said.append((line, words[-1] == "ID" or list(map(_unordered, replies))))
    client.close()
    return said


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
