"""Socket addresses to endpoints and back, without ever asking the DNS."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from dmqcache.bus.net.sockaddr import address_of, endpoint_of, family_of, ip_of, nearest, open_socket
from dmqcache.bus.sip.uri import Endpoint


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        (("192.0.2.1", 5060), Endpoint("udp", "192.0.2.1", 5060)),
        (("2001:db8::1", 5060, 0, 0), Endpoint("udp", "2001:db8::1", 5060)),
        (("fe80::1", 5060, 0, 3), Endpoint("udp", "fe80::1%3", 5060)),
        (("fe80::1%eth9", 5060, 0, 3), Endpoint("udp", "fe80::1%3", 5060)),
    ],
)
def test_the_systems_address_as_an_endpoint(address: tuple[object, ...], endpoint: Endpoint) -> None:
    assert endpoint_of("udp", address) == endpoint


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 5060)),
        ("::1", ("::1", 5060)),
        ("fe80::1%3", ("fe80::1", 5060, 0, 3)),
        ("fe80::1%lo", ("fe80::1", 5060, 0, socket.if_nametoindex("lo"))),
        ("fe80::1%no-such-card", ("fe80::1", 5060, 0, 0)),
    ],
)
def test_an_endpoint_as_the_systems_address(host: str, address: tuple[object, ...]) -> None:
    ip = ip_of(host)
    assert ip is not None
    assert address_of(ip, 5060) == address
    assert family_of(ip) == (socket.AF_INET6 if ":" in host else socket.AF_INET)


@pytest.mark.parametrize("host", ["localhost", "", "[::1]", "127.1", "0x7f000001", "192.0.2.1\0", "::1%"])
def test_what_is_no_address_is_told_apart(host: str) -> None:
    assert ip_of(host) is None


@pytest.mark.parametrize(
    ("locals_", "remote", "chosen"),
    [
        (["127.0.0.11", "192.0.2.2"], "127.0.0.12", "127.0.0.11"),
        (["127.0.0.11", "192.0.2.2"], "198.51.100.1", "192.0.2.2"),
        (["192.0.2.2"], "127.0.0.12", "192.0.2.2"),
        (["127.0.0.11", "::1", "2001:db8::2"], "2001:db8::9", "2001:db8::2"),
        (["0.0.0.0"], "198.51.100.1", "0.0.0.0"),
        (["127.0.0.11"], "::1", None),
        ([], "::1", None),
    ],
)
def test_the_local_address_that_is_near(locals_: list[str], remote: str, chosen: str | None) -> None:
    ips = [ip_address(local) for local in locals_]
    found = nearest(ips, lambda ip: ip, ip_address(remote))
    assert found == (None if chosen is None else ip_address(chosen))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_both_wildcards_can_be_bound_to_one_port(kind: socket.SocketKind) -> None:
    with open_socket(kind, ip_address("::"), 0) as six:
        port = six.getsockname()[1]
        with open_socket(kind, ip_address("0.0.0.0"), port) as four:
            assert four.getsockname() == ("0.0.0.0", port)
            assert not four.getblocking()
