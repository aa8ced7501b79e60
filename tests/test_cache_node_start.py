"""A node that cannot start: what it leaves behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dmqcache import CacheNode, ConfigError, Node, NodeStatus
from dmqcache.config.config import load
from tests.ports import free_port
from tests.waiting import until


def free(host: str) -> str:
    return f"sip:{host}:{free_port(host)}"


@pytest.mark.parametrize("option", ["client_address", "http_address"])
def test_a_node_whose_ports_are_taken_says_which_and_is_not_heard_of(option: str) -> None:
    async def scenario() -> None:
        address = free("127.0.0.94")
        async with CacheNode(server_address=address) as other:
            with socket.create_server(("127.0.0.93", 0)) as taken:
                wanted = f"127.0.0.93:{taken.getsockname()[1]}"
                node = CacheNode(
                    server_address=free("127.0.0.93"), notification_address=[address], **{option: wanted}
                )
                with pytest.raises(OSError, match=f"{option} {wanted}: Address already in use"):
                    await node.start()
            # Whoever joins now is heard after all that the other one could have said.
            async with CacheNode(server_address=free("127.0.0.93"), notification_address=[address]) as third:
                await until(lambda: any(one.status is NodeStatus.ACTIVE for one in others(other)))
                assert [one.uri for one in others(other)] == [third.config.server_address]

    asyncio.run(scenario())


def test_a_node_whose_address_on_the_bus_is_taken_leaves_no_server_behind() -> None:
    async def scenario() -> None:
        address = free("127.0.0.94")
        async with CacheNode(server_address=address):
            clients = f"127.0.0.94:{free('127.0.0.94').rpartition(':')[2]}"
            with pytest.raises(OSError):
                await CacheNode(server_address=address, client_address=clients).start()
            host, _, port = clients.partition(":")
            socket.create_server((host, int(port))).close()

    asyncio.run(scenario())


def others(node: CacheNode) -> list[Node]:
    return [one for one in node.bus.list_nodes() if not one.local]


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
            await node.wait_ready(20)
            assert node.table("t")["a"] == "x"
            assert [one.local for one in node.bus.list_nodes()] == [True]
        await node.start()  # after its stop it may run again
        await node.stop()

    asyncio.run(scenario())
