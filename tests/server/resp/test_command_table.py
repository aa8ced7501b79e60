"""Each command's replies and errors are Redis' own: cases as a client sees them, on real tables."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest

from dmqcache.server.resp.command_table import COMMANDS, execute
from dmqcache.server.resp.session import Session
from tests.server.fakes import EPOCH, FakeNode, make_session

OK = "OK"
NOT_INTEGER = "ERR value is not an integer or out of range"


def say(session: Session, *args: str) -> Any:
    """One command's reply as a client's library gives it; errors as their text."""
    reply = execute(session, list(args))
    assert isinstance(reply, bytes)
    reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
    reader.feed(reply)
    value = reader.gets()
    assert not reader.has_data()
    return str(value) if isinstance(value, hiredis.ReplyError) else value


def test_the_arguments_of_every_command_are_counted() -> None:
    session = make_session()
    for name, command in COMMANDS.items():
        if abs(command.arity) > 1:
            too_few = [name] + ["x"] * (abs(command.arity) - 2)
            expected = f"ERR wrong number of arguments for '{name.lower()}' command"
            assert say(session, *too_few) == expected, name


# Transcripts: a line of words and the reply it gets, one after the other on one new connection.
TRANSCRIPTS: dict[str, list[tuple[str, object]]] = {
    "get and set": [
        ("GET a", None),
        ("SET a 1", OK),
        ("GET a", "1"),
        ("gEt a", "1"),
        ("SET a", "ERR wrong number of arguments for 'set' command"),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("FOO a b", "ERR unknown command 'FOO', with args beginning with: 'a' 'b' "),
    ],
    "set on conditions": [
        ("SET a 1 XX", None),
        ("SET a 1 NX", OK),
        ("SET a 2 NX", None),
        ("SET a 2 XX", OK),
        ("GET a", "2"),
        ("SET a 3 NX XX", "ERR syntax error"),
        ("SET a 3 GET", "2"),
        ("SET b 3 GET", None),
        ("SET b 4 NX GET", "3"),
        ("GET b", "3"),
        ("SET a 3 BOGUS", "ERR syntax error"),
    ],
    "set with a time": [
        ("SET a 1 EX 10", OK),
        ("TTL a", 10),
        ("SET a 2 KEEPTTL", OK),
        ("TTL a", 10),
        ("SET a 2", OK),
        ("TTL a", -1),
        ("SET a 1 PX 1500", OK),
        ("PTTL a", 1500),
        ("TTL a", 2),
        (f"SET a 1 EXAT {int(EPOCH) + 1100}", OK),
        ("TTL a", 100),
        (f"SET a 1 PXAT {int(EPOCH) * 1000 + 1050_000}", OK),
        ("TTL a", 50),
        ("SET a 1 EXAT 5", OK),
        ("GET a", None),
        ("SET a 1 EX 0", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX -1", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX", "ERR syntax error"),
        ("SET a 1 EX ten", NOT_INTEGER),
        ("SET a 1 EX 5 PX 5", "ERR syntax error"),
        ("SET a 1 EX 5 KEEPTTL", "ERR syntax error"),
        ("SET a 1 KEEPTTL EX 5", "ERR syntax error"),
    ],
    "the older ways to set": [
        ("SETEX a 10 x", OK),
        ("TTL a", 10),
        ("PSETEX a 10000 y", OK),
        ("PTTL a", 10000),
        ("SETEX a 0 x", "ERR invalid expire time in 'setex' command"),
        ("PSETEX a -1 x", "ERR invalid expire time in 'psetex' command"),
        ("SETNX a z", 0),
        ("SETNX b z", 1),
        ("GETSET a new", "y"),
        ("GETDEL a", "new"),
        ("GETDEL a", None),
    ],
    "get and change the time": [
        ("GETEX a", None),
        ("SET a 1", OK),
        ("GETEX a EX 5", "1"),
        ("TTL a", 5),
        ("GETEX a PERSIST", "1"),
        ("TTL a", -1),
        ("GETEX a EX 5 PX 5", "ERR syntax error"),
        ("GETEX a NX", "ERR syntax error"),
        ("GETEX a EXAT 1", "1"),
        ("GET a", None),
    ],
    "many at once": [
        ("MSET a 1 b 2", OK),
        ("MGET a nope b", ["1", None, "2"]),
        ("MSET a 1 b", "ERR wrong number of arguments for 'mset' command"),
        ("MSETNX c 1 a 2", 0),
        ("MSETNX c 1 d 2", 1),
        ("EXISTS a b a nope", 3),
        ("DEL a a nope", 1),
        ("UNLINK b c d", 3),
        ("DBSIZE", 0),
    ],
    "counters": [
        ("INCR n", 1),
        ("INCRBY n 41", 42),
        ("DECR n", 41),
        ("DECRBY n 1", 40),
        ("GET n", "40"),
        ("MGET n", ["40"]),
        ("SET s 10", OK),
        ("INCR s", 11),
        ("SET s ten", OK),
        ("INCR s", NOT_INTEGER),
        ("INCRBY n x", NOT_INTEGER),
        ("INCRBY n 1.5", NOT_INTEGER),
        ("INCRBY n 9223372036854775808", NOT_INTEGER),
        ("INCRBY n 9223372036854775807", "ERR increment or decrement would overflow"),
        ("DECRBY n -9223372036854775808", "ERR decrement would overflow"),
        ("GET n", "40"),
    ],
    "integers": [
        ("SET n 5 INT", OK),
        ("DMQ.CELL n", [5, -1]),
        ("SET n 05 INT", NOT_INTEGER),
        ("SET n +5 INT", NOT_INTEGER),
        ("SET s 5", OK),
        ("DMQ.CELL s", ["5", -1]),
        ("OBJECT ENCODING n", "int"),
        ("OBJECT ENCODING s", "raw"),
        ("OBJECT ENCODING nope", None),
        ("STRLEN n", 1),
        ("SET b x INT", NOT_INTEGER),
        ("EXISTS b", 0),
    ],
    "parts of values": [
        ("APPEND a hel", 3),
        ("APPEND a lo", 5),
        ("GET a", "hello"),
        ("STRLEN a", 5),
        ("STRLEN nope", 0),
        ("GETRANGE a 1 3", "ell"),
        ("GETRANGE a -3 -1", "llo"),
        ("GETRANGE a 0 -9", ""),
        ("GETRANGE a 3 99", "lo"),
        ("GETRANGE nope 0 1", ""),
        ("GETRANGE a x 1", NOT_INTEGER),
        ("SET t x EX 9", OK),
        ("APPEND t y", 2),
        ("TTL t", 9),
    ],
    "times to live": [
        ("TTL nope", -2),
        ("PTTL nope", -2),
        ("EXPIRE nope 5", 0),
        ("SET a 1", OK),
        ("TTL a", -1),
        ("EXPIRETIME a", -1),
        ("EXPIRE a 100", 1),
        ("TTL a", 100),
        ("EXPIRETIME a", int(EPOCH) + 1100),
        ("PEXPIRETIME a", (int(EPOCH) + 1100) * 1000),
        ("PERSIST a", 1),
        ("PERSIST a", 0),
        ("PERSIST nope", 0),
        ("PEXPIRE a 2500", 1),
        ("PTTL a", 2500),
        (f"EXPIREAT a {int(EPOCH) + 1010}", 1),
        ("TTL a", 10),
        (f"PEXPIREAT a {(int(EPOCH) + 1020) * 1000}", 1),
        ("TTL a", 20),
        ("EXPIRE a x", NOT_INTEGER),
        ("EXPIRE a 9223372036854775807", "ERR invalid expire time in 'expire' command"),
        ("EXPIRE a -1", 1),
        ("EXISTS a", 0),
    ],
    "times to live on conditions": [
        ("SET a 1", OK),
        ("EXPIRE a 10 XX", 0),
        ("EXPIRE a 10 GT", 0),
        ("EXPIRE a 10 LT", 1),
        ("EXPIRE a 20 NX", 0),
        ("EXPIRE a 20 LT", 0),
        ("EXPIRE a 20 GT", 1),
        ("EXPIRE a 5 XX", 1),
        ("TTL a", 5),
        ("EXPIRE a 5 NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE a 5 LT GT", "ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE a 5 FOO", "ERR Unsupported option foo"),
        ("PERSIST a", 1),
        ("EXPIRE a 5 NX", 1),
    ],
    "listing": [
        ("MSET user:1 a user:2 b other c", OK),
        ("KEYS user:*", ["user:1", "user:2"]),
        ("KEYS *r*", ["other", "user:1", "user:2"]),
        ("KEYS nope", []),
        ("DBSIZE", 3),
        ("TYPE user:1", "string"),
        ("TYPE nope", "none"),
        ("TOUCH user:1 nope", 1),
        ("SCAN 0 MATCH user:* COUNT 100", ["0", ["user:1", "user:2"]]),
        ("SCAN 0 TYPE hash", ["0", []]),
        ("SCAN 0 TYPE string MATCH o*", ["0", ["other"]]),
        ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 MATCH", "ERR syntax error"),
        ("SCAN 0 BOGUS", "ERR syntax error"),
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 12345", "ERR invalid cursor"),
        ("FLUSHDB ASYNC", OK),
        ("DBSIZE", 0),
        ("RANDOMKEY", None),
        ("SET a 1", OK),
        ("RANDOMKEY", "a"),
        ("FLUSHDB NOW", "ERR syntax error"),
    ],
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
            "id=1 addr=127.0.0.1:1 name=me age=0 db=0 table=cache resp=2 lib-name=redis-py lib-ver=5\n",
        ),
        ("CLIENT NO-EVICT on", OK),
        ("CLIENT NO-TOUCH maybe", "ERR syntax error"),
        ("CLIENT REPLY OFF", "ERR only CLIENT REPLY ON is supported"),
        ("CLIENT KILL x", "ERR unknown subcommand 'KILL'. Try CLIENT HELP."),
        ("CLIENT SETNAME", "ERR wrong number of arguments for 'client|setname' command"),
        ("AUTH default x", OK),
        ("AUTH bob x", "WRONGPASS invalid username-password pair or user is disabled."),
        ("RESET", "RESET"),
        ("CLIENT GETNAME", None),
        ("TIME", [str(int(EPOCH) + 1000), "0"]),
    ],
    "transactions": [
        ("EXEC", "ERR EXEC without MULTI"),
        ("DISCARD", "ERR DISCARD without MULTI"),
        ("MULTI", OK),
        ("MULTI", "ERR MULTI calls can not be nested"),
        ("DISCARD", OK),
        ("MULTI", OK),
        ("SET a 1", "QUEUED"),
        ("INCR a", "QUEUED"),
        ("GET nope", "QUEUED"),
        ("EXEC", [OK, 2, None]),
        ("MULTI", OK),
        ("SET a", "ERR wrong number of arguments for 'set' command"),
        ("SET a 9", "QUEUED"),
        ("EXEC", "EXECABORT Transaction discarded because of previous errors."),
        ("GET a", "2"),
        ("MULTI", OK),
        ("WAIT 1 1", "ERR WAIT is not allowed in transactions"),
        ("DISCARD", OK),
        ("SET a x", OK),
    ],
    "settings": [
        ("CONFIG GET save appendonly", ["save", "", "appendonly", "no"]),
        ("CONFIG GET databases", ["databases", "2"]),
        ("CONFIG SET save x", "ERR only CONFIG GET is supported: options are set when the node starts"),
        ("CONFIG GET", "ERR wrong number of arguments for 'config|get' command"),
        ("WAIT x 1", NOT_INTEGER),
        ("WAIT -1 1", NOT_INTEGER),
        ("WAIT 1 -1", "ERR timeout is negative"),
    ],
    "patterns of our own": [
        ("MSET call-1 alice call-2 bob x-call carol", OK),
        ("DMQ.MATCH prefix name call", ["call-1", "call-2"]),
        ("DMQ.MATCH suffix name call", ["x-call"]),
        ("DMQ.MATCH REGEX NAME ^CALL-[12]$", ["call-1", "call-2"]),
        ("DMQ.MATCH contains value o", ["call-2", "x-call"]),
        ("DMQ.MATCH glob name x", "ERR DMQ.MATCH takes regex|prefix|suffix|contains name|value PATTERN"),
        ("DMQ.REMOVE prefix name call", 2),
        ("KEYS *", ["x-call"]),
        ("SET t v EX 5", OK),
        ("DMQ.CELL t", ["v", 5000]),
        ("DMQ.CELL nope", None),
        ("DMQ.SCAN 0", ["0", ["t", "v", 5000, "x-call", "carol", -1]]),
        ("DMQ.SCAN 0 PREFIX x COUNT 5", ["0", ["x-call", "carol", -1]]),
        ("DMQ.SCAN 0 COUNT 0", "ERR syntax error"),
        ("DMQ.SCAN 0 MATCH x", "ERR syntax error"),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    session = make_session()
    for number, (line, expected) in enumerate(TRANSCRIPTS[name], 1):
        assert say(session, *line.split(" ")) == expected, f"{number}: {line}"


def test_what_the_table_does_not_hold_is_said_in_its_words() -> None:
    session = make_session()
    assert str(say(session, "SET", "", "v")).startswith("ERR a key is a text")
    assert "at most 1048576 bytes" in str(say(session, "SET", "k", "v" * (1 << 21)))
    assert str(say(session, "DMQ.MATCH", "regex", "name", "(")).startswith("ERR ")


def test_a_command_that_breaks_is_an_error_reply_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    session = make_session()
    session.table = None  # type: ignore[assignment]
    assert say(session, "GET", "a") == "ERR internal error, see the node's log"
    assert "a command failed" in caplog.text
    assert session.shared.counters.errors == 1


def test_scan_returns_each_key_once_whatever_is_written_meanwhile() -> None:
    session = make_session()
    kept = {f"kept{number:03}" for number in range(100)}
    for key in kept:
        say(session, "SET", key, "1")
    found: list[str] = []
    cursor = "0"
    for step in range(1000):
        cursor, keys = say(session, "SCAN", cursor, "COUNT", "7")
        found += keys
        say(session, "SET", f"new{step}", "1")
        say(session, "SET", f"a{step}", "1")
        say(session, "DEL", f"new{step - 3}")
        if cursor == "0":
            break
    assert cursor == "0"
    assert sorted(key for key in found if key in kept) == sorted(kept)
    assert len(found) == len(set(found))


def test_a_scan_goes_on_on_another_connection() -> None:
    session = make_session()
    for key in "abc":
        say(session, "SET", key, "1")
    cursor, first = say(session, "SCAN", "0", "COUNT", "2")
    other = Session(session.shared, "127.0.0.1:2")
    assert (first, say(other, "SCAN", cursor)) == (["a", "b"], ["0", ["c"]])


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
        (["3", "AUTH", "bob"], "ERR syntax error"),
        (["3", "FOO"], "ERR Syntax error in HELLO option 'foo'"),
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


def test_info_has_sections_and_one_line_for_each_table() -> None:
    session = make_session()
    say(session, "SET", "a", "1")
    say(session, "GET", "a")
    session.shared.node.bus.counters.messages["htable", "in", "200"] += 2
    info = str(say(session, "INFO"))
    assert "# Server\r\nredis_version:7" in info
    assert "# Keyspace\r\ndb0:keys=1,name=cache,characters=2\r\n" in info
    assert "keyspace_hits:1\r\n" in info
    assert "connected_slaves:1\r\n" in info
    assert "messages_htable_in_200:2\r\n" in info
    assert str(say(session, "INFO", "clients")) == "# Clients\r\nconnected_clients:1\r\n"


def test_command_describes_itself() -> None:
    session = make_session()
    names = say(session, "COMMAND", "LIST")
    assert isinstance(names, list)
    assert say(session, "COMMAND", "COUNT") == len(names)
    assert {"get", "command", "info", "exec", "dmq.nodes"} <= set(names)
    assert say(session, "COMMAND", "INFO", "get", "nope") == [
        ["get", 2, ["readonly", "fast"], 1, 1, 1, [], [], [], []],
        None,
    ]
    everything = say(session, "COMMAND")
    assert isinstance(everything, list) and len(everything) == len(names)
    docs = say(session, "COMMAND", "DOCS", "get")
    assert isinstance(docs, list) and docs[0] == "get" and "Returns the value" in docs[1][1]
    assert "unknown subcommand" in str(say(session, "COMMAND", "FOO"))


def test_the_node_tells_its_rows_as_json() -> None:
    import json

    session = make_session(FakeNode("cache", "users=>autoexpire=60;initval=5"))
    nodes = json.loads(str(say(session, "DMQ.NODES")))
    assert [row["uri"] for row in nodes] == ["sip:127.0.0.11:5060", "sip:127.0.0.12:5060"]
    tables = json.loads(str(say(session, "DMQ.TABLES")))
    assert [(row["table"], row["autoexpire"], row["initval"]) for row in tables] == [
        ("cache", 0, None),
        ("users", 60, 5),
    ]
    stats = json.loads(str(say(session, "DMQ.STATS")))
    assert stats["replication"]["sync_state"] == "done"


def test_a_transaction_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.server.resp.commands_transaction.MAX_QUEUED", 3)
    session = make_session()
    say(session, "MULTI")
    for _ in range(3):
        assert say(session, "PING") == "QUEUED"
    assert say(session, "PING") == "ERR a transaction has at most 3 commands"
    assert str(say(session, "EXEC")).startswith("EXECABORT")


def test_what_is_asked_at_once_is_bounded() -> None:
    session = make_session()
    long = "*a" * 2049
    for command in (("KEYS", long), ("SCAN", "0", "MATCH", long), ("CONFIG", "GET", long)):
        assert say(session, *command) == "ERR a pattern has at most 4096 characters, this one has 4098"
    assert say(session, "KEYS", "*a" * 2048) == []
    for what in (("COMMAND", "INFO"), ("COMMAND", "DOCS"), ("CONFIG", "GET")):
        assert "at most 1000" in say(session, *what, *["get"] * 1001)
    assert len(say(session, "COMMAND", "INFO", *["get"] * 900)) == 900
