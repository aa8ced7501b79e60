"""One list of requests through the reader: whole, byte by byte, in pipelines, and damaged."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.server.resp import parse as resp_parse
from dmqcache.server.resp.parse import MAX_ARGUMENTS, MAX_LINE_BYTES, RequestParser, split_line


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


def test_a_long_command_is_not_read_again_with_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    real = resp_parse._read_array

    def counted(*args: object) -> object:
        nonlocal reads
        reads += 1
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(resp_parse, "_read_array", counted)
    parser, data = RequestParser(), packed("SET", "k", "v" * 1_000_000)
    found = [command for at in range(0, len(data), 1000) for command in parser.feed(data[at : at + 1000])]
    assert [len(command[2]) for command in found] == [1_000_000]
    assert reads <= 3
    reads = 0
    data = packed("MSET", *(f"key{number}" for number in range(20_000)))
    found = [command for at in range(0, len(data), 1000) for command in parser.feed(data[at : at + 1000])]
    assert [len(command) for command in found] == [20_001]
    assert reads <= 30


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


def test_words_of_a_line() -> None:
    assert split_line(b"  a\tb 'c d' \"e\\t\\\\\" f'g h'  ") == ["a", "b", "c d", "e\t\\", "fg h"]
    assert split_line(b"") == []
    assert split_line(b"''") == [""]
