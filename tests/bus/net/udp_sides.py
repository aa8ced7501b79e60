"""UDP transports for tests."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Callable

import pytest

from dmqcache.bus.net import udp_socket
from dmqcache.bus.net.udp import UdpOptions, UdpTransport
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.told import Told
from tests.ports import free_port

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="ICMP errors are told on Linux only")


class Side(Told):
    """A transport and all that it told."""

    def __init__(self, *hosts: str, options: UdpOptions | None = None) -> None:
        super().__init__()
        self.transport = UdpTransport(
            self.loop, self.receive, self.failures, self.counters, options or UdpOptions()
        )
        self.bound = [self.transport.listen(ipaddress.ip_address(host), 0) for host in hosts]


def unused(host: str = "127.0.0.14") -> Endpoint:
    """An endpoint where nobody listens."""
    return Endpoint("udp", host, free_port(host, "udp"))


class StubbornSocket(socket.socket):
    """A socket whose sends fail as told; ``errors`` are used up one by one, ``full`` lasts."""

    full = False
    errors: list[OSError]

    def sendto(self, *arguments):  # type: ignore[no-untyped-def]
        if self.full:
            raise BlockingIOError(errno.EAGAIN, "full")
        if self.errors:
            raise self.errors.pop()
        return super().sendto(*arguments)


def stubborn(monkeypatch: pytest.MonkeyPatch, **options: int) -> tuple[Side, StubbornSocket]:
    made: list[StubbornSocket] = []

    def open_it(kind: socket.SocketKind, ip: ipaddress.IPv4Address, port: int) -> socket.socket:
        sock = StubbornSocket(socket.AF_INET, kind)
        sock.errors = []
        sock.setblocking(False)
        sock.bind((str(ip), port))
        made.append(sock)
        return sock

    with monkeypatch.context() as patch:
        patch.setattr("dmqcache.bus.net.udp.open_socket", open_it)
        side = Side("127.0.0.11", options=UdpOptions(**options))
    return side, made[0]


def counted(calls: list[int]) -> Callable[[udp_socket.UdpSocket], None]:
    """The reading of errors, with each call noted."""
    original = udp_socket.UdpSocket._read_errors

    def read(self: udp_socket.UdpSocket) -> None:
        calls.append(1)
        original(self)

    return read
