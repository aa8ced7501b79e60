"""``async for change in table.watch(prefix)``: every node's changes, the latest of each key."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from dmqcache import Change
from dmqcache.watch import Watch
from tests.test_cache_node import both_there, node_of
from tests.waiting import until


def test_changes_of_other_nodes_are_seen_too_and_an_end_ends_the_loop() -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.94") as one, node_of("127.0.0.93", str(one.config.server_address)) as two:
            await both_there(one, two)
            watch = two.table("t").watch("a")
            assert isinstance(watch, Watch)
            one.table("t")["b"] = "x"
            one.table("t")["a1"] = "x"
            async with asyncio.timeout(10):
                assert await anext(watch) == Change("a1", "x")
                del one.table("t")["a1"]
                assert await anext(watch) == Change("a1", None)
                two.table("t").set("a2", 5)
                two.table("t").set("a2", 6)
                assert await anext(watch) == Change("a2", 6)
            two.table("t")["a3"] = "x"
            await until(lambda: watch._waiting)
            with watch:
                pass
            assert [change.key async for change in watch] == ["a3"]
            assert not two.table("t").is_watched

    asyncio.run(scenario())


def test_a_flush_and_an_expiry_are_changes() -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.94") as node:
            table = node.table("t")
            table.set("short", "x", ttl=0.2)
            table["long"] = "x"
            watch = table.watch()
            async with asyncio.timeout(10):
                assert await anext(watch) == Change("short", None)
                table.flush()
                assert await anext(watch) == Change("long", None)

    asyncio.run(scenario())


def test_a_table_of_no_running_node_cannot_be_watched_and_is_written_to_on_its_thread_only() -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.94") as node:
            table = node.table("t")
            said: list[str] = []

            def write() -> None:
                for change in (
                    lambda: table.set("a", "x"),
                    lambda: table.delete("a"),
                    lambda: table.incr("a"),
                    lambda: table.expire("a", 5),
                    table.flush,
                ):
                    with pytest.raises(RuntimeError, match="thread of its node's loop only") as refused:
                        change()  # type: ignore[operator]
                    said.append(str(refused.value))

            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
            assert len(said) == 5
            assert len(table) == 0
            assert table.get("a") is None

    asyncio.run(scenario())


def test_a_loop_that_is_left_and_a_node_that_stops_end_it() -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.94") as node:
            table = node.table("t")
            asyncio.get_running_loop().call_later(0.01, table.set, "a", "x")
            async for change in table.watch():
                assert change == Change("a", "x")
                break
            await until(lambda: gc.collect() >= 0 and not table.is_watched)
            lasting = table.watch("b")
            waiting = asyncio.create_task(anext(lasting, None))
            table["c"] = "x"
            await until(lambda: table.is_watched)
        assert await asyncio.wait_for(waiting, 20) is None
        assert [change async for change in lasting] == []

    asyncio.run(scenario())
