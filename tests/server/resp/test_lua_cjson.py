"""``cjson``: the usual, and that what is large or deep is bounded; beside Redis elsewhere."""

from __future__ import annotations

import contextlib

import pytest

from dmqcache.server.resp.lua_sandbox import Interpreter
from tests.server.resp.lua_texts import interpreter, run


@pytest.fixture(scope="module")
def lua() -> Interpreter:
    return interpreter()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"a":[1,2.5,true,null,"x/y"]}', '{"a":[1,2.5,true,null,"x\\/y"]}'),
        ("[]", "{}"),
        ('"\\u00e9\\ud83d\\ude00"', '"\u00e9\U0001f600"'),
        ("[1,[2,{}]]", "[1,[2,{}]]"),
        ("-0.1e3", "-100"),
    ],
)
def test_there_and_back(lua: Interpreter, text: str, written: str) -> None:
    assert run(lua, "return cjson.encode(cjson.decode(ARGV[1]))", text) == written


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "local x = cjson.decode('[1') return x",
            "Expected comma or array end but found T_END at character 3",
        ),
        (
            "local x = cjson.decode('{\\'a\\':1}') return x",
            "object key string but found invalid token at character 2",
        ),
        ("local x = cjson.encode({[100] = 1}) return x", "Cannot serialise table: excessively sparse array"),
        ("local x = cjson.encode(print) return x", "nonexistent global variable 'print'"),
        ("local x = cjson.encode(next) return x", "Cannot serialise function: type not supported"),
        ("local x = cjson.encode(1/0) return x", "Cannot serialise number: must not be NaN or Inf"),
        ("local x = cjson.encode(1, 2) return x", "bad argument #1 to 'encode' (expected 1 argument)"),
    ],
)
def test_errors_name_their_place(lua: Interpreter, code: str, said: str) -> None:
    reply = run(lua, code)
    assert reply.startswith("-ERR user_script:1: ") and reply.endswith(said)


@pytest.mark.parametrize(
    "code",
    [
        "local t = {} t.t = t return cjson.encode(t)",
        "return cjson.decode(string.rep('[', 1e5))",
        "return cjson.encode(string.rep('\\1', 4e6))",
        "while true do pcall(cjson.decode, '[') end",
    ],
)
def test_what_is_large_deep_or_endless_is_stopped(lua: Interpreter, code: str) -> None:
    with contextlib.suppress(lua._lua.LuaError):  # the commands take a new Lua then
        assert run(lua, code).startswith("-ERR ")
    assert run(lua, "return cjson.encode({1})") == "[1]"


def test_null_is_one_value_that_tells_nothing(lua: Interpreter) -> None:
    code = (
        "return tostring(cjson.null == cjson.decode('[null]')[1]) .. type(cjson.null) .. tostring(cjson.null)"
    )
    assert run(lua, code) == "trueuserdatauserdata: (nil)"
    assert run(lua, "return getmetatable(cjson.null) == false and 'hidden'") == "hidden"
    assert lua.run(lua.compile(b"return cjson.null"), [], [], lambda words: (False, None)) == b"$-1\r\n"


def test_what_a_metatable_says_is_not_asked(lua: Interpreter) -> None:
    code = "return cjson.encode(setmetatable({1}, {__index = function() while true do end end}))"
    assert run(lua, code) == "[1]"
