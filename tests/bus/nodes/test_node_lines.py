"""Bodies of the notification channel: what we write, and what we survive reading."""

from __future__ import annotations

from collections import Counter

import pytest

from dmqcache.bus.node import NodeStatus
from dmqcache.bus.nodes.node_lines import MAX_KEPT, MAX_LINES, NodeLine, NodeLines
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.captures import DATAGRAMS

A = NodeURI.parse("127.0.0.11")
B = NodeURI.parse("127.0.0.12:5070")
#: A line of A's, as it is read.
SEEN = NodeLine(A, written="sip:127.0.0.11:5060")


def read(body: bytes) -> tuple[list[NodeLine], Counter[str]]:
    drops: Counter[str] = Counter()
    return NodeLines(drops).read(body), drops


def write(*lines: NodeLine) -> bytes:
    return NodeLines(Counter()).write(lines)


def test_a_body_in_full() -> None:
    """Golden bytes: one wrong line makes a Kamailio 5.6.3 hang for good."""
    assert write(
        NodeLine(A, instance="ab12cd34"),
        NodeLine(B),
        NodeLine(NodeURI.parse("sip:127.0.0.13;transport=tcp")),
        NodeLine(NodeURI.parse("sip:[2001:db8::1]:5060")),
    ) == (
        b"sip:127.0.0.11:5060;status=active;instance=ab12cd34\r\n"
        b"sip:127.0.0.12:5070;status=active\r\n"
        b"sip:127.0.0.13:5060;transport=tcp;status=active\r\n"
        b"sip:[2001:db8::1]:5060;status=active\r\n"
    )


@pytest.mark.parametrize("status", list(NodeStatus))
def test_only_two_words_are_ever_written(status: NodeStatus) -> None:
    word = b"disabled" if status is NodeStatus.DISABLED else b"active"
    assert write(NodeLine(A, status)) == b"sip:127.0.0.11:5060;status=" + word + b"\r\n"


def test_a_name_is_written_only_where_it_is_the_nodes_own_letter_by_letter() -> None:
    name = NodeURI.parse("kam.example")
    assert write(NodeLine(name), NodeLine(A)) == b"sip:127.0.0.11:5060;status=active\r\n"
    assert write(NodeLine(B, written="sip:Kam.example")) == b"sip:Kam.example;status=active\r\n"


def test_what_is_written_is_read_the_same() -> None:
    lines = [
        NodeLine(A, NodeStatus.DISABLED, "ab12cd34", written="sip:127.0.0.11"),
        NodeLine(B, suspect=True, written="sip:127.0.0.12:5070"),
        NodeLine(NodeURI.parse("sip:[::1]:5062;transport=tcp"), written="sip:[::1]:5062;transport=tcp"),
    ]
    assert read(write(*lines)) == (lines, Counter())


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"", b"\r\n\0", b" \r\n"])
def test_any_end_of_the_last_line_will_do(end: bytes) -> None:
    assert read(b"sip:127.0.0.11:5060;status=active" + end)[0] == [SEEN]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("active", NodeStatus.ACTIVE),
        ("disabled", NodeStatus.DISABLED),
        ("timeout", NodeStatus.TIMEOUT),
        ("not_active", NodeStatus.TIMEOUT),
        ("pending", NodeStatus.PENDING),
        ("ACTIVE", NodeStatus.ACTIVE),
    ],
)
def test_the_words_of_all_kamailios_are_read(word: str, status: NodeStatus) -> None:
    assert read(f"sip:127.0.0.11:5060;status={word}\r\n".encode())[0] == [SEEN._replace(status=status)]


def test_a_line_without_a_status_says_that_there_is_a_node() -> None:
    assert read(b"sip:127.0.0.11:\r\n")[0] == [SEEN._replace(written="sip:127.0.0.11")]


def test_bad_lines_are_counted_and_the_good_ones_kept() -> None:
    body = (
        b"sip:127.0.0.11:5060;status=active\r\n"
        b"\r\n"
        b"garbage\r\n"
        b"sip:127.0.0.13:99999;status=active\r\n"
        b"sip:127.0.0.14:5060;transport=ws;status=active\r\n"
        b"\xff\xfe\x00\x01\r\n"
        b"sip:127.0.0.15:5060;status=bogus\r\n"
        b"sip:127.0.0.12:5070;status=active\r\n"
    )
    lines, drops = read(body)
    assert [line.uri for line in lines] == [A, B]
    assert drops == {"node_line_bad": 4, "node_line_unknown_status": 1}


def test_an_empty_body_says_nothing() -> None:
    assert read(b"") == ([], Counter()) and read(b"\r\n\r\n") == ([], Counter())


def test_too_many_lines_are_cut_and_counted() -> None:
    lines, drops = read(b"sip:127.0.0.11:5060;status=active\n" * (MAX_LINES + 5))
    assert len(lines) == MAX_LINES and drops == {"node_lines_too_many": 1}
    lines, drops = read(b"sip:127.0.0.11:5060;status=active\n" * MAX_LINES)
    assert len(lines) == MAX_LINES and not drops


@pytest.mark.parametrize("instance", ["", "a;b", "x" * 100, "ü"])
def test_an_instance_is_short_and_plain_or_none(instance: str) -> None:
    (line,), _ = read(f"sip:127.0.0.11:5060;status=active;instance={instance}\r\n".encode())
    assert len(line.instance) <= 32 and (line.instance == "" or line.instance.isalnum())


def test_what_is_remembered_of_lines_is_bounded() -> None:
    codec = NodeLines(Counter())
    for number in range(3 * MAX_KEPT):
        codec.read(b"sip:127.0.0.11:5060;status=active;instance=%d\r\n" % number)
    assert len(codec._read) <= MAX_KEPT
    assert codec.read(b"sip:127.0.0.11:5060;status=active;instance=0\r\n")[0].instance == "0"


def test_every_list_of_a_real_kamailio_is_read_without_a_complaint() -> None:
    count = 0
    for datagram in DATAGRAMS:
        body = datagram.partition(b"\r\n\r\n")[2]
        if body.startswith(b"sip:"):
            lines, drops = read(body)
            assert len(lines) == body.count(b"\r\n") and not drops
            count += 1
    assert count > 5
