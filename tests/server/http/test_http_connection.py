"""Connections of HTTP over sockets: how many, how long, crumbs of a body, and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from dmqcache.bus.net.handshakes import Handshakes
from dmqcache.bus.net.tls import serving
from dmqcache.server.http import http_connection
from dmqcache.server.http.http_guard import HttpDoors
from dmqcache.server.http.http_server import HttpServer
from tests.server.served import ServedNode, busy_node

CALL = b'{"jsonrpc":"2.0","method":"core.version","id":1}'


async def said(server: HttpServer, data: bytes) -> bytes:
    """What is answered to these bytes until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(data)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def chunked(pieces: list[bytes]) -> bytes:
    head = b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def test_a_body_in_crumbs_is_refused_before_it_costs_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_CHUNKS", 60)

    async def main() -> None:
        server = HttpServer(busy_node(), "127.0.0.1", 0, "0.1.0")
        await server.start()
        whole = chunked([CALL[place : place + 1] for place in range(len(CALL))])
        assert (await said(server, whole)).startswith(b"HTTP/1.1 200")
        assert (await said(server, chunked([b" "] * 61))).startswith(b"HTTP/1.1 400")
        # Each request has its own count.
        twice = whole.replace(b"Connection: close\r\n", b"") + whole
        assert (await said(server, twice)).count(b"HTTP/1.1 200") == 2
        await server.close()

    asyncio.run(main())


def test_https(tmp_path: Path) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    issued.private_key_pem.write_to_path(tmp_path / "key")
    ca.cert_pem.write_to_path(tmp_path / "ca")

    async def main() -> None:
        doors = HttpDoors(tls=Handshakes(serving(tmp_path / "cert", tmp_path / "key")))
        server = HttpServer(busy_node(), "127.0.0.1", 0, "0.1.0", doors)
        await server.start()
        trusting = ssl.create_default_context(cafile=tmp_path / "ca")
        base = f"https://127.0.0.1:{server.address[1]}"
        async with httpx.AsyncClient(verify=trusting, base_url=base) as browser:
            assert (await browser.get("/readyz")).status_code == 200
            assert "127.0.0.12" in (await browser.get("/")).text
        await server.close()

    asyncio.run(main())


async def served(node: ServedNode) -> AsyncIterator[HttpServer]:
    server = HttpServer(node, "127.0.0.1", 0, "0.1.0")
    await server.start()
    yield server
    await server.close()


async def say(server: HttpServer, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def healthy(server: HttpServer) -> bool:
    reader, writer = await say(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer.startswith(b"HTTP/1.1 200")


HALF_A_REQUEST = b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"


@pytest.mark.parametrize("begun", [b"", b"GET / HT", HALF_A_REQUEST])
def test_connections_that_wait_keep_nobody_out(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_CONNECTIONS", 5)

    async def run() -> None:
        async for server in served(ServedNode()):
            held = [await say(server, begun) for _ in range(8)]
            assert await healthy(server)
            # Those that have waited longest made room.
            for reader, _ in held[:3]:
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 10) == b""
            for _, writer in held:
                writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("begun", [b"", b"GET / HT", HALF_A_REQUEST])
def test_a_connection_that_brings_no_request_is_closed(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "PATIENCE_S", 0.05)

    async def run() -> None:
        async for server in served(ServedNode()):
            reader, writer = await say(server, begun)
            await asyncio.wait_for(reader.read(), 10)
            writer.close()

    asyncio.run(run())


def test_a_client_that_goes_in_its_own_request_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async for server in served(ServedNode()):
            _, writer = await say(server, HALF_A_REQUEST)
            writer.close()
            await writer.wait_closed()
            reader, writer = await say(server, b"no HTTP at all\r\n\r\n")
            assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400")
            writer.close()
            assert await healthy(server)

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records if record.name != "dmqcache.http"] == []
    assert "ClientDisconnect" not in caplog.text
