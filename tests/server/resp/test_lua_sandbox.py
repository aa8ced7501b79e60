"""What a script may see, take and answer; every way out of its bounds that we know of, tried."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from dmqcache.server.resp import lua_sandbox as module
from dmqcache.server.resp.lua_sandbox import Interpreter
from dmqcache.server.resp.reply import CommandError


def called(words: tuple[Any, ...]) -> tuple[bool, Any]:
    """A server of a few words."""
    match words[0]:
        case b"bad":
            return True, b"ERR bad thing"
        case b"ok":
            return False, {b"ok": b"OK"}
        case b"nil":
            return False, None
    return False, [1, None, *words]


@pytest.fixture
def lua() -> Interpreter:
    return Interpreter(lambda text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def run(
    lua: Interpreter, code: str, keys: Sequence[bytes] = (b"k",), argv: Sequence[bytes] = (b"\xff",)
) -> bytes:
    return lua.run(lua.compile(code.encode()), keys, argv, called)


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("return 3.99", b":3\r\n"),
        ("return -3.99", b":-3\r\n"),
        ("return 1/0", b":-9223372036854775808\r\n"),
        ("return true", b":1\r\n"),
        ("return false", b"$-1\r\n"),
        ("return nil", b"$-1\r\n"),
        ("", b"$-1\r\n"),
        ("return KEYS[1] .. ARGV[1]", b"$2\r\nk\xff\r\n"),
        ("return {1, {2, 'x'}, nil, 4}", b"*2\r\n:1\r\n*2\r\n:2\r\n$1\r\nx\r\n"),
        ("return {ok = 'fine'}", b"+fine\r\n"),
        ("return {err = 'MY bad\\r\\n+OK'}", b"-MY bad  +OK\r\n"),
        ("return redis.status_reply('S')", b"+S\r\n"),
        ("return redis.error_reply('x')", b"-ERR x\r\n"),
        ("return redis.error_reply('-x')", b"-ERR x\r\n"),
        ("return redis.error_reply('-MY x')", b"-MY x\r\n"),
        ("return redis.status_reply(1)", b"-ERR wrong number or type of arguments\r\n"),
        ("return redis.log(9, 'x')", b"-ERR Invalid debug level.\r\n"),
        ("return redis.log(3, 'x')", b"$-1\r\n"),
        ("return redis.call('ok')", b"+OK\r\n"),
        ("return redis.call('nil') == false", b":1\r\n"),
        ("return redis.call('x', 'y')", b"*4\r\n:1\r\n$-1\r\n$1\r\nx\r\n$1\r\ny\r\n"),
        ("return redis.call('bad')", b"-ERR bad thing\r\n"),
        ("return redis.pcall('bad')", b"-ERR bad thing\r\n"),
        ("local fine, e = pcall(redis.call, 'bad') return {tostring(fine), e}", None),
        ("return redis.sha1hex('')", b"$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"),
        ("return string.match('foo=bar', '=(%w+)')", b"$3\r\nbar\r\n"),
        ("return ('x'):upper()", b"$1\r\nX\r\n"),
        ("local t = {} table.insert(t, 2) table.insert(t, 1, 1) return t", b"*2\r\n:1\r\n:2\r\n"),
        ("error('boom')", b"-ERR user_script:1: boom\r\n"),
        ("error({err = 'MY table'})", b"-MY table\r\n"),
        ("error('a\\r\\nb', 0)", b"-ERR a  b\r\n"),
    ],
)
def test_values_and_errors(lua: Interpreter, code: str, reply: bytes | None) -> None:
    assert run(lua, code) == (reply or b"*2\r\n$5\r\nfalse\r\n$13\r\nERR bad thing\r\n")


@pytest.mark.parametrize(
    "name",
    [
        "python",
        "io",
        "debug",
        "package",
        "require",
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "getfenv",
        "setfenv",
        "rawset",
        "newproxy",
        "coroutine",
        "collectgarbage",
        "gcinfo",
        "module",
        "print",
        "xpcall",
        "os",
        "os.clock",
        "os.execute",
        "os.exit",
        "string.dump",
        "redis.call.__class__",
    ],
)
def test_what_is_not_there(lua: Interpreter, name: str) -> None:
    assert run(lua, f"return {name}").startswith((b"$-1\r\n", b"-ERR user_script:1: "))


@pytest.mark.parametrize(
    "code",
    ["x = 1", "string.rep = nil", "redis.call = 1", "_G.x = 1", "KEYS = 1", "math.pi = 3", "string.mine = 1"],
)
def test_a_script_leaves_nothing_behind(lua: Interpreter, code: str) -> None:
    assert run(lua, code) == b"-ERR user_script:1: Attempt to modify a readonly table\r\n"
    assert run(lua, "return getmetatable('') == false and getmetatable(_G) == false and 1") == b":1\r\n"


@pytest.mark.parametrize(
    "code",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() pcall(f) while true do end end while true do pcall(f) end",
        "return setmetatable({}, {__index = function() while true do end end})[1]",
        "local function f() return f() end return f()",
    ],
)
def test_no_script_goes_on_for_ever(lua: Interpreter, code: str) -> None:
    assert b"took too long" in run(lua, code)
    assert run(lua, "return 5") == b":5\r\n"


@pytest.mark.parametrize(
    "code",
    [
        "return string.rep('x', 1e9)",
        "return string.rep('', 1e9)",
        "local s = 'x' for i = 1, 40 do s = s .. s end return s",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "return string.find(string.rep('a', 5000), '.-.-.-.-b')",
        "return string.rep('a', 3000):gsub('a+a+b', '')",
        "return string.rep('(', 1e5):match('%b()%b()')",
        "table.insert({}, -1e9, 1)",
        "return string.find(string.rep('a', 4e6), string.rep('a', 1e6) .. 'b', 1, true)",
    ],
)
def test_memory_and_what_is_one_instruction_are_bounded(lua: Interpreter, code: str) -> None:
    with contextlib.suppress(lua._lua.LuaError):  # the commands take a new Lua then
        assert run(lua, code).startswith(b"-ERR ")


@pytest.mark.parametrize(
    "code",
    [
        "local t = {} t[1] = t return t",
        "local t = {} for i = 1, 200000 do t[i] = 1 end return t",
    ],
)
def test_replies_are_bounded(lua: Interpreter, code: str) -> None:
    with pytest.raises(CommandError, match="reply is"):
        run(lua, code)


def test_nothing_of_a_script_runs_when_it_is_over(lua: Interpreter) -> None:
    loop = "setmetatable({}, {__index = function() while true do end end})"
    assert run(lua, f"return {loop}") == b"*0\r\n"
    assert run(lua, f"error({loop})") == b"-ERR unknown error\r\n"


@pytest.mark.parametrize("code", ["return 1 1", "\x1bLua", "return '"])
def test_what_is_no_script_is_refused(lua: Interpreter, code: str) -> None:
    with pytest.raises(CommandError, match="Error compiling script"):
        lua.compile(code.encode())


def test_the_bounds_are_those_of_the_documentation() -> None:
    assert (module.MAX_SECONDS, module.MAX_MEMORY) == (0.5, 32 << 20)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("return redis.call('bad')", "ERR bad thing script: name, on @user_script:1."),
        ("\n\nredis.call('bad')", "ERR bad thing script: name, on @user_script:3."),
        ("return redis.pcall('bad')", "ERR bad thing"),
        ("error({err = 'MY table'})", "MY table script: name, on @user_script:1."),
        (
            "local function f()\n error('x')\nend\nf()",
            "ERR user_script:2: x script: name, on @user_script:2.",
        ),
        ("error()", "ERR nil script: name, on @user_script:1."),
        (
            "return os.clock()",
            "ERR user_script:1: Script attempted to access nonexistent global variable 'os'"
            " script: name, on @user_script:1.",
        ),
    ],
)
def test_what_fails_tells_its_script_and_line_as_redis_does(lua: Interpreter, code: str, said: str) -> None:
    assert lua.run(lua.compile(code.encode()), [], [], called, "name") == f"-{said}\r\n".encode()
