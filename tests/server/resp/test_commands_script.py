"""EVAL and its family: over our own commands, in the words of Redis, as libraries use them."""

from __future__ import annotations

import hashlib

import pytest
import redis

from dmqcache.server.resp import commands_script as module
from dmqcache.server.resp import lua_process
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.users import make_users
from tests.server.fakes import FakeNode, make_session
from tests.server.resp.saying import OK, say
from tests.server.serving import serving


@pytest.fixture(autouse=True)
def _a_busy_machine_ends_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that do not end are ended by the processor time that they take."""
    monkeypatch.setattr(lua_process, "MAX_SECONDS", 30.0)


def test_scripts_read_and_write() -> None:
    session = make_session()
    code = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
    name = hashlib.sha1(code.encode()).hexdigest()
    assert say(session, "EVALSHA", name, "0") == "NOSCRIPT No matching script. Please use EVAL."
    assert say(session, "EVAL", code, "1", "a", "\udcff\0") == "\udcff\0"
    assert say(session, "EVALSHA", name.upper(), "1", "b", "x") == "x"
    assert say(session, "SCRIPT", "LOAD", code) == name
    assert say(session, "SCRIPT", "EXISTS", name, "0" * 40) == [1, 0]
    assert say(session, "SCRIPT", "FLUSH", "SYNC") == OK
    assert say(session, "SCRIPT", "EXISTS", name) == [0]
    assert say(session, "EVAL", "return redis.call('INCRBY', KEYS[1], 2 ^ 40)", "1", "n") == 2**40
    assert say(session, "SCRIPT", "KILL") == "NOTBUSY No scripts in execution right now."


def test_what_is_wrong_is_said_as_redis_does() -> None:
    session = make_session()
    for words, expected in (
        (("return 1", "x"), "ERR value is not an integer or out of range"),
        (("return 1", "-1"), "ERR Number of keys can't be negative"),
        (("return 1", "1"), "ERR Number of keys can't be greater than number of args"),
        (("return redis.call('NOPE')", "0"), "ERR Unknown Redis command called from script"),
        (("return redis.call('GET')", "0"), "ERR Wrong number of args calling Redis command from script"),
        (("return redis.call('SUBSCRIBE', 'a')", "0"), "ERR This Redis command is not allowed from script"),
        (("return redis.call('WAIT', 1, 0)", "0"), "ERR This Redis command is not allowed from script"),
        (("return redis.call({})", "0"), "ERR Lua redis lib command arguments must be strings or integers"),
    ):
        name = hashlib.sha1(words[0].encode()).hexdigest()
        place = f" script: {name}, on @user_script:1." if words[0].startswith("return redis") else ""
        assert say(session, "EVAL", *words) == expected + place
    assert say(session, "EVAL", "x" * (module.MAX_SCRIPT_BYTES + 1), "0").startswith(
        "ERR a script has at most"
    )


def test_a_transaction_resp3_and_the_users_rules_hold_within_scripts() -> None:
    session = make_session()
    say(session, "HELLO", "3")
    assert say(session, "EVAL", "return redis.call('GET', 'nope') == false and 7", "0") == 7
    assert session.resp3
    say(session, "MULTI")
    say(session, "EVAL", "return redis.call('SET', 'a', 1)", "0")
    assert say(session, "EXEC") == [OK]
    users = make_users(None, "user default on nopass ~a* +@all -del")
    session.shared.users = users
    session.become(users.default)
    assert say(session, "EVAL", "return 1", "1", "b").startswith("NOPERM")
    assert say(session, "EVAL", "return redis.call('SET', 'a', 1)", "0") == OK


def test_what_a_script_causes_is_told_to_its_client_in_the_clients_protocol() -> None:
    session = make_session()
    got: list[bytes] = []
    session.push = got.append
    say(session, "HELLO", "3")
    say(session, "CLIENT", "TRACKING", "ON")
    say(session, "GET", "k")
    told = execute(session, ["EVAL", "redis.call('SET', 'k', 1) return 7", "0"])
    assert told == b":7\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", "else a cache stays old"
    session.shared.subscriptions.subscribe(session, "c")
    assert say(session, "EVAL", "return redis.call('PUBLISH', 'c', 'x')", "0") == 1
    assert got == [b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"], "an array would pass for the reply"
    assert say(session, "EVAL", "return redis.call('GET', 'k')", "0") == "1"


def test_scripts_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SCRIPTS", 3)
    session = make_session()
    names = [say(session, "SCRIPT", "LOAD", f"return {number}") for number in range(5)]
    assert say(session, "SCRIPT", "EXISTS", *names) == [0, 0, 1, 1, 1]
    assert say(session, "EVALSHA", names[4], "0") == 4


def test_a_script_that_takes_all_memory_is_stopped_and_others_are_not() -> None:
    session = make_session()
    say(session, "SCRIPT", "LOAD", "return 5")
    hog = "local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end"
    assert say(session, "EVAL", hog, "0").startswith("ERR ")
    assert say(session, "EVAL", "return 5", "0") == 5


def test_locks_and_limiters_of_a_library() -> None:
    """redis-py's Lock is three scripts; a fixed window, as limiters count."""
    with serving(FakeNode()) as server:
        client = redis.Redis(*server.address, decode_responses=True)
        lock = client.lock("lock", timeout=10)
        assert lock.acquire(blocking=False)
        assert not client.lock("lock").acquire(blocking=False)
        assert lock.extend(20) and lock.reacquire() and lock.owned()
        lock.release()
        assert client.exists("lock") == 0
        window = client.register_script(
            "local n = redis.call('INCR', KEYS[1]) "
            "if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end return n"
        )
        assert [window(keys=["w"], args=[60]) for _ in range(3)] == [1, 2, 3]
        assert 0 < client.ttl("w") <= 60
        client.close()


HOGS = [
    "local t = {} while true do t = {t} end",
    "local s = 'x' while true do s = s .. s end",
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do redis.call('GET', 'a') end",
    "local t = {} while true do t[#t + 1] = redis.call('GET', 'a') end",
    "local function f() return pcall(f) end while true do f() end",
]


@pytest.mark.parametrize("hog", HOGS)
def test_whatever_a_script_takes_the_next_ones_get_their_replies(hog: str) -> None:
    session = make_session()
    say(session, "SET", "a", "x" * 10_000)
    for _ in range(2):
        assert say(session, "EVAL", hog, "0").startswith("ERR ")
        assert say(session, "EVAL", "return redis.call('STRLEN', 'a')", "0") == 10_000
        assert say(session, "EVAL", "return #ARGV[1]", "0", "x" * 100_000) == 100_000


def test_what_a_user_may_not_do_a_script_is_told_in_redis_words() -> None:
    session = make_session()
    users = make_users(None, "user default on nopass ~a* +@all -del &b*")
    session.shared.users = users
    session.become(users.default)
    words = "ERR The user executing the script can't "
    for call, reason in (
        ("'DEL', 'a'", "run this command or subcommand"),
        ("'SET', 'b', 1", "access at least one of the keys mentioned in the command arguments"),
        ("'PUBLISH', 'c', 1", "publish to the channel mentioned in the command"),
    ):
        said = say(session, "EVAL", f"return redis.call({call})", "0")
        assert str(said).partition(" script: ")[0] == words + reason


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("return redis.sha1hex()", "ERR wrong number of arguments"),
        ("return redis.sha1hex(1, 2)", "ERR wrong number of arguments"),
        ("error(nil)", "ERR nil"),
        ("error()", "ERR nil"),
        ("error(true)", "ERR true"),
    ],
)
def test_mistakes_of_a_script_are_named_as_lua_names_them(code: str, words: str) -> None:
    assert (
        say(make_session(), "EVAL", code, "0")
        == f"{words} script: {hashlib.sha1(code.encode()).hexdigest()}, on @user_script:1."
    )


def test_the_process_of_scripts_ends_with_its_server() -> None:
    with serving(FakeNode()) as server:
        with redis.Redis(*server.address) as client:
            assert client.eval("return 1", 0) == 1
        scripts = server.shared.scripts
        assert isinstance(scripts, module.Scripts) and scripts.pid is not None
    assert scripts.pid is None


def test_what_a_script_selects_is_selected_for_it_alone() -> None:
    session = make_session()
    code = "redis.call('SELECT', 'users') redis.call('SET', 'a', '1') return redis.call(ARGV[1], 'a')"
    assert say(session, "EVAL", code, "0", "GET") == "1"
    assert "Unknown Redis command" in str(say(session, "EVAL", code, "0", "NOPE"))
    assert (session.table_name, say(session, "GET", "a")) == ("cache", None)
    for barred in ("MONITOR", "CONFIG", "ACL", "LATENCY", "ROLE"):
        assert "not allowed from script" in str(
            say(session, "EVAL", "return redis.call(ARGV[1])", "0", barred)
        )
