"""Django's contract for a cache backend, with Django itself; and its own Redis backend against a node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured

from dmqcache import SyncCacheNode
from dmqcache.adapters.django_cache import DmqCache
from tests.ports import free_port
from tests.test_cache_node_start import free
from tests.waiting import wait_until

HOST = "127.0.0.97"


@pytest.fixture(scope="module")
def node() -> Iterator[SyncCacheNode]:
    if not settings.configured:
        settings.configure()
    client = f"{HOST}:{free_port(HOST, 'tcp')}"
    with SyncCacheNode(
        server_address=free(HOST), tables=["django"], client_address=client, join_wait=0
    ) as node:
        yield node


@pytest.fixture
def cache(node: SyncCacheNode) -> DmqCache:
    node.table("django").clear()
    return DmqCache("django", {"OPTIONS": {"node": node}})


def test_any_value_comes_back(cache: DmqCache) -> None:
    values: list[Any] = [
        "text",
        5,
        -5,
        True,
        None,
        1.5,
        b"\x00\xff",
        {"a": [1, (2, 3)]},
        1 << 70,
        "é\udcff"[:1],
        "",
    ]
    for value in values:
        cache.set("key", value)
        assert cache.get("key", "missing") == value and type(cache.get("key")) is type(value)
    assert cache.get("nobody") is None and cache.get("nobody", 7) == 7


def test_add_writes_only_what_is_not_there(cache: DmqCache) -> None:
    assert cache.add("k", "first") and not cache.add("k", "second")
    assert cache.get("k") == "first"
    assert cache.get_or_set("new", lambda: 5) == 5 and cache.get("new") == 5


def test_times(cache: DmqCache, node: SyncCacheNode) -> None:
    table = node.table("django")
    cache.set("default", "v")
    cache.set("ever", "v", timeout=None)
    cache.set("short", "v", timeout=7)
    name = cache.make_key
    assert 299 < (table.ttl(name("default")) or 0) <= 300
    assert table.ttl(name("ever")) is None and 6 < (table.ttl(name("short")) or 0) <= 7
    assert cache.touch("short", 60) and (table.ttl(name("short")) or 0) > 50
    assert cache.touch("short", None) and table.ttl(name("short")) is None
    assert not cache.touch("nobody", 60)
    for timeout in (0, -1):
        cache.set("ever", "v", timeout=timeout)
        assert not cache.has_key("ever")
    cache.set("soon", "v", timeout=0.05)
    wait_until(lambda: cache.get("soon") is None)


def test_counting(cache: DmqCache) -> None:
    cache.set("n", 41, timeout=60)
    assert cache.incr("n") == 42 and cache.incr("n", 8) == 50 and cache.decr("n", 51) == -1
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nobody")
    cache.set("half", 1.5)
    assert cache.incr("half") == 2.5
    cache.set("text", "x")
    with pytest.raises(TypeError):
        cache.incr("text")


def test_no_count_of_any_thread_is_lost(cache: DmqCache) -> None:
    cache.set("n", 0)
    threads = [threading.Thread(target=lambda: [cache.incr("n") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 200


def test_many_at_once(cache: DmqCache) -> None:
    assert cache.set_many({"a": 1, "b": None, "c": "x"}, timeout=60) == []
    assert cache.get_many(["a", "b", "c", "d"]) == {"a": 1, "b": None, "c": "x"}
    cache.delete_many(["a", "b", "nobody"])
    assert cache.get_many(["a", "b", "c"]) == {"c": "x"}
    assert cache.delete("c") and not cache.delete("c")
    cache.set("left", 1)
    cache.clear()
    assert "left" not in cache


def test_versions_and_prefixes_stand_apart(cache: DmqCache, node: SyncCacheNode) -> None:
    other = DmqCache("django", {"OPTIONS": {"node": node}, "KEY_PREFIX": "site2", "VERSION": 2})
    cache.set("k", "one")
    other.set("k", "two")
    assert (cache.get("k"), other.get("k"), other.get("k", version=1)) == ("one", "two", None)
    assert other.incr_version("k") == 3 and other.get("k", version=3) == "two" and other.get("k") is None


def test_the_asynchronous_methods_work(cache: DmqCache) -> None:
    async def scenario() -> None:
        await cache.aset("k", {"a": 1})
        assert await cache.aget("k") == {"a": 1}
        await cache.aset("n", 1)
        assert await cache.aincr("n", 4) == 5
        assert await cache.aget_many(["k", "n"]) == {"k": {"a": 1}, "n": 5}

    asyncio.run(scenario())


def test_django_finds_it_by_its_settings(node: SyncCacheNode, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.cache import CacheHandler

    monkeypatch.setattr("tests.adapters.test_django_cache.a_node", node, raising=False)
    found = CacheHandler(
        {
            "default": {
                "BACKEND": "dmqcache.adapters.django_cache.DmqCache",
                "LOCATION": "django",
                "OPTIONS": {"node": "tests.adapters.test_django_cache.a_node"},
            }
        }
    )
    found["default"].set("k", "v")
    assert found["default"].get("k") == "v"
    with pytest.raises(InvalidCacheBackendError):
        found["nobody"]


def test_what_is_no_node_is_said() -> None:
    for options in ({}, {"OPTIONS": {"node": "tests.adapters.test_django_cache.HOST"}}):
        with pytest.raises(ImproperlyConfigured, match="SyncCacheNode"):
            DmqCache("django", options)


def test_djangos_own_redis_backend_works_against_a_node(node: SyncCacheNode) -> None:
    address = node.node.config.client_address
    cache = RedisCache(f"redis://{address}", {})
    cache.clear()
    cache.set("k", {"a": 1}, timeout=60)
    cache.set("n", 1)
    assert (cache.get("k"), cache.incr("n", 4), cache.add("k", 5)) == ({"a": 1}, 5, False)
    assert cache.get_many(["k", "n", "x"]) == {"k": {"a": 1}, "n": 5}
    assert cache.touch("k", 5) and cache.delete("k") and not cache.has_key("k")
    cache.set_many({"a": 1, "b": 2}, timeout=7)
    cache.delete_many(["a", "b"])
    assert not cache.get_many(["a", "b"])


def test_what_is_too_long_for_the_table_is_not_kept_and_breaks_nothing(cache: DmqCache) -> None:
    """As with memcached: a page that is too long is made anew each time, and no request fails."""
    long = "x" * 60_000
    cache.set("page", "short")
    cache.set("page", long)
    assert cache.get("page") is None
    assert not cache.add("page", long) and cache.get_or_set("page", lambda: long, 60) == long
    assert cache.set_many({"a": 1, "page": long, "b": 2}) == ["page"]
    assert cache.get_many(["a", "page", "b"]) == {"a": 1, "b": 2}


def test_numbers_beyond_64_bits_and_centuries_are_taken(cache: DmqCache) -> None:
    cache.set("n", 1 << 62, timeout=10**11)
    assert cache.touch("n", 10**11)
    assert cache.incr("n", 1 << 62) == 1 << 63 == cache.get("n")
    assert cache.decr("n", 1) == (1 << 63) - 1 == cache.get("n")
    assert cache.incr("n", -(1 << 70)) == (1 << 63) - 1 - (1 << 70)
