"""dmqcache.bus.sip.headers: values inside headers."""

from __future__ import annotations

import pytest

from dmqcache.bus.sip.headers import (
    COMPACT_NAMES,
    REASONS_FOR_DROP,
    MessageError,
    NameAddr,
    Via,
    full_name,
    parse_params,
    reply_endpoint,
    split_list,
)
from dmqcache.bus.sip.uri import Endpoint


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("a,b , c", ["a", "b", "c"]),
        (",a,,b,", ["a", "b"]),
        ('"a,b" <sip:x,y@h>;c="d,\\",e", <z>', ['"a,b" <sip:x,y@h>;c="d,\\",e"', "<z>"]),
        ('a,"never closed, b', ["a", '"never closed, b']),
        ("a,<never closed, b", ["a", "<never closed", "b"]),
        ('a,"\\', ["a", '"\\']),
    ],
)
def test_lists_are_split_outside_quotes_and_brackets(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts


def test_parameters() -> None:
    text = ' Branch = z9hG4bK1 ;rport; tag=a;q="x;\\"y\\\\";tag=second;h=[::1]:5060;empty='
    assert parse_params(text) == {
        "branch": "z9hG4bK1",
        "rport": "",
        "tag": "a",
        "q": 'x;"y\\',
        "h": "[::1]:5060",
        "empty": "",
    }
    assert parse_params("") == {}


@pytest.mark.parametrize("text", ["=x", "a=b c", 'a="b', 'a="b"c', "a;;b", "a=<b>", "a,b", "é=1"])
def test_what_are_no_parameters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not parameters"):
        parse_params(text)


def test_a_via_without_port_or_branch() -> None:
    via = Via.parse("SIP/2.0/UDP node1")
    assert (via.transport, via.host, via.port, via.branch, via.params) == ("udp", "node1", None, "", {})


def test_a_via_without_a_transport() -> None:
    """A stateless request of Kamailio 6.2 (``sl_send=1``) begins with one."""
    via = Via.parse("SIP/2.0/ 127.0.0.80:5060;branch=z9hG4bK6825191")
    assert (via.transport, via.host, via.port, via.branch) == ("", "127.0.0.80", 5060, "z9hG4bK6825191")
    with pytest.raises(MessageError):
        Via.parse("SIP/2.0/127.0.0.80:5060")
    for transport in ("udp", "tcp", "tls"):
        source = Endpoint(transport, "127.0.0.80", 40000)
        there = reply_endpoint(Via.parse("SIP/2.0/ 127.0.0.80"), source, connected=False)
        assert there == Endpoint(transport, "127.0.0.80", 5061 if transport == "tls" else 5060)


def test_name_addr_without_brackets_has_the_parameters_of_the_header() -> None:
    assert NameAddr.parse("sip:a@h:5060;tag=t") == NameAddr("sip:a@h:5060", {"tag": "t"})
    assert NameAddr.parse("<sip:a@h:5060;transport=tcp>").tag == ""


def test_compact_names_stand_for_full_ones() -> None:
    assert full_name("V") == "via" and full_name("L") == "content-length" and full_name("X-Own") == "x-own"
    assert all(len(short) == 1 and short.islower() for short in COMPACT_NAMES)


def test_an_error_says_what_and_cuts_what_it_shows() -> None:
    error = MessageError("bad_via", "x" * 10_000)
    assert REASONS_FOR_DROP["bad_via"] in str(error) and len(str(error)) < 300


@pytest.mark.parametrize(
    ("via", "source", "expected"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5070", Endpoint("udp", "10.0.0.9", 40000), Endpoint("udp", "10.0.0.9", 5070)),
        ("SIP/2.0/UDP 10.0.0.1", Endpoint("udp", "10.0.0.9", 40000), Endpoint("udp", "10.0.0.9", 5060)),
        (
            "SIP/2.0/UDP 10.0.0.1:1;rport",
            Endpoint("udp", "10.0.0.9", 40000),
            Endpoint("udp", "10.0.0.9", 40000),
        ),
        ("SIP/2.0/UDP h;maddr=10.9.9.9", Endpoint("udp", "::1", 40000), Endpoint("udp", "::1", 5060)),
        ("SIP/2.0/TCP 10.0.0.1:5070", Endpoint("tcp", "10.0.0.9", 40000), Endpoint("tcp", "10.0.0.9", 40000)),
    ],
)
def test_where_a_reply_goes(via: str, source: Endpoint, expected: Endpoint) -> None:
    assert reply_endpoint(Via.parse(via), source) == expected


def test_a_reply_whose_connection_is_gone_goes_where_its_sender_listens() -> None:
    source = Endpoint("tcp", "10.0.0.9", 40000)
    there = reply_endpoint(Via.parse("SIP/2.0/TCP 10.0.0.1:5070;rport"), source, connected=False)
    assert there == Endpoint("tcp", "10.0.0.9", 5070)
