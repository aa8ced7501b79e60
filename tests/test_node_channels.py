"""Channels of a node on a loop: who sends gets the SIP status; two nodes tell their clients."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from dmqcache.bus.node import NodeStatus
from dmqcache.cache_node import CacheNode
from dmqcache.node_channels import NodeChannels, open_channels
from tests.bus.virtual import Clock, VirtualRuntime
from tests.server.fakes import FakeBus
from tests.test_cache_node_start import free, others
from tests.waiting import until


def test_answers_are_waited_for() -> None:
    async def live() -> None:
        bus = FakeBus()
        channels = NodeChannels(bus, lambda channel, body: None)
        channels.declare("alerts")
        assert await channels.ask("alerts", "sip:127.0.0.12:5060", "x") == 200
        assert await channels.ask_all("alerts", "x", "a/b") == [("sip:127.0.0.12:5060", 200)]
        assert bus.sent[-1] == ("alerts", b"x", "sip:127.0.0.12:5060", "a/b")
        with pytest.raises(ValueError, match="no channel"):
            await channels.ask("other", "sip:127.0.0.12:5060", "x")
        with pytest.raises(ValueError):
            await channels.ask("alerts", "nonsense node", "x")

    asyncio.run(live())


def test_a_node_without_clients_is_told_nothing() -> None:
    for has_clients in (True, False):
        bus = FakeBus()
        open_channels(bus, VirtualRuntime(Clock()), [("a", "x/y")], has_clients)  # type: ignore[arg-type]
        assert ("dmqcache_pubsub" in bus.peers) is has_clients
        assert "a" in bus.peers
    with pytest.raises(ValueError, match=r"channel htable: .*taken"):
        open_channels(FakeBus(), VirtualRuntime(Clock()), [("htable", "x/y")], True)  # type: ignore[arg-type]


def hear(heard: list[tuple[str, str]], channel: str, body: str) -> int:
    heard.append((channel, body))
    return 1


def test_clients_of_two_nodes_hear_each_other_once_and_in_order() -> None:
    async def live() -> None:
        heard: list[list[tuple[str, str]]] = [[], []]
        first = node("127.0.0.94")
        async with first, node("127.0.0.93", str(first.config.server_address)) as second:
            nodes = (first, second)
            for place, one in enumerate(nodes):
                one.channels.deliver_to(partial(hear, heard[place]))
            for one in nodes:
                await until(lambda one=one: any(o.status is NodeStatus.ACTIVE for o in others(one)))  # type: ignore[misc]
            messages = [("news", f"{number}\udcff") for number in range(2_000)]
            for channel, body in messages:
                assert second.channels.publish(channel, body) == 1
            await until(lambda: len(heard[0]) >= len(messages))
            assert heard[0] == heard[1] == messages
            assert first.bus.counters.published["in"] == len(messages)
            # Counted when the answer is here.
            await until(lambda: second.bus.counters.published["out"] == len(messages))
            heard[0].clear()
            address = str(first.config.server_address)
            assert await second.channels.ask("alerts", address, "hello") == 200
            assert await second.channels.ask_all("alerts", "hello") == [(address, 200)]
            told = {"node": str(second.config.server_address), "content_type": "a/b", "body": "hello"}
            assert [(name, json.loads(body)) for name, body in heard[0]] == [("dmq:alerts", told)] * 2

    asyncio.run(live())


def node(host: str, *seeds: str) -> CacheNode:
    options: dict[str, Any] = {"client_address": f"{host}:0", "channel": ["alerts=a/b"]}
    return CacheNode(server_address=free(host), notification_address=list(seeds), **options)
