"""TCP transports for tests, and a listener of which the test decides every byte."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from dmqcache.bus.net.tcp import TcpOptions, TcpTransport
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.told import Told
from tests.ports import free_port
from tests.waiting import until


def sip(body: bytes = b"") -> bytes:
    """As much of a message as framing needs."""
    return b"KDMQ sip:x@y SIP/2.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Side(Told):
    """A transport and all that it told."""

    def __init__(self, options: TcpOptions | None = None) -> None:
        super().__init__()
        self.transport = TcpTransport(
            self.loop, self.receive, self.failures, self.counters, options or TcpOptions()
        )

    async def listen(self, host: str, port: int = 0) -> Endpoint:
        return await self.transport.listen(ipaddress.ip_address(host), port)


@asynccontextmanager
async def sides(*hosts: str, options: TcpOptions | None = None) -> AsyncIterator[list[tuple[Side, Endpoint]]]:
    """Transports that listen on ``hosts``; closed at the end."""
    made = []
    for host in hosts:
        side = Side(options)
        made.append((side, await side.listen(host)))
    try:
        yield made
    finally:
        for side, _ in made:
            await side.transport.close()


def unused(host: str = "127.0.0.14") -> Endpoint:
    """An endpoint where nobody listens."""
    return Endpoint("tcp", host, free_port(host, "tcp"))


class Plain:
    """A listener of which the test decides every byte."""

    def __init__(self) -> None:
        self.connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def start(self, host: str = "127.0.0.14", port: int = 0) -> Endpoint:
        self._server = await asyncio.start_server(self._taken, host, port)
        return Endpoint("tcp", host, self._server.sockets[0].getsockname()[1])

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append((reader, writer))

    async def read(self, data: bytes, connection: int = 0) -> None:
        """Read exactly ``data``."""
        await until(lambda: len(self.connections) > connection)
        async with asyncio.timeout(10):
            assert await self.connections[connection][0].readexactly(len(data)) == data

    def reset(self, connection: int) -> None:
        writer = self.connections[connection][1]
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    def close(self) -> None:
        self._server.close()
        for _, writer in self.connections:
            writer.close()


async def called(side: Side) -> tuple[Plain, Endpoint]:
    """A listener that ``side`` has called, and that has read its first message; and where it listens."""
    plain = Plain()
    there = await plain.start()
    side.transport.send(sip(b"1"), there)
    await plain.read(sip(b"1"))
    return plain, there


async def closed(reader: asyncio.StreamReader) -> None:
    """Wait until the other end closes the connection, and see that it has sent nothing."""
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError, BrokenPipeError):
            assert await reader.read() == b""
