"""dmqcache.bus.sip.uri: SIP URIs, and the one form of a node's address."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.bus.sip.uri import (
    Endpoint,
    NodeURI,
    SipURI,
    URIError,
    as_written,
    bracketed,
    is_ip,
    normal_host,
    parse_port,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.11", "127.0.0.11"),
        ("255.255.255.255", "255.255.255.255"),
        ("Node-1.Example.COM", "node-1.example.com"),
        ("node.example.com.", "node.example.com"),
        ("4f5e6d7a8b9c", "4f5e6d7a8b9c"),
        ("dmq_node.svc", "dmq_node.svc"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
        ("[::ffff:10.0.0.1]", normal_host("[::ffff:a00:1]")),
    ],
)
def test_hosts_have_one_form(text: str, expected: str) -> None:
    assert normal_host(text) == expected
    assert normal_host(bracketed(expected)) == expected


NO_HOSTS = ["", ".", "..", "a..b", "a..", "a b", "é.example", "host\n", "a" * 64, "a." * 130 + "a"]
NO_IPV4 = ["300.0.0.1", "1.2.3", "010.0.0.1", "1.2.3.4.5", "12345", "1.2.3.4\n"]
NO_IPV6 = ["[::1", "[1::2::3]", "[fe80::1%eth0]", "[]", "[node]", "[127.0.0.1"]


@pytest.mark.parametrize("text", [*NO_HOSTS, *NO_IPV4, *NO_IPV6])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(URIError):
        normal_host(text)


def test_an_ipv4_address_in_ipv6_clothes_is_the_same_node() -> None:
    assert normal_host("[::ffff:127.0.0.11]") == normal_host("::FFFF:7f00:b") == "127.0.0.11"
    assert NodeURI.parse("sip:[::ffff:127.0.0.11]:5060") == NodeURI.parse("127.0.0.11")


def test_ip_literals_are_known_from_names() -> None:
    assert is_ip("127.0.0.1") and is_ip("::1")
    assert not is_ip("localhost") and not is_ip("1.example.com")


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "-1", "+1", " 1", "1 ", "x", "١", "9" * 5000, "0" * 5000 + "1"]
)
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(URIError):
        parse_port(text)


def test_ports() -> None:
    assert [parse_port(text) for text in ("1", "05060", "65535")] == [1, 5060, 65535]


def test_a_full_uri() -> None:
    uri = SipURI.parse(
        "SIPS:hta%62le:s%3Ecret@Node.Example.com:5070;Transport=TCP;lr;status=active?subject=x&to=y"
    )
    assert uri == SipURI(
        "sips",
        "htable",
        "node.example.com",
        5070,
        {"transport": "TCP", "lr": "", "status": "active"},
        "s%3Ecret",
        "subject=x&to=y",
    )
    text = "sips:htable:s%3Ecret@node.example.com:5070;transport=TCP;lr;status=active?subject=x&to=y"
    assert str(uri) == text
    assert SipURI.parse(text) == uri


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "params"),
    [
        ("sip:127.0.0.1", "", "127.0.0.1", None, {}),
        ("sip:127.0.0.1:;status=active", "", "127.0.0.1", None, {"status": "active"}),
        ("sip:[::1]", "", "::1", None, {}),
        ("sip:htable@[2001:DB8::1]:5061;transport=tls", "htable", "2001:db8::1", 5061, {"transport": "tls"}),
        ("sip:a;b?c=d,e@h", "a;b?c=d,e", "h", None, {}),
        ("sip:%00%ff%40@h", "\0\udcff@", "h", None, {}),
        ("sip:h;a=1;A=2;;b", "", "h", None, {"a": "1", "b": ""}),
        ("sip:h?x", "", "h", None, {}),
    ],
)
def test_uris(text: str, user: str, host: str, port: int | None, params: dict[str, str]) -> None:
    uri = SipURI.parse(text)
    assert (uri.user, uri.host, uri.port, uri.params) == (user, host, port, params)
    assert SipURI.parse(str(uri)) == uri
    assert hash(uri) == hash(SipURI.parse(str(uri)))


NO_URIS = ["", "sip", "sip:", "tel:+123", "http://h", "<sip:h>", " sip:h", "sip:h x", "sip:h;a b", "sip:h\n"]
BAD_USERS = ["sip:a@", "sip:@h", "sip:a@b@c", 'sip:"a"@h', "sip:a%zz@h", "sip:a%2@h", "sip:a\0b@h"]
BAD_PORTS = ["sip:h:0", "sip:h:99999", "sip:h:5060:5060", "sip:h:" + "9" * 5000, "sip:::1", "sip:[::1"]
TOO_MUCH = ["sip:h\r\nX: y", "sip:" + "a" * 3000 + "@h"]


@pytest.mark.parametrize("text", [*NO_URIS, *BAD_USERS, *BAD_PORTS, *TOO_MUCH])
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(URIError):
        SipURI.parse(text)


@given(st.text(max_size=20).filter(bool), st.integers(1, 65535))
def test_any_user_survives(user: str, port: int) -> None:
    uri = SipURI("sip", user, "127.0.0.1", port)
    assert SipURI.parse(str(uri)) == uri
    assert str(uri).isascii()


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("sip:127.0.0.11:5060", NodeURI("127.0.0.11")),
        ("sip:127.0.0.11", NodeURI("127.0.0.11")),
        ("127.0.0.11", NodeURI("127.0.0.11")),
        ("127.0.0.11:5070", NodeURI("127.0.0.11", 5070)),
        (" Node1:5070 ", NodeURI("node1", 5070)),
        ("sip:htable@127.0.0.11:5060;transport=udp", NodeURI("127.0.0.11")),
        ("sip:node1;transport=TCP;status=active", NodeURI("node1", 5060, "tcp")),
        ("node1;transport=tcp", NodeURI("node1", 5060, "tcp")),
        ("sips:node1", NodeURI("node1", 5061, "tls")),
        ("SIPS:node1:5070;transport=tcp", NodeURI("node1", 5070, "tls")),
        ("sip:node1;transport=tls", NodeURI("node1", 5061, "tls")),
        ("[::1]:5060", NodeURI("::1")),
        ("sip:[0:0:0:0:0:0:0:1]", NodeURI("::1")),
    ],
)
def test_addresses_of_nodes(text: str, node: NodeURI) -> None:
    assert NodeURI.parse(text) == node
    assert NodeURI.parse(str(node)) == node


@pytest.mark.parametrize(
    "text", ["", "::1", "::1:5060", "h:x", "h:0", "sip:h;transport=sctp", "tcp:h:5060", "h/x", "sip:h h"]
)
def test_what_is_no_address_of_a_node_is_refused(text: str) -> None:
    with pytest.raises(URIError):
        NodeURI.parse(text)


def test_how_a_node_is_written() -> None:
    assert str(NodeURI("127.0.0.11")) == "sip:127.0.0.11:5060"
    assert str(NodeURI("::1", 5060, "tcp")) == "sip:[::1]:5060;transport=tcp"
    assert NodeURI("127.0.0.11").with_user("htable") == "sip:htable@127.0.0.11:5060"
    assert NodeURI("::1", 5061, "tls").with_user("a b@\r\n") == "sip:a%20b%40%0D%0A@[::1]:5061;transport=tls"
    assert NodeURI("::1").host_port == "[::1]:5060"
    assert NodeURI("node1", 5070).host_port == "node1:5070"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("sip:htable@Kam.Example:5060", "sip:Kam.Example:5060"),
        ("sip:10.0.0.1:;status=active", "sip:10.0.0.1"),
        ("SIP:a@[FD00::1]:5060;transport=TCP;status=active", "sip:[FD00::1]:5060;transport=tcp"),
        ("sips:kam.example", "sip:kam.example;transport=tls"),
        ("sip:kam.example;transport=udp?x=y", "sip:kam.example"),
        ("sip:kam.example;transport=\u1234", "sip:kam.example"),
        ("kam.example", ""),
        ("sip:kam.example " + "x" * 3000, ""),
    ],
)
def test_an_address_keeps_its_letters(text: str, written: str) -> None:
    assert as_written(text) == written


def test_only_a_literal_has_an_endpoint() -> None:
    assert NodeURI("127.0.0.11", 5070, "tcp").endpoint == Endpoint("tcp", "127.0.0.11", 5070)
    assert NodeURI("::1").endpoint == Endpoint("udp", "::1", 5060)
    assert NodeURI("node1").endpoint is None


def test_nodes_are_keys_have_an_order_and_do_not_change() -> None:
    nodes = [NodeURI("b"), NodeURI("a", 2), NodeURI("a", 1, "tcp"), NodeURI("a", 1)]
    assert sorted(nodes) == [NodeURI("a", 1, "tcp"), NodeURI("a", 1), NodeURI("a", 2), NodeURI("b")]
    assert {NodeURI.parse("sip:B:5060"): 1}[NodeURI("b")] == 1
    assert pickle.loads(pickle.dumps(nodes)) == nodes
    with pytest.raises(AttributeError):
        nodes[0].port = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        SipURI.parse("sip:h").host = "x"  # type: ignore[misc]
