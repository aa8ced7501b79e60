"""The connection: greeting, tables, names."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.command_table import execute
from tests.server.fakes import EPOCH, make_session
from tests.server.resp.saying import OK, Transcript, hold, say

TRANSCRIPTS: dict[str, Transcript] = {
    "tables": [
        ("SET a cache", OK),
        ("SELECT users", OK),
        ("GET a", None),
        ("SET a users", OK),
        ("TTL a", 60),
        ("SELECT 0", OK),
        ("GET a", "cache"),
        ("SELECT 1", OK),
        ("GET a", "users"),
        ("SELECT 2", "ERR DB index is out of range, the tables are cache, users"),
        ("SELECT -1", "ERR DB index is out of range, the tables are cache, users"),
        ("SELECT nope", "ERR no table 'nope', the tables are cache, users"),
        ("GET a", "users"),
        ("FLUSHALL", OK),
        ("SELECT 0", OK),
        ("GET a", None),
    ],
    "the connection": [
        ("PING", "PONG"),
        ("PING hi", "hi"),
        ("PING a b", "ERR wrong number of arguments for 'ping' command"),
        ("ECHO hi", "hi"),
        ("CLIENT GETNAME", None),
        ("CLIENT SETNAME me", OK),
        ("CLIENT GETNAME", "me"),
        ("CLIENT ID", 1),
        ("CLIENT SETINFO LIB-NAME redis-py", OK),
        ("CLIENT SETINFO LIB-VER 5", OK),
        ("CLIENT SETINFO FOO 5", "ERR Unrecognized option 'FOO'"),
        (
            "CLIENT INFO",
            "id=1 addr=127.0.0.1:1 name=me age=0 db=0 table=cache sub=0 psub=0 user=default "
            "resp=2 lib-name=redis-py lib-ver=5\n",
        ),
        ("CLIENT NO-EVICT on", OK),
        ("CLIENT NO-TOUCH maybe", "ERR syntax error"),
        ("CLIENT KILL x", "ERR No such client"),
        ("CLIENT SETNAME", "ERR wrong number of arguments for 'client|setname' command"),
        ("AUTH default x", OK),
        ("AUTH bob x", "WRONGPASS invalid username-password pair or user is disabled."),
        ("RESET", "RESET"),
        ("CLIENT GETNAME", None),
        ("TIME", [str(int(EPOCH) + 1000), "0"]),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_hello_changes_the_version_and_greets() -> None:
    session = make_session()
    greeting = say(session, "HELLO", "3", "AUTH", "default", "x", "SETNAME", "me")
    assert isinstance(greeting, dict)
    assert (greeting["proto"], greeting["server"], greeting["role"]) == (3, "redis", "master")
    assert execute(session, ["GET", "nope"]) == b"_\r\n"
    assert execute(session, ["CONFIG", "GET", "save"]) == b"%1\r\n$4\r\nsave\r\n$0\r\n\r\n"
    assert session.name == "me"
    assert isinstance(say(session, "HELLO", "2"), list)
    assert execute(session, ["GET", "nope"]) == b"$-1\r\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["4"], "NOPROTO unsupported protocol version"),
        (["x"], "ERR Protocol version is not an integer or out of range"),
        (["3", "AUTH", "bob", "x"], "WRONGPASS invalid username-password pair or user is disabled."),
        (["3", "AUTH", "bob"], "ERR Syntax error in HELLO option 'AUTH'"),
        (["3", "FOO"], "ERR Syntax error in HELLO option 'FOO'"),
        (["3", "SETNAME", "a b"], "ERR Client names cannot contain spaces, newlines or special characters."),
    ],
)
def test_a_hello_that_fails_changes_nothing(words: list[str], said: str) -> None:
    session = make_session()
    assert say(session, "HELLO", *words) == said
    assert session.resp3 is False


def test_auth_without_a_user_gets_redis_words() -> None:
    reply = str(say(make_session(), "AUTH", "secret"))
    assert reply.startswith("ERR AUTH <password> called without any password configured")
