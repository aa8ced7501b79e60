"""One list of requests through the reader: whole, byte by byte, in pipelines, and damaged."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.server.resp import parse as resp_parse
from dmqcache.server.resp.parse import MAX_ARGUMENTS, MAX_LINE_BYTES, RequestParser


def packed(*command: str) -> bytes:
    words = tuple(word.encode("utf-8", "surrogateescape") for word in command)
    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type]


GOOD = [
    (packed("GET", "a"), [["GET", "a"]]),
    (packed("SET", "k", ""), [["SET", "k", ""]]),
    (packed("SET", "k", "\udcff\0\r\n"), [["SET", "k", "\udcff\0\r\n"]]),
    # A value that looks like a command, in the middle of a pipeline.
    (
        packed("SET", "k", "\r\n*1\r\n$1\r\nx\r\n") + packed("PING"),
        [["SET", "k", "\r\n*1\r\n$1\r\nx\r\n"], ["PING"]],
    ),
    (packed("PING") * 5, [["PING"]] * 5),
    (b"*0\r\n" + packed("PING"), [["PING"]]),
    (b"*-1\r\n*0\r\n", []),
    (packed("PING") + b"*0\r\n" + packed("PING") * 2, [["PING"]] * 3),
    (packed("PING") + b"*-1\r\n" + packed("GET", "\r\n"), [["PING"], ["GET", "\r\n"]]),
    (packed("SET", "é", "x" * 5000) * 2, [["SET", "é", "x" * 5000]] * 2),
    (packed("DEL", *"abc" * 100), [["DEL", *"abc" * 100]]),
    (b"PING\r\n", [["PING"]]),
    (b"\r\n\n  \r\nPING\n", [["PING"]]),
    (b'SET a \'b c\' "d\\n\\x41\\""\r\n', [["SET", "a", "b c", 'd\nA"']]),
    (b"PING\r\n" + packed("PING") + b"GET x\r\n", [["PING"], ["PING"], ["GET", "x"]]),
]

BAD = [
    (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
    (b"*1\r\n:1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got ':'"),
    (b"*1\r\n*1\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
    (b"*a\r\n", "invalid multibulk length"),
    (b"*%d\r\n" % (MAX_ARGUMENTS + 1), "invalid multibulk length"),
    (b"*99999999999999999999\r\n", "invalid multibulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
    (b"*1\r\n$x\r\n", "invalid bulk length"),
    (b"*" + b"1" * 40, "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * 40, "too big bulk count string"),
    (b"x" * (MAX_LINE_BYTES + 1), "too big inline request"),
    (b'GET "a\r\n', "unbalanced quotes in request"),
    (b"GET 'a'b\r\n", "unbalanced quotes in request"),
]


@pytest.mark.parametrize(("data", "commands"), GOOD)
def test_whole(data: bytes, commands: list[list[str]]) -> None:
    parser = RequestParser()
    assert parser.feed(data) == commands
    assert parser.failed is None
    assert parser.pending == 0


@pytest.mark.parametrize(("data", "commands"), GOOD)
def test_byte_by_byte(data: bytes, commands: list[list[str]]) -> None:
    parser = RequestParser()
    found = [command for byte in data for command in parser.feed(bytes([byte]))]
    assert found == commands
    assert parser.failed is None
    assert parser.pending == 0


@pytest.mark.parametrize(("data", "said"), BAD)
@pytest.mark.parametrize("before", [b"", packed("PING") * 2])
def test_what_is_no_command_is_said_after_those_before_it(data: bytes, said: str, before: bytes) -> None:
    parser = RequestParser()
    assert parser.feed(before + data) == [["PING"]] * (2 if before else 0)
    assert str(parser.failed) == said


@pytest.mark.parametrize(
    "command",
    [
        ["SET", "k", "v" * 1_000_000],
        ["MSET", *(f"key{number}" for number in range(20_000))],
        ["MSET", *(f"key{number}\r\n" for number in range(20_000))],
        ["MSET", *("v" * 50_000 for number in range(20))],
    ],
    ids=["one long", "many short", "many with line ends", "many long"],
)
def test_a_long_command_is_not_read_again_with_each_piece(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = lengths = 0
    real_lines, real_length = resp_parse._lines, RequestParser._read_length

    def counted_lines(data: bytes, start: int) -> list[str]:
        nonlocal cut
        cut += len(data) - start
        return real_lines(data, start)

    def counted_length(*args: Any) -> Any:
        nonlocal lengths
        lengths += 1
        return real_length(*args)

    monkeypatch.setattr(resp_parse, "_lines", counted_lines)
    monkeypatch.setattr(RequestParser, "_read_length", counted_length)
    parser, data = RequestParser(), packed(*command)
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    assert [one for piece in pieces for one in parser.feed(piece)] == [command]
    assert cut <= 2 * len(data)
    assert lengths <= len(command) + 3 * len(pieces)


def test_what_is_announced_takes_no_memory() -> None:
    parser = RequestParser()
    parser.feed(b"*%d\r\n" % MAX_ARGUMENTS + packed("x" * 1000)[4:])
    assert 1000 < parser.pending < 1200
    parser.feed(b"$%d\r\n" % (1 << 28))
    assert parser.pending < 1200


def test_the_memory_of_short_arguments_counts() -> None:
    parser = RequestParser()
    parser.feed(b"*200001\r\n" + b"$2\r\nab\r\n" * 200_000)
    assert parser.pending > 200_000 * 50


HALF = [
    # An announced array, and then other commands: they are not its arguments.
    (b"*2147483647\r\n" + packed("PING"), "invalid multibulk length"),
    (b"*1000000\r\n" + packed("PING") * 5, "expected '$', got '*'"),
    (b"*5\r\n" + packed("PING") * 5, "expected '$', got '*'"),
    (b"*2\r\n$4\r\nPING\r\n" + packed("PING"), "expected '$', got '*'"),
    (b"*1\r\n$01\r\na\r\n", "invalid bulk length"),
    (b"*01\r\n", "invalid multibulk length"),
]


@pytest.mark.parametrize(("data", "said"), HALF)
def test_an_array_that_does_not_hold_what_it_announces(data: bytes, said: str) -> None:
    parser = RequestParser()
    assert parser.feed(packed("PING") + data) == [["PING"]]
    assert str(parser.failed) == said


def test_the_longest_argument_can_be_limited() -> None:
    parser = RequestParser(max_bulk_bytes=10)
    assert parser.feed(packed("GET", "x" * 10)) == [["GET", "x" * 10]]
    parser.feed(packed("GET", "x" * 11))
    assert str(parser.failed) == "invalid bulk length"


words = st.lists(st.binary(max_size=20), min_size=1, max_size=4)


@given(st.lists(words, max_size=6), st.lists(st.integers(1, 200), max_size=20))
def test_any_commands_cut_anywhere_come_out_as_they_went_in(
    commands: list[list[bytes]], cuts: list[int]
) -> None:
    data = b"".join(bytes(hiredis.pack_command(tuple(command))) for command in commands)  # type: ignore[arg-type]
    parser, found = RequestParser(), []
    for cut in [*cuts, len(data)]:
        found += parser.feed(data[:cut])
        data = data[cut:]
    found += parser.feed(data)
    assert found == [[word.decode("utf-8", "surrogateescape") for word in command] for command in commands]


@given(st.binary(max_size=200))
def test_any_bytes_end_in_commands_or_in_a_named_error(data: bytes) -> None:
    parser = RequestParser()
    for command in parser.feed(data):
        assert command and all(type(word) is str for word in command)


def one_by_one(data: bytes, most: int = 10, longest: int = 100) -> tuple[list[list[str]], bytes]:
    """Commands read as from a stranger, and what is left."""
    parser, commands, at = RequestParser(), [], 0
    while True:
        command, at = parser.read_one(data, at, most, longest)
        if command is None:
            assert parser.failed is None
            return commands, data[at:]
        commands.append(command)


def test_commands_of_a_stranger_are_read_one_by_one() -> None:
    whole = b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n"
    assert one_by_one(b"PING\r\n*0\r\n" + whole + b"GET a\r\n") == (
        [["PING"], ["AUTH", "x"], ["GET", "a"]],
        b"",
    )
    assert one_by_one(b"PING\r\nPIN") == ([["PING"]], b"PIN")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"*11\r\n", "unauthenticated multibulk length"),
        (b"*1\r\n$101\r\n", "unauthenticated bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n+x\r\n", "expected '$', got '+'"),
    ],
)
def test_a_stranger_has_narrow_limits(data: bytes, said: str) -> None:
    parser = RequestParser()
    assert parser.read_one(data, 0, 10, 100)[0] is None
    assert str(parser.failed) == said


def test_after_a_strangers_limits_the_usual_ones_count() -> None:
    parser = RequestParser()
    parser.read_one(b"PING\r\n", 0, 1, 1)
    data = parser.with_rest(b"*3\r\n$3\r\nDEL\r\n$2")
    assert parser.read_one(data, 0, 3, 3) == (None, 13)
    parser.keep(data[13:])
    assert parser.pending > 2
    assert parser.feed(b"0\r\n" + b"x" * 20 + b"\r\n$1\r\ny\r\n") == [["DEL", "x" * 20, "y"]]
