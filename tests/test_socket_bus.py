"""What the bus on real sockets adds to the bus: waiting for the first node, words for what is not found."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from dmqcache import CacheNode, open_bus
from dmqcache.bus.runtime import Resolved
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.socket_bus import SeedResolver
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


def test_the_snippet_of_the_readme_waits_for_a_node_and_sends(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "open_bus" in code]

    async def scenario() -> None:
        own, there = free("127.0.0.97"), free("127.0.0.96")
        code = block.replace("sip:127.0.0.21:5060", own).replace("sip:127.0.0.11:5060", there)
        names: dict[str, object] = {}
        exec(code.replace("asyncio.run(main())", ""), names)
        main = asyncio.ensure_future(names["main"]())  # type: ignore[operator]
        async with open_bus(there):
            await asyncio.wait_for(main, 20)

    asyncio.run(scenario())
    assert capsys.readouterr().out == "404\n"


def test_who_waits_for_a_node_and_none_is_there_is_told_so() -> None:
    async def scenario() -> None:
        own, absent = free("127.0.0.94"), free("127.0.0.95")
        with pytest.raises(TimeoutError, match=f"asked were {re.escape(absent)}$"):
            async with open_bus(own, own, absent, wait=0.05):
                raise AssertionError("nobody was there")

    asyncio.run(scenario())


def test_the_name_is_public_and_is_the_function_whatever_was_imported_before() -> None:
    import dmqcache
    import dmqcache.socket_bus

    assert "open_bus" in dmqcache.__all__
    assert dmqcache.open_bus is dmqcache.socket_bus.open_bus


def test_a_bus_without_tables_holds_up_no_start_and_takes_no_duty() -> None:
    """It is the only other node, is named as the one to begin with, and has the least address."""

    async def scenario() -> None:
        address = free("127.0.0.97")
        async with (
            open_bus(address),
            CacheNode(
                server_address=free("127.0.0.98"), notification_address=[address], table=["t"]
            ) as cache,
        ):
            await until(lambda: bool(cache.bus.active_nodes()))
            await cache.wait_ready(20)
            assert cache.store.outboxes.designated

    asyncio.run(scenario())
