"""What programs usually do with the cache libraries of asyncio, cashews and aiocache, each against the Redis
URL that it is given. As in cache_libraries.py each function is one use.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiocache
import cashews
import pytest
from aiocache.lock import RedLock
from aiocache.serializers import PickleSerializer
from cashews.exceptions import CircuitBreakerOpen, RateLimitError

from tests.interop.usual import VALUES, Calls


def _with_cashews(url: str, use: Callable[[cashews.Cache], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        cache = cashews.Cache()
        cache.setup(url, suppress=False, **options)
        try:
            await use(cache)
        finally:
            await cache.close()

    asyncio.run(run())


def _with_aiocache(url: str, use: Callable[[aiocache.RedisCache], Awaitable[None]]) -> None:
    host, port = url.removeprefix("redis://").partition("/")[0].split(":")

    async def run() -> None:
        cache = aiocache.RedisCache(
            endpoint=host, port=int(port), namespace="app", serializer=PickleSerializer()
        )
        async with cache:
            await use(cache)

    asyncio.run(run())


# ---- cashews ----


def cashews_decorators(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        calls = Calls()

        async def compute(name: str) -> str:
            return f"{name} {calls.next()}"

        for way in (
            cache(ttl="1m", key="plain:{name}", lock=True),
            cache.early(ttl="1m", key="{name}"),
            cache.soft(ttl="1m", soft_ttl="30s", key="{name}"),
            cache.hit(ttl="1m", cache_hits=10, key="{name}"),
        ):
            cached, before = way(compute), calls.count
            assert [await cached("ada") for _ in range(3)] == [f"ada {before + 1}"] * 3

    _with_cashews(url, use)


def cashews_values(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        await cache.set_many(VALUES, expire=60)
        assert await cache.get_many(*VALUES, "none", default=0) == (*VALUES.values(), 0)
        assert await cache.set("text", 1, exist=False) is False
        assert await cache.incr("hits", 2) == 2 and await cache.incr("timed", expire=30) == 1
        assert 0 < await cache.get_expire("timed") <= 30 and await cache.get_size("text") > 0
        assert sorted([key async for key in cache.scan("t*")]) == ["text", "timed"]
        await cache.delete_match("t*")
        assert not await cache.exists("text") and await cache.get_keys_count() == len(VALUES)

    _with_cashews(url, use)


def cashews_locks_and_transactions(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        async with cache.lock("job", expire="10s"):
            assert await cache.is_locked("job")
        assert not await cache.is_locked("job")
        with pytest.raises(RuntimeError, match="taken back"):
            async with cache.transaction():
                await cache.set("a", 1)
                raise RuntimeError("taken back")
        async with cache.transaction():
            await cache.set("b", 2)
        assert (await cache.get("a"), await cache.get("b")) == (None, 2)

    _with_cashews(url, use)


def cashews_limit(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        @cache.rate_limit(limit=2, period="1m")
        async def limited() -> int:
            return 1

        assert [await limited(), await limited()] == [1, 1]
        with pytest.raises(RateLimitError):
            await limited()

    _with_cashews(url, use)


def cashews_circuit_breaker(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        @cache.circuit_breaker(errors_rate=10, period="1m", ttl="1m", exceptions=(ValueError,))
        async def broken() -> None:
            raise ValueError

        for expected in (ValueError, CircuitBreakerOpen):
            with pytest.raises(expected):
                await broken()

    _with_cashews(url, use)


def cashews_bloom_filter(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        assert await cache.incr_bits("bits", 1, 5, size=4, by=20) == (15, 15)
        assert await cache.get_bits("bits", 0, 1, 5, size=4) == (0, 15, 15)

        @cache.bloom(name="emails:{email}", capacity=100, false_positives=1)
        async def known(email: str) -> bool:
            return email.startswith("a")

        await known.set("ada")
        assert await known("ada") is True and await known("bob") is False

    _with_cashews(url, use)


def cashews_tags(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        await cache.set("a", 1, tags=["letters"], expire=60)
        await cache.delete_tags("letters")
        assert await cache.get("a") is None

    _with_cashews(url, use)


def cashews_sliding_limit(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        @cache.slice_rate_limit(limit=1, period="1m")
        async def limited() -> int:
            return 1

        assert await limited() == 1
        with pytest.raises(RateLimitError):
            await limited()

    _with_cashews(url, use)


def cashews_client_side_cache(url: str) -> None:
    async def use(cache: cashews.Cache) -> None:
        other = cashews.Cache()
        other.setup(f"{url}?protocol=2", client_side=True, suppress=False)
        assert await cache.get("a") is None
        await other.set("a", 1, expire=60)
        deadline = time.monotonic() + 10
        while await cache.get("a") != 1:
            assert time.monotonic() < deadline, "the change was not told"
            await asyncio.sleep(0.02)
        await other.close()

    _with_cashews(f"{url}?protocol=2", use, client_side=True)


# ---- aiocache ----


def aiocache_values(url: str) -> None:
    async def use(cache: aiocache.RedisCache) -> None:
        await cache.multi_set(list(VALUES.items()), ttl=60)
        assert await cache.multi_get([*VALUES, "none"]) == [*VALUES.values(), None]
        with pytest.raises(ValueError, match="already exists"):
            await cache.add("text", 1)
        assert await cache.increment("hits", 3) == 3 and await cache.exists("hits")
        assert await cache.expire("text", 30) and await cache.delete("text") == 1
        assert await cache.clear(namespace="app") and not await cache.exists("hits")

    _with_aiocache(url, use)


def aiocache_lock(url: str) -> None:
    async def use(cache: aiocache.RedisCache) -> None:
        async with RedLock(cache, "job", lease=5):
            assert await cache.exists("job-lock")
        assert not await cache.exists("job-lock")

    _with_aiocache(url, use)
