"""``bit``: 32 bits with a sign; test_lua_libraries_beside_redis compares with a real Redis."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.lua_sandbox import Interpreter
from tests.server.resp.lua_texts import interpreter, run


@pytest.fixture(scope="module")
def lua() -> Interpreter:
    return interpreter()


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("bit.band(0xff, 0x3c, 0x18)", "24"),
        ("bit.bor(1, 2, 0x80000000)", "-2147483645"),
        ("bit.bxor(0xffffffff, 1)", "-2"),
        ("bit.bnot(0)", "-1"),
        ("bit.lshift(1, 31)", "-2147483648"),
        ("bit.lshift(-1, 33)", "-2"),
        ("bit.rshift(-1, 28)", "15"),
        ("bit.arshift(-16, 2)", "-4"),
        ("bit.rol(0x12345678, 12)", "1164411171"),
        ("bit.ror(1, 1)", "-2147483648"),
        ("bit.bswap(0x12345678)", "2018915346"),
        ("bit.tohex(-1, 4)", "ffff"),
        ("bit.tohex(255, -4)", "00FF"),
        ("bit.tobit(2^32 + 5)", "5"),
        ("bit.tobit(1/0)", "0"),
        ("bit.bnot(-1/0)", "-1"),
        ("bit.bor(0/0, 6)", "6"),
        ("bit.lshift(6, 0/0)", "6"),
        ("bit.tohex(0/0)", "00000000"),
    ],
)
def test_operations(lua: Interpreter, code: str, result: str) -> None:
    assert run(lua, f"return tostring({code})") == result


def test_what_is_no_number_is_an_error_with_its_place(lua: Interpreter) -> None:
    said = "-ERR user_script:1: bad argument #2 to 'band' (number expected, got table)"
    assert run(lua, "local x = bit.band(1, {}, 2) return x") == said
    assert run(lua, "local x = bit.band(1, 2, {}, 3) return x") == said.replace("#2", "#3")
    assert run(lua, "local x = bit.band(1, {}) return x") == said
