"""The HTTP server on real sockets: start, stop, and the loop that goes on."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import pytest

from dmqcache.server.http.http_server import HttpServer
from tests.server.served import Row, ServedNode, busy_node


def test_served_in_the_running_loop_without_touching_signals() -> None:
    async def run() -> None:
        before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        server = HttpServer(busy_node(), "127.0.0.1", 0, "0.1.0")
        await server.start()
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
        host, port = server.address
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as browser:
            assert (await browser.get("/healthz")).status_code == 200
            assert b"dmqcache_nodes" in (await browser.get("/metrics")).content
            assert (await browser.get("/nothing")).status_code == 404
        await server.close()
        with pytest.raises(OSError):
            socket.create_connection((host, port), timeout=1).close()

    asyncio.run(run())


def test_an_address_that_is_taken_is_an_error_not_an_exit() -> None:
    async def run() -> None:
        first = HttpServer(ServedNode(), "127.0.0.1", 0, "0.1.0")
        await first.start()
        with pytest.raises(OSError):
            await HttpServer(ServedNode(), *first.address, "0.1.0").start()
        await first.close()

    asyncio.run(run())


def test_closing_twice_or_before_the_start_does_nothing() -> None:
    async def run() -> None:
        server = HttpServer(ServedNode(), "127.0.0.1", 0, "0.1.0")
        await server.close()
        await server.start()
        await server.close()
        await server.close()

    asyncio.run(run())


def test_ipv6() -> None:
    async def run() -> None:
        server = HttpServer(ServedNode(), "::1", 0, "0.1.0")
        await server.start()
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(f"http://[::1]:{server.address[1]}/readyz")
        assert answer.status_code == 200
        await server.close()

    asyncio.run(run())


def test_the_loop_goes_on_while_a_large_table_is_dumped() -> None:
    async def run() -> int:
        node = ServedNode()
        for i in range(20_000):
            node.tables["users"].set(f"key{i:05}", "v" * 50)
        server = HttpServer(node, "127.0.0.1", 0, "0.1.0")
        await server.start()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        host, port = server.address
        body = {"jsonrpc": "2.0", "method": "htable.dump", "params": ["users"], "id": 1}
        async with httpx.AsyncClient() as browser:
            before = turns
            answer = await browser.post(f"http://{host}:{port}/rpc", json=body)
        assert sum(entry["size"] for entry in answer.json()["result"]) == 20_000
        counting.cancel()
        await server.close()
        return turns - before

    # 40 steps of the dump, and somebody else's turn after each.
    assert asyncio.run(run()) >= 40


def test_a_failure_is_a_500_and_one_entry_in_our_log(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ServedNode):
        def node_rows(self) -> list[Row]:
            raise RuntimeError("broken on purpose")

    async def run() -> None:
        server = HttpServer(Broken(), "127.0.0.1", 0, "0.1.0")
        await server.start()
        host, port = server.address
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as browser:
            assert (await browser.get("/metrics")).status_code == 500
            assert (await browser.get("/healthz")).status_code == 200
        await server.close()

    asyncio.run(run())
    failures = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.name for record in failures] == ["dmqcache.http"]
    assert "broken on purpose" in caplog.text
