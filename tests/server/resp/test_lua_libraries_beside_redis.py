"""Side by side with a real redis-server: ``cjson`` and ``bit`` bring the same results and errors.

So does what is wrong in a script: with its place, and the script's name and line.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving

pytestmark = pytest.mark.interop

Pair = tuple[Speaker, Speaker]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with redis_server() as theirs, serving(FakeNode("cache", time=RealTime())) as ours:
        speakers = Speaker(ours.address), Speaker(theirs)
        yield speakers
        for one in speakers:
            one.close()


def compare(pair: Pair, script: str, *argv: str) -> None:
    ours, theirs = (one.say(["EVAL", script, "0", *argv]) for one in pair)
    assert ours == theirs, (script, argv)


ENCODED = [
    "{}",
    "{{}}",
    "{a = {}}",
    "''",
    "nil",
    "true",
    "{false, nil, 3}",
    "{1, 2, nil, 4}",
    "{[1] = 1, [5] = 5}",
    "{[1] = 1, [10] = 5}",
    "{[1] = 1, [11] = 5}",
    "{[1000] = 1}",
    "{[0] = 1}",
    "{[-1] = 1}",
    "{[1.5] = 1}",
    "{[1] = 1, x = 2}",
    "{[true] = 1}",
    "{[{}] = 1}",
    "{[1e20] = 1}",
    "{[0.1] = 1}",
    "{1/0}",
    "-1/0",
    "0/0",
    "{[1/0] = 1}",
    "print",
    "tostring",
    "{tostring}",
    "cjson.null",
    "{cjson.null, a = cjson.null}",
    "1e15",
    "1e14",
    "123456789012345678",
    "0.1",
    "1/3",
    "-0",
    "1e300",
    "3.0",
    "100",
    "2^53",
    "string.rep('x', 5000)",
    "'a/b\\\\c\"d\\n\\t\\0\\127\\128\\255'",
    "ARGV",
    "KEYS",
    "setmetatable({1}, {__index = function() return 5 end})",
    "setmetatable({}, {__tostring = function() return 'x' end})",
    "{[1] = 1, [2^31] = 2}",
    "{[2^31 - 1] = 2}",
    "{[2^31] = 2}",
]


@pytest.mark.parametrize("value", ENCODED)
def test_what_is_encoded(pair: Pair, value: str) -> None:
    compare(pair, f"return cjson.encode({value})", "\u00e9", "\udcff", '"')
    compare(pair, f"local fine, found = pcall(cjson.encode, {value}) return {{tostring(fine), found}}")


DECODED = [
    *(
        "",
        " ",
        "x",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[]",
        " [ ] ",
        "{}",
        "{ }",
        "[[]]",
    ),
    *(
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,',
        '{"a":1,}',
        "{1:2}",
        "{a:1}",
        '{"a" 1}',
        '{"a":1 "b"}',
        '{"a":1]',
    ),
    *(
        "1",
        "-1",
        "+1",
        "01",
        "1.",
        ".5",
        "-.5",
        "-",
        "1e5",
        "1e",
        "1e+",
        "1E-2",
        "0x1F",
        "0x",
        "0x1.8p3",
        "0x.8p1",
        "0x.",
        "0x.1.8",
        "0x1.8.1",
        "-0",
    ),
    *(
        "inf",
        "-inf",
        "Infinity",
        "infinite",
        "nan",
        "NaN",
        "nan(x)",
        "-nan",
        "n",
        "i",
        "I",
        "N",
        "1.2.3",
        "--1",
    ),
    *(
        "12345678901234567890",
        "1e400",
        "0.1",
        "1e-400",
        "123456789.123456789",
        "- 1",
        "1 ",
        "1,",
        "1]",
        "1 x",
    ),
    *("true", "false", "null", "tru", "nul", "True", "truex", "nullx", "true false", "[true,false,null]"),
    *('""', '"', '"a', '"a\\', '"\\x"', '"\\u"', '"\\u00e"', '"\\u00e9"', '"\\u0000"', '"\\ud83d\\ude00"'),
    *(
        '"\\ud83d"',
        '"\\ude00"',
        '"\\ud83dx"',
        '"\\ud83d\\u0041"',
        '"\\ud83d\\n"',
        '"\\uD83D\\uDE00"',
        '"\\uFFFF"',
    ),
    *(
        '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
        '"a\tb\nc"',
        '"\x7f\u00e9\udcff"',
        "'a'",
        '"a" "b"',
        '{"a":1,"a":2}',
        '{"":1}',
    ),
    *(
        "[1]\0",
        "\0",
        "[\0]",
        "1\0",
        "[1,\0002]",
        '"a\0b"',
        "1\x0b",
        "\ufeff1",
        "[1]\n\r\t ",
        "/* x */ 1",
        "[1]//",
    ),
    *("[" * 999 + "]" * 999, "[" * 1000 + "]" * 1000, "[" * 1001 + "]" * 1001, '{"a":' * 1001 + "1"),
    *('{"1":"x"}', '{"a":null}', "[null]", "[null,1]", "[1,null]", '[{"a":[{"b":[]}]}]', "[1e2,1e-2,0.5]"),
]


@pytest.mark.parametrize("number", range(len(DECODED)))
def test_what_is_decoded(pair: Pair, number: int) -> None:
    text = DECODED[number]
    if len(text) < 500:  # deeper than a client reads
        compare(pair, "return cjson.decode(ARGV[1])", text)
    compare(
        pair,
        "local fine, found = pcall(cjson.decode, ARGV[1]) "
        "if not fine then return found end "
        "if type(found) == 'number' then found = string.format('%.17g', found) end "
        "local kind = type(found) "
        "if kind == 'table' then found = cjson.encode(found) end "
        "return {kind, tostring(found == cjson.null), found}",
        text,
    )


@pytest.mark.parametrize(
    "script",
    [
        "return cjson.encode()",
        "return cjson.encode(1, 2)",
        "return cjson.decode()",
        "return cjson.decode('1', '2')",
        "return cjson.decode({})",
        "return cjson.decode(nil)",
        "return cjson.decode(true)",
        "return cjson.decode(5)",
        "return cjson.null",
        "return {1, cjson.null, 2}",
        "return type(cjson.null)",
        "return tostring(cjson.null)",
        "return cjson.null == nil",
        "return cjson._NAME .. cjson._VERSION",
        "cjson.encode = 1",
        "return redis.call('SET', 'x', cjson.null)",
        "local t = {} t[1] = t return cjson.encode(t)",
        "local t = {} for i = 1, 999 do t = {t} end return #cjson.encode(t)",
        "local t = {} for i = 1, 1000 do t = {t} end return #cjson.encode(t)",
        "redis.call('SET', 'k', cjson.encode({n = 1})) "
        "local v = cjson.decode(redis.call('GET', 'k')) v.n = v.n + 1 "
        "redis.call('SET', 'k', cjson.encode(v)) return redis.call('GET', 'k')",
        "local t = {} for i = 1, 100 do t['k' .. i] = i end return cjson.encode(t)",
        "local t = {} for i = 100, 1, -1 do t['key:' .. i * 7919] = {i, i .. ''} end return cjson.encode(t)",
    ],
)
def test_other_uses(pair: Pair, script: str) -> None:
    compare(pair, script)


def test_generated_values_there_and_back(pair: Pair) -> None:
    chance = random.Random(11)
    for _ in range(120):
        text = json.dumps(_value(chance, 0), ensure_ascii=chance.random() < 0.5)
        if chance.random() < 0.3:
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice('[]{}:,"\\0x nt-') + text[place + chance.randrange(2) :]
        compare(pair, "return cjson.encode(cjson.decode(ARGV[1]))", text)


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(6 if depth < 4 else 4)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        return chance.choice([0, 7, -1, 1 << 40, 1 << 60, 0.1, -2.5e-7, 1e22, chance.random()])
    if kind < 4:
        return "".join(
            chance.choice('ab/"\\\n\t\x01\x7f\u00e9\u20ac\U0001f600') for _ in range(chance.randrange(8))
        )
    if kind == 4:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {str(_value(chance, 9)): _value(chance, depth + 1) for _ in range(chance.randrange(6))}


@pytest.mark.parametrize("name", ["status_reply", "error_reply", "log", "sha1hex", "debug"])
def test_what_redis_has_beside_its_calls(pair: Pair, name: str) -> None:
    words = ("1", "'a'", "'a b'", "'-X y'", "'-X'", "'a', 'b'", "{}", "nil", "9, 'x'", "3, 'x'", "-1, 'x'")
    compare(pair, f"return redis.{name}()")
    for given in (*words, "1, 'x', 2", "1.5, 'x'"):
        compare(pair, f"return redis.{name}({given})")
        caught = "return {tostring(fine), type(found) == 'table' and found.err or found}"
        compare(pair, f"local fine, found = pcall(redis.{name}, {given}) {caught}")


def test_what_is_not_there_is_told_in_the_words_of_redis(pair: Pair) -> None:
    for code in ("redis.nope()", "nope", "redis.breakpoint()", "cjson.nope", "cjson.nope()"):
        compare(pair, f"return {code}")
    compare(pair, "bit.nope = 1")


NUMBERS = [
    "0",
    "1",
    "-1",
    "255",
    "0x7fffffff",
    "0x80000000",
    "-2^31",
    "2^32",
    "2^32 + 5",
    "1.5",
    "2.5",
    "-0.5",
]
NUMBERS += ["'12'", "'0x10'", "31", "32", "33", "2^40 + 3", "-2^45 - 7", "0x12345678", "nil", "'x'", "{}"]


def test_operations_on_bits(pair: Pair) -> None:
    chance = random.Random(3)
    ones = [f"bit.{name}({a})" for name in ("tobit", "bnot", "bswap", "tohex") for a in NUMBERS]
    twos = [
        f"bit.{name}({chance.choice(NUMBERS)}, {chance.choice(NUMBERS)})"
        for name in ("band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex")
        for _ in range(15)
    ]
    more = [f"bit.{name}({', '.join(chance.choices(NUMBERS[:19], k=4))})" for name in ("band", "bor", "bxor")]
    for code in [*ones, *twos, *more, "bit.band()", "bit.lshift(1)", "bit.nope(1)", "bit.tohex(255, -4)"]:
        compare(pair, f"return tostring({code})")


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call()",
        "return redis.pcall()",
        "return redis.call({})",
        "\n\nreturn redis.call('INCRBY', 'a')",
        "return redis.call('nosuch')",
        "local fine, e = pcall(redis.call, 'nosuch') return {type(e), e}",
        "local fine, e = pcall(redis.call, 'nosuch') error(e)",
        "error(redis.pcall('nosuch'))",
        "return redis.log('99', 'x')",
        "return os.clock()",
        "return io",
        "x = 1",
        "string.x = 1",
        "return nil + 1",
        "return (",
        "local t = nil return t.x",
        "return ('x'):bad()",
        "error('boom')",
        "error('boom', 0)",
        "error({err = 'MY table'})",
        "error({err = 'noprefix'})",
        "error('a\\r\\nb')",
        "error()",
        "error(5)",
        "error(true)",
        "return assert(false)",
        "local function f()\n error('deep')\nend\nf()",
        "local function f() error('deep', 2) end\nf()",
        "return tostring()",
        "return setmetatable(1, 2)",
        "for i = 1, 2 do\n cjson.decode('{') end",
        "local f = function(x) return cjson.decode(x) end\nreturn f('[1,]')",
        "local fine, e = pcall(function() return cjson.decode('[1,]') end) return e",
        "return bit.band('x')",
        "local x\nreturn bit.bor({}, 1)",
        "return string.rep()",
        "return string.rep('x', 'y')",
        "return string.rep(5, '2')",
        "return string.find(5)",
        "return string.find('a', '[')",
        "return string.gsub(5, 5, '%1')",
        "return string.find()",
        "return string.gsub('x', {})",
        "return string.format('%d', 'x')",
        "return table.concat({{}})",
        "return unpack({}, 1, 1e8)",
    ],
)
def test_what_is_wrong_in_a_script_is_said_with_its_place(pair: Pair, script: str) -> None:
    compare(pair, script)
