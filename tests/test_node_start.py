"""A node that cannot start: what it leaves behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from dmqcache import CacheNode, ConfigError, NodeStatus
from dmqcache.config import load

PATIENCE = 20.0


def free(host: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return f"sip:{host}:{probe.getsockname()[1]}"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_node_whose_ports_are_taken_says_which_and_takes_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        address = free("127.0.0.94")
        async with CacheNode(server_address=address) as other:

            def statuses() -> list[NodeStatus]:
                return [node.status for node in other.bus.list_nodes() if not node.local]

            with socket.create_server(("127.0.0.93", 0)) as taken:
                clients = f"127.0.0.93:{taken.getsockname()[1]}"
                node = CacheNode(
                    server_address=free("127.0.0.93"), notification_address=[address], client_address=clients
                )
                open_servers = node._open_servers

                async def later() -> None:
                    await until(lambda: statuses() == [NodeStatus.ACTIVE])
                    await open_servers()

                monkeypatch.setattr(node, "_open_servers", later)
                with pytest.raises(OSError, match=f"client_address {clients}: Address already in use"):
                    await node.start()
            assert statuses() in ([NodeStatus.DISABLED], [])

    asyncio.run(scenario())


def test_options_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="unknown option 'bogus'"):
        CacheNode(bogus=1)
    with pytest.raises(ConfigError, match="give one of the two"):
        CacheNode(load(), bogus=1)


def test_an_address_of_none_is_no_server() -> None:
    node = CacheNode(client_address=None, http_address=None)
    assert (node.config.client_address, node.config.http_address) == (None, None)


def test_a_second_start_is_refused_and_breaks_nothing() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.95"), tables=["t"]) as node:
            node.table("t")["a"] = "x"
            with pytest.raises(RuntimeError, match="started already"):
                await node.start()
            await node.wait_ready(PATIENCE)
            assert node.table("t")["a"] == "x"
            assert [one.local for one in node.bus.list_nodes()] == [True]
        await node.start()  # after its stop it may run again
        await node.stop()

    asyncio.run(scenario())
