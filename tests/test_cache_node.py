"""A node that stops: what it was asked to remember is with the others before it is gone."""

from __future__ import annotations

import asyncio

import pytest

from dmqcache import CacheNode, NodeStatus
from tests.test_cache_node_start import free, others, until

WRITES = 20_000


def node_of(host: str, *seeds: str, **options: object) -> CacheNode:
    address = free(host)
    return CacheNode(server_address=address, notification_address=list(seeds), table=["t"], **options)


async def both_there(one: CacheNode, two: CacheNode) -> None:
    for node in (one, two):
        await until(
            lambda node=node: any(o.status is NodeStatus.ACTIVE for o in others(node)) and node.ready  # type: ignore[misc]
        )


@pytest.mark.parametrize("fails", [False, True])
def test_no_write_of_the_last_moment_is_lost_whether_the_block_ends_or_fails(fails: bool) -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.94") as stays:
            # Time enough on a machine that has other things to do.
            goes = node_of("127.0.0.93", str(stays.config.server_address), stop_timeout="60")
            try:
                async with goes:
                    await both_there(stays, goes)
                    for number in range(WRITES):
                        goes.table("t")[f"k{number}"] = "x"
                    if fails:
                        raise RuntimeError("the program is broken")
            except RuntimeError:
                assert fails
            assert len(stays.table("t")) == WRITES
            assert [one.status for one in others(stays)] in ([], [NodeStatus.DISABLED])

    asyncio.run(scenario())


def test_a_node_whose_others_are_mute_ends_within_its_time_and_says_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> float:
        stays = node_of("127.0.0.94")
        await stays.start()
        goes = node_of("127.0.0.93", str(stays.config.server_address), stop_timeout="0.3")
        async with goes:
            await both_there(stays, goes)
            stays.bus._closed = True  # Deaf, and its port still open: nothing is refused.
            goes.table("t")["a"] = "x"
            began = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - began
        await stays.stop(leave=False)
        return took

    with caplog.at_level("WARNING", "dmqcache.store"):
        # Less than it takes until the other counts as lost.
        assert asyncio.run(scenario()) >= 0.3
    assert "stopping although not all is acknowledged" in caplog.text
    assert "lacks 1" in caplog.text


def test_two_stops_at_once_are_one() -> None:
    async def scenario() -> None:
        node = node_of("127.0.0.93")
        await node.start()
        await asyncio.gather(node.stop(), node.stop())
        await node.start()
        await node.stop()

    asyncio.run(scenario())


def test_who_stops_waiting_for_others_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.93") as node:
            waiting = asyncio.create_task(node.wait_replicated(9))
            await asyncio.sleep(0)
            assert len(node.store.waiters._waiting) == 1
            waiting.cancel()
            await asyncio.wait({waiting})
            assert not node.store.waiters._waiting

    asyncio.run(scenario())
