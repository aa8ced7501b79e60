"""What the bus on real sockets adds to the bus: here, that a wrong notification address is said."""

from __future__ import annotations

import asyncio

import pytest

from dmqcache import CacheNode
from dmqcache.bus.runtime import Resolved
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.open_bus import SeedResolver, open_bus
from tests.test_cache_node_start import free, until

SEED = NodeURI.parse("sip:nowhere.invalid:5060")
OTHER = NodeURI.parse("sip:elsewhere.invalid:5060")


class Told:
    """A resolver that finds what it is told to."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []

    def resolve(self, uri: NodeURI, callback: Resolved) -> None:
        callback(self.endpoints)


def test_a_notification_address_that_does_not_resolve_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "dmqcache")
    told, found = Told(), list[list[Endpoint]]()
    resolver = SeedResolver(told, [SEED])
    for uri in (SEED, SEED, OTHER):
        resolver.resolve(uri, found.append)
    assert found == [[], [], []]
    assert caplog.messages == [
        f"notification address {SEED}: nowhere.invalid does not resolve, it is asked again"
    ]
    told.endpoints = [Endpoint("udp", "127.0.0.1", 5060)]
    resolver.resolve(SEED, found.append)
    told.endpoints = []
    resolver.resolve(SEED, found.append)
    assert len(caplog.messages) == 2


def test_a_bus_without_tables_does_not_say_that_it_has_any() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.98"), table=["t"]) as cache:
            address = str(cache.config.server_address)
            async with open_bus(free("127.0.0.99"), address) as bus:
                await until(lambda: bool(bus.active_nodes()) and bool(cache.bus.active_nodes()))
                assert [node.supported for node in cache.bus.active_nodes()] == [frozenset()]
                cache.table("t")["a"] = "x"
                assert await cache.wait_replicated(timeout=5) == 0
                await until(lambda: cache.store.outboxes[bus.local.uri].holds_nothing)

    asyncio.run(scenario())
