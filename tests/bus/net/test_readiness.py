"""A socket's readiness under both loops, above all when it has an error to tell."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from dmqcache.bus.net.readiness import Readiness
from dmqcache.bus.net.udp_socket import IP_RECVERR
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.waiting import until


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.11", 0))
    return sock


@both_loops
def test_reading_wakes_always_and_writing_when_wanted(loop: Loop) -> None:
    async def main() -> None:
        with bound() as sock, bound() as other:
            wakes: list[bytes] = []

            def ready() -> None:
                try:
                    wakes.append(sock.recv(100))
                except BlockingIOError:
                    wakes.append(b"room")

            readiness = Readiness(asyncio.get_running_loop(), sock, ready)
            await turns()
            assert wakes == []
            other.sendto(b"data", sock.getsockname())
            await until(lambda: wakes)
            assert wakes == [b"data"]
            readiness.want_write(True)
            await until(lambda: b"room" in wakes)
            readiness.want_write(False)
            await turns()
            seen = len(wakes)
            await turns(20)
            assert len(wakes) == seen
            readiness.close()
            other.sendto(b"too late", sock.getsockname())
            await turns(20)
            assert len(wakes) == seen
            assert sock.fileno() >= 0

    run(loop, main())


@pytest.mark.skipif(sys.platform != "linux", reason="the error queue is Linux's")
@both_loops
def test_an_error_wakes_and_the_socket_is_heard_afterwards(loop: Loop) -> None:
    async def main() -> None:
        with bound() as sock, bound() as other:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            wakes: list[object] = []

            def ready() -> None:
                try:
                    wakes.append(sock.recv(100))
                except OSError as error:
                    wakes.append(type(error))
                    sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)

            readiness = Readiness(asyncio.get_running_loop(), sock, ready)
            with bound() as gone:
                nobody = gone.getsockname()
            sock.sendto(b"anybody?", nobody)
            await until(lambda: wakes)
            assert wakes == [ConnectionRefusedError]
            other.sendto(b"data", sock.getsockname())
            await until(lambda: len(wakes) == 2)
            assert wakes[1] == b"data"
            readiness.close()

    run(loop, main())
