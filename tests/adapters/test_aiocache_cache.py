"""aiocache's contract for a backend, with aiocache itself: its serializers, decorators and locks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiocache import cached, multi_cached
from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
from aiocache.serializers import JsonSerializer, NullSerializer, PickleSerializer, StringSerializer

from dmqcache.adapters.aiocache_cache import DmqCache
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from tests.waiting import until


def a_table() -> Table:
    return Table(TableSettings("t"), Clock(time.monotonic, lambda: time.time_ns() // 1_000_000))


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("serializer", "values"),
    [
        (JsonSerializer(), ["x", 5, None, {"a": [1, 2]}, "é"]),
        (PickleSerializer(), ["x", 5, (1, {2}), b"\x00\xff", {"a": [1, 2]}]),
        (StringSerializer(), ["x", "5"]),
        (NullSerializer(), ["x", "é"]),
    ],
)
def test_values_come_back_by_each_serializer(serializer: Any, values: list[Any]) -> None:
    async def scenario() -> None:
        cache = DmqCache(a_table(), serializer=serializer)
        for value in values:
            assert await cache.set("k", value) is True
            assert await cache.get("k") == value
        assert await cache.get("nobody") is None and await cache.get("nobody", default=1) == 1
        await cache.multi_set([("a", values[0]), ("b", values[1])])
        assert await cache.multi_get(["a", "b", "nobody"]) == [values[0], values[1], None]

    run(scenario)


def test_add_exists_delete_and_times() -> None:
    async def scenario() -> None:
        table = a_table()
        cache = DmqCache(table, namespace="app:", ttl=60)
        assert await cache.add("k", 1) is True
        with pytest.raises(ValueError, match="already exists"):
            await cache.add("k", 2)
        assert await cache.exists("k") and not await cache.exists("nobody")
        assert 59 < (table.ttl("app:k") or 0) <= 60
        await cache.set("k", 1, ttl=None)
        assert table.ttl("app:k") is None
        assert await cache.expire("k", 5) and not await cache.expire("nobody", 5)
        assert await cache.expire("k", 0) and table.ttl("app:k") is None
        assert (await cache.delete("k"), await cache.delete("k")) == (1, 0)
        await cache.set("soon", 1, ttl=0.02)
        await until(lambda: "app:soon" not in table)

    run(scenario)


def test_counting() -> None:
    async def scenario() -> None:
        cache = DmqCache(a_table())
        assert (
            await cache.increment("n"),
            await cache.increment("n", 4),
            await cache.increment("n", -6),
        ) == (1, 5, -1)
        assert await cache.get("n") == -1
        await cache.set("five", 5)
        assert await cache.increment("five") == 6
        await cache.set("x", "x")
        with pytest.raises(TypeError):
            await cache.increment("x")

    run(scenario)


def test_a_namespace_or_all_is_cleared() -> None:
    async def scenario() -> None:
        table = a_table()
        cache = DmqCache(table)
        await cache.set("k", 1, namespace="a:")
        await cache.set("k", 2, namespace="b:")
        await cache.clear(namespace="a:")
        assert list(table) == ["b:k"]
        assert await cache.raw("get", "b:k") == "2"
        await cache.clear()
        assert not table

    run(scenario)


def test_the_decorators_keep_what_a_coroutine_returns() -> None:
    async def scenario() -> None:
        table, calls = a_table(), []

        @cached(cache=DmqCache, table=table, ttl=60, key_builder=lambda function, number: f"page {number}")
        async def page(number: int) -> dict[str, int]:
            calls.append(number)
            return {"number": number}

        assert await page(1) == await page(1) == {"number": 1} and calls == [1]
        assert table["page 1"] == '{"number": 1}'

        @multi_cached("names", cache=DmqCache, table=table, namespace="u:")
        async def users(names: list[str]) -> dict[str, str]:
            calls.append(len(names))
            return {name: name.upper() for name in names}

        assert await users(names=["a", "b"]) == await users(names=["a", "b"]) == {"a": "A", "b": "B"}
        assert calls == [1, 2]

    run(scenario)


def test_its_locks_hold() -> None:
    async def scenario() -> None:
        cache = DmqCache(a_table())
        async with RedLock(cache, "job", lease=5):
            assert not await asyncio.wait_for(cache._redlock_release("job-lock", "another's"), 1)
            assert await cache.exists("job-lock")
            waits = asyncio.create_task(RedLock(cache, "job", lease=5).__aenter__())
            await asyncio.sleep(0)
            assert not waits.done()
        await waits
        assert not await cache.exists("job-lock")
        await cache.set("k", "before")
        with pytest.raises(OptimisticLockError):
            async with OptimisticLock(cache, "k") as lock:
                await cache.set("k", "another")
                await lock.cas("mine")
        async with OptimisticLock(cache, "k") as lock:
            assert await lock.cas("mine")
        assert await cache.get("k") == "mine"

    run(scenario)


def test_a_number_is_a_key_as_with_a_namespace() -> None:
    async def scenario() -> None:
        table = a_table()
        for cache in (DmqCache(table), DmqCache(table, namespace="app:")):
            assert await cache.set(5, "x") and await cache.get(5) == "x" and await cache.exists(5)
            assert await cache.multi_get([5, "5"]) == ["x", "x"]
        assert set(table) == {"5", "app:5"}

    run(scenario)
