"""The kernel's filter, on real sockets and as a program that is run here."""

from __future__ import annotations

import ipaddress
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.bus.allow import AllowList, Network
from dmqcache.bus.net.packet_filter import (
    AND,
    DROP,
    JUMP_IF_EQUAL,
    LOAD_WORD,
    NETWORK_HEADER,
    RETURN,
    SOURCE_V4,
    SOURCE_V6,
    attach,
    program,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")


def verdict(networks: list[Network], source: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Run the program as the kernel does, on a packet from ``source``."""
    first = SOURCE_V4 if source.version == 4 else SOURCE_V6
    packet = bytes(first) + source.packed + bytes(64)
    steps = program(networks, source.version)
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == LOAD_WORD:
            offset = value - NETWORK_HEADER
            accumulator = int.from_bytes(packet[offset : offset + 4])
        elif code == AND:
            accumulator &= value
        elif code == JUMP_IF_EQUAL:
            at += if_true if accumulator == value else if_false
        else:
            assert code == RETURN
            return value != DROP


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address = draw(addresses)
    bits = draw(st.integers(0, address.max_prefixlen))
    return ipaddress.ip_network((address, bits), strict=False)


@given(st.lists(networks(), max_size=6), addresses)
def test_the_program_says_what_the_list_says(
    listed: list[Network], source: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    if listed:
        assert verdict(listed, source) == AllowList(listed).allows(str(source))
    for network in listed:
        assert verdict(listed, network[0])
        assert verdict(listed, network[-1])


@pytest.mark.parametrize(
    ("family", "here", "listed", "stranger"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.12", "127.0.0.13"),
        (socket.AF_INET, "127.0.0.1", "127.0.1.0/24", "127.0.2.1"),
    ],
)
def test_the_kernel_drops_strangers(family: int, here: str, listed: str, stranger: str) -> None:
    network = ipaddress.ip_network(listed)
    friend = str(network[0])
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind((here, 0))
        assert attach(receiver, [network])
        for source, text in ((stranger, b"stranger"), (friend, b"friend")):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                sender.sendto(text, receiver.getsockname())
        receiver.settimeout(5)
        assert receiver.recv(100) == b"friend"
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(100)


def test_a_new_list_takes_the_place_of_the_old_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        assert attach(receiver, [ipaddress.ip_network("127.0.0.12")])
        assert attach(receiver, [ipaddress.ip_network("127.0.0.13")])
        for source in ("127.0.0.12", "127.0.0.13"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                sender.sendto(source.encode(), receiver.getsockname())
        receiver.settimeout(5)
        assert receiver.recv(100) == b"127.0.0.13"


def test_an_ipv6_socket_listens_to_ipv6_entries() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::1", 0))
        assert attach(receiver, [ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("::1")])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", receiver.getsockname())
        receiver.settimeout(5)
        assert receiver.recv(100) == b"hello"
        assert attach(receiver, [ipaddress.ip_network("fd00::/8")])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"again", receiver.getsockname())
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(100)


def test_a_list_that_the_kernel_cannot_hold_is_said(caplog: pytest.LogCaptureFixture) -> None:
    many = [ipaddress.ip_network(f"10.{number // 256}.{number % 256}.1") for number in range(1100)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        assert not attach(receiver, many)
    assert "one by one" in caplog.text
