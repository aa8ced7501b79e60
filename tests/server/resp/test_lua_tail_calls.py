"""Tail calls of the libraries' functions keep their place; a script's own ones still use no stack."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.lua_sandbox import Interpreter
from dmqcache.server.resp.lua_tail_calls import kept_frames
from tests.server.resp.lua_texts import interpreter, run


@pytest.fixture(scope="module")
def lua() -> Interpreter:
    return interpreter()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("return cjson.decode('[1,]')", 1),
        ("local a, b, c = 1, 2, 3\nreturn cjson.decode((b or c) and '[1,]')", 2),
        ("local x = 'a'\nlocal function f(y)\n  return cjson.decode(y .. x)\nend\nreturn 1 + f('[')", 3),
        ("return cjson.decode(cjson.decode('[') or function() return KEYS end)", 1),
        ("if nil == true then return 1.5 end\n\nreturn cjson.decode(string.sub('[[', 1))", 3),
    ],
)
def test_an_error_of_what_is_called_last_has_its_place(lua: Interpreter, code: str, line: int) -> None:
    assert run(lua, code).startswith(f"-ERR user_script:{line}: Expected ")


def test_a_scripts_own_tail_calls_use_no_stack(lua: Interpreter) -> None:
    code = (
        "local function f(n) if n == 0 then return string.rep('x', 3) end return f(n - 1) end return f(1e5)"
    )
    assert run(lua, code) == "xxx"
    code = "local t = {} function t.f(n) if n == 0 then return bit.tohex(1) end return t.f(n - 1) end"
    assert run(lua, code + " return t.f(1e5)") == "00000001"


def test_all_that_a_function_returns_is_returned(lua: Interpreter) -> None:
    code = "local function f() return string.find('abc', 'c') end return table.concat({f()}, ' ')"
    assert run(lua, code) == "3 3"


def test_code_of_another_machine_is_left_as_it_is() -> None:
    for code in (b"", b"\x1bLua\x51\x00\x00\x04\x08\x04\x08\x00rest", b"return 1"):
        assert kept_frames(code) == code
