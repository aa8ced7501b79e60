"""TLS handshakes of strangers: bounded for one address and in all, in time too, and nobody is kept out."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trustme

from dmqcache.bus.net.handshakes import Bounds, Handshakes, Listener
from dmqcache.bus.net.sockaddr import ip_of, open_socket
from dmqcache.bus.net.tls import serving
from tests.bus.net.loops import Loop, both_loops, run
from tests.waiting import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Greeter(asyncio.Protocol):
    """Says one word to whoever has finished."""

    def __init__(self, held: list[asyncio.BaseTransport]) -> None:
        self._held = held

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # As every protocol must: uvloop ends a connection that nobody knows.
        self._held.append(transport)
        cast(asyncio.Transport, transport).write(b"hello")


class Site:
    """A server that takes handshakes."""

    def __init__(self, folder: Path, bounds: Bounds, **named: object) -> None:
        ca = trustme.CA()
        issued = ca.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(folder / "cert")
        issued.private_key_pem.write_to_path(folder / "key")
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False
        ca.configure_trust(self.client)
        self.refused: Counter[str] = Counter()
        self.held: list[asyncio.BaseTransport] = []
        self.shakes = Handshakes(serving(folder / "cert", folder / "key"), bounds, **named)  # type: ignore[arg-type]

    def _count(self, why: str) -> None:
        self.refused[why] += 1

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Listener]:
        ip = ip_of("127.0.0.1")
        assert ip is not None
        sock = open_socket(socket.SOCK_STREAM, ip, 0)
        listener = self.shakes.listen(sock, lambda: Greeter(self.held), self._count)
        self.port = sock.getsockname()[1]
        try:
            yield listener
        finally:
            listener.close()
            self.shakes.close()
            await until(lambda: not self.shakes.under_way)

    async def stranger(self, host: str = "127.0.0.1") -> Streams:
        """Somebody who connects and says nothing."""
        before = self.shakes.under_way + sum(self.refused.values())
        streams = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0))
        await until(lambda: self.shakes.under_way + sum(self.refused.values()) > before)
        return streams

    async def greeted(self) -> bool:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.client, local_addr=("127.0.0.9", 0)
        )
        word = await asyncio.wait_for(reader.read(5), 10)
        writer.close()
        return word == b"hello"


async def cut(streams: Streams) -> bool:
    """Whether the other end ends a connection."""
    try:
        return await asyncio.wait_for(streams[0].read(), 10) == b""
    except ConnectionError:
        return True


@both_loops
def test_who_finishes_is_handed_on_and_who_sends_something_else_is_counted(
    loop: Loop, tmp_path: Path
) -> None:
    async def main() -> None:
        site = Site(tmp_path, Bounds())
        async with site.open():
            assert await site.greeted()
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: site.refused == {"tls_failed": 1})
            assert site.shakes.under_way == 0
            assert await site.greeted()
            writer.close()

    run(loop, main())


@both_loops
def test_one_address_has_so_many_and_keeps_nobody_else_out(
    loop: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        site = Site(tmp_path, Bounds(under_way=100, from_host=3))
        async with site.open():
            held = [await site.stranger() for _ in range(5)]
            assert (site.shakes.under_way, site.refused) == (3, {"tls_too_many": 2})
            assert await cut(held[3]) and await cut(held[4])
            assert await site.greeted()

    with caplog.at_level(logging.WARNING):
        run(loop, main())
    assert [record.getMessage() for record in caplog.records] == [
        "a TLS handshake with 127.0.0.1 is broken off, tls_too_many: 3 are under way from there, 3 in all"
    ]


@both_loops
def test_when_all_places_are_taken_the_oldest_of_whoever_has_most_goes(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        site = Site(tmp_path, Bounds(under_way=4, from_host=3))
        async with site.open():
            first = await site.stranger("127.0.0.2")
            held = [await site.stranger(host) for host in ("127.0.0.2", "127.0.0.2", "127.0.0.3")]
            assert await site.greeted()
            assert site.refused == {"tls_too_many": 1}
            assert await cut(first)
            # Nobody has more than the one who comes would have: it is he who has to wait.
            held += [await site.stranger("127.0.0.4"), await site.stranger("127.0.0.4")]
            assert site.shakes.under_way == 4 and site.refused["tls_too_many"] >= 2

    run(loop, main())


@both_loops
def test_a_handshake_that_takes_too_long_is_broken_off(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        site = Site(tmp_path, Bounds(seconds=0.2))
        async with site.open():
            assert await cut(await site.stranger())
            await until(lambda: site.refused == {"tls_too_slow": 1})
            assert site.shakes.under_way == 0

    run(loop, main())


@both_loops
def test_who_may_not_call_begins_none(loop: Loop, tmp_path: Path) -> None:
    async def main() -> None:
        site = Site(tmp_path, Bounds(), admits=lambda host: host != "127.0.0.5")
        async with site.open():
            assert await cut(await site.stranger("127.0.0.5"))
            assert site.refused == {"not_allowed": 1}
            assert await site.greeted()

    run(loop, main())


def test_without_files_it_waits_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        site = Site(tmp_path, Bounds())
        monkeypatch.setattr("dmqcache.bus.net.handshakes.PAUSE_S", 0.01)
        async with site.open() as listener:
            real = listener._sock
            full = FullOnce(real)
            monkeypatch.setattr(listener, "_sock", full)
            assert await site.greeted()
            assert full.asked

    asyncio.run(main())
    assert "no connection can be accepted" in caplog.text


class FullOnce:
    """A socket whose first accept finds no free descriptor."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.asked = 0
        self.fileno, self.close = sock.fileno, sock.close

    def accept(self) -> object:
        self.asked += 1
        if self.asked == 1:
            raise OSError(24, "Too many open files")
        return self._sock.accept()
