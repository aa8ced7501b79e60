"""Side by side with a real redis-server: who may do what, and the words for who may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dmqcache.server.resp import permission
from dmqcache.server.resp.command import Command
from dmqcache.server.resp.command_table import COMMANDS
from dmqcache.server.resp.users import make_users
from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.serving import serving
from tests.waiting import wait_until

pytestmark = pytest.mark.interop

USERS = """\
user default on >top ~* &* +@all
user r on >p %R~* +@all
user w on >p %W~* +@all
user a on >p ~a* +@all
user off off >p ~* +@all
user none on >p
user few on >p ~* &* -@all +@connection +get -select
user chan on nopass ~* resetchannels &a* &b +@all
user some on nopass %R~y ~z* resetchannels +@all -@dangerous -@write +set
"""
#: Redis 7.0's WAIT is not ``blocking``, 7.2's is.
NEWER = {"wait"}

Pair = tuple[Speaker, Speaker]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection to ours and one to Redis, both as the default user; both have the same users."""
    with redis_server() as rival, serving(FakeNode("cache", "more")) as server:
        users = make_users(None, USERS)
        server.loop.call_soon_threadsafe(permission.use, server.shared, users)
        wait_until(lambda: server.shared.users is users)
        setting = Speaker(rival)
        for line in reversed(USERS.splitlines()):
            assert setting.say(["ACL", "SETUSER", *line.split()[1:]]) == b"OK"
        ours, theirs = Speaker(server.address), Speaker(rival)
        for one in (ours, theirs):
            one.say(["AUTH", "top"])
        yield ours, theirs
        for one in (ours, theirs, setting):
            one.close()


def compare(pair: Pair, *words: str) -> None:
    got, wanted = (one.say(words) for one in pair)
    assert got == wanted, words


def every_command() -> Iterator[Command]:
    for name, command in COMMANDS.items():
        if name == command.name and not name.startswith("DMQ."):
            yield command
            yield from command.subcommands.values()


def described(reply: Any) -> dict[str, set[bytes]]:
    """Name -> categories, of COMMAND."""
    found = {}
    for entry in reply:
        found[entry[0].decode()] = set(entry[6])
        found |= described(entry[9])
    return found


def test_categories(pair: Pair) -> None:
    ours, theirs = (described(one.say(["COMMAND"])) for one in pair)
    both = (ours.keys() & theirs.keys()) - NEWER
    assert len(both) > 90
    assert {name: ours[name] for name in both} == {name: theirs[name] for name in both}
    compare(pair, "ACL", "CAT")


def examples(command: Command) -> Iterator[list[str]]:
    """Whole commands, on the keys ``a1`` and ``1``."""
    words = command.name.split("|")
    words += ["1"] * (abs(command.arity) - len(words))
    if command.name == "BITOP":
        words = ["BITOP", "AND", "b", "a"]
    yield words
    if first := command.keys[0]:
        yield [*words[:first], "a1", *words[first + 1 :]]
    if command.name == "SET":
        yield ["SET", "y", "1", "GET"]
    elif command.name == "BITFIELD":
        yield ["BITFIELD", "y", "GET", "u8", "0"]
        yield ["BITFIELD", "y", "SET", "u8", "0", "1"]


def test_what_each_user_may(pair: Pair) -> None:
    missing = (b"ERR Command", b"ERR wrong number")
    compared = 0
    for command in every_command():
        if command.name.lower() in NEWER:
            continue
        for words in examples(command):
            for user in ("default", "r", "w", "a", "none", "few", "some"):
                got, wanted = (one.say(["ACL", "DRYRUN", user, *words]) for one in pair)
                if isinstance(wanted, tuple) and wanted[1].encode().startswith(missing):
                    continue  # younger than this Redis
                assert got == wanted, (user, words)
                compared += 1
    assert compared > 800


TRANSCRIPT = """\
AUTH r wrong
AUTH off p
AUTH nobody p
AUTH a b c
AUTH bad
AUTH
HELLO 3 AUTH r x
AUTH r p
ACL WHOAMI
SET a b
GET a
MULTI
SET a b
EXEC
AUTH few p
GET a
SELECT 1
CLIENT GETNAME
MULTI
SET a 1
EXEC
EXEC x
CLIENT KILL USER nobody
RESET
GET a
PING
HELLO
HELLO 3
HELLO 3 SETNAME x
QUITX
GET
ACL NOPE
ACL WHOAMI
HELLO 3 AUTH default
AUTH default top
ACL GETUSER r
ACL GETUSER none
ACL GETUSER nobody
ACL USERS
ACL CAT nope
ACL LOG x
ACL LOG reset
ACL LOG
ACL DRYRUN nobody GET a
ACL DRYRUN r NOPE a
ACL DRYRUN r GET
"""


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_transcript(pair: Pair, protocol: str) -> None:
    for one in pair:
        one.say(["HELLO", protocol])
    for line in TRANSCRIPT.splitlines():
        compare(pair, *line.split())


@pytest.mark.parametrize(
    "data",
    [
        b"*11\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
        b"SET a b\r\n",
        b"*-1\r\nPING\r\n",
        b"A" * 70_000,
        b"AUTH top\r\n*12\r\n" + b"$1\r\na\r\n" * 12,
        b"AUTH top\r\n*2\r\n$4\r\nECHO\r\n$20000\r\n" + b"x" * 20_000 + b"\r\n",
    ],
)
def test_limits_before_the_password(pair: Pair, data: bytes) -> None:
    for one in pair:
        one.say(["RESET"])
        one.send(data)
    ours, theirs = pair
    replies = [ours.read(), theirs.read()]
    if data.startswith(b"AUTH"):
        replies = [ours.read(), theirs.read()]
    assert replies[0] == replies[1]


def test_channels(pair: Pair) -> None:
    for user in ("chan", "top", "none", "some"):
        for words in (
            "PUBLISH a x",
            "PUBLISH abc x",
            "PUBLISH b x",
            "PUBLISH bc x",
            "SUBSCRIBE a b",
            "SUBSCRIBE ab c",
            "PSUBSCRIBE a*",
            "PSUBSCRIBE ab*",
            "PSUBSCRIBE b",
            "UNSUBSCRIBE c",
            "PUBSUB CHANNELS",
        ):
            compare(pair, "ACL", "DRYRUN", user, *words.split())
    for one in pair:
        assert one.say(["AUTH", "chan", "any"]) == b"OK"
    compare(pair, "PUBLISH", "c", "x")
    compare(pair, "PUBLISH", "ab", "x")
    compare(pair, "SUBSCRIBE", "c")
    compare(pair, "SUBSCRIBE", "b")
    compare(pair, "SUBSCRIBE", "c")
    compare(pair, "GET", "c")
    compare(pair, "PUBLISH", "c", "x")
