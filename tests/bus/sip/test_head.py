"""The head of a message: its end, its lines and its limits."""

from __future__ import annotations

import pytest

from dmqcache.bus.sip.head import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_LINE,
    UNREAL_LENGTH,
    find_head_end,
    parse_length,
    read_headers,
    split_head,
)
from dmqcache.bus.sip.headers import MessageError

START = "KDMQ sip:x@y SIP/2.0"
MANDATORY = ["Via: v", "From: f", "To: t", "Call-ID: c", "CSeq: 1 KDMQ"]


@pytest.mark.parametrize(
    ("data", "end", "start"),
    [
        (b"a\r\n\r\nbody", 2, 5),
        (b"a\n\nbody", 1, 3),
        (b"a\n\r\nbody", 1, 4),
        (b"a\n\n\r\nbody", 1, 3),
        (b"a\r\nb\r\n", -1, -1),
        (b"", -1, -1),
    ],
)
def test_the_head_ends_at_the_first_empty_line_of_whatever_kind(data: bytes, end: int, start: int) -> None:
    assert find_head_end(data, 0) == (end, start)


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_lines_come_without_their_ends_and_the_body_is_left_alone(line_end: str) -> None:
    data = line_end.join([START, *MANDATORY, "", "body\r\n\r\nmore"]).encode()
    lines, start = split_head(data)
    assert lines == [START, *MANDATORY] and data[start:] == b"body\r\n\r\nmore"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (f"{START}\r\nVia: a\rb\r\n\r\n", "bad_header"),
        (f"{START}\r\nVia: a\0b\r\n\r\n", "bad_header"),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", "not_sip"),
        (f"{START}\r\nVia: a", "truncated_head"),
        ("\x16\x03\x01", "not_sip"),
        (f"{START}\r\nX: {'a' * MAX_LINE}\r\n\r\n", "head_too_large"),
        (f"{START}\r\n{'X: a' * MAX_HEAD}", "head_too_large"),
        (f"{START}\n" + "X: a\n" * (MAX_HEAD // 5) + "\n", "head_too_large"),
        (f"{START}\r\n" + "X: a\r\n" * (MAX_HEADERS + 1) + "\r\n", "too_many_headers"),
    ],
)
def test_what_is_wrong_has_a_name(data: str, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        split_head(data.encode())
    assert caught.value.reason == reason


def test_values_are_found_by_their_full_name_whatever_the_case_and_the_form() -> None:
    lines = [START, "v: one", "VIA: two", "f: f", "t: t", "i: c", "CSeq : 1 KDMQ", "Folded: a", "\t b", " c"]
    values = read_headers(lines)
    assert values["via"] == ["one", "two"] and values["call-id"] == ["c"]
    assert values["cseq"] == ["1 KDMQ"] and values["folded"] == ["a b c"]


@pytest.mark.parametrize("missing", range(len(MANDATORY)))
def test_a_mandatory_header_must_be_there_and_say_something(missing: int) -> None:
    name = MANDATORY[missing].partition(":")[0]
    rest = [line for line in MANDATORY if not line.startswith(name)]
    for lines in (rest, [*rest, f"{name}:"]):
        with pytest.raises(MessageError) as caught:
            read_headers([START, *lines])
        assert caught.value.reason == "missing_header"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no colon", "bad_header"),
        ("bad name: x", "bad_header"),
        (": x", "bad_header"),
        ("From: another", "duplicate_header"),
        ("Max-Forwards: 1\r\nMax-Forwards: 2", "duplicate_header"),
    ],
)
def test_a_header_that_readers_could_take_differently_is_refused(line: str, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        read_headers([START, *MANDATORY, *line.split("\r\n")])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("values", "length"),
    [(["0"], 0), (["0012"], 12), (["7", "7"], 7), (["9" * 5000], UNREAL_LENGTH), (["0" * 5000 + "3"], 3)],
)
def test_a_length_is_a_number_however_it_is_written(values: list[str], length: int) -> None:
    assert parse_length(values) == length


@pytest.mark.parametrize("values", [["-1"], ["1.0"], [""], ["7", "8"], ["\u0663"]])
def test_what_is_no_length_is_refused(values: list[str]) -> None:
    with pytest.raises(MessageError) as caught:
        parse_length(values)
    assert caught.value.reason == "bad_content_length"
