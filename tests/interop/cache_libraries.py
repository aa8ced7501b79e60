"""What programs usually do with Python's cache libraries, each against the Redis URL that it is given.

Each function is one use and asserts what the library promises. It knows nothing of what answers;
test_libraries.py says that, and which uses need what a cell cannot be. Libraries of asyncio are in
async_libraries.py, limiters, locks and results in lock_libraries.py.
"""

import time
from typing import Any

import django_redis.cache
import pytest
from django.conf import settings
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache.backends.redis import RedisCache
from django.test.utils import override_settings
from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE
from dogpile.cache.region import CacheRegion
from flask import Flask
from flask_caching import Cache

from tests.interop.usual import VALUES, Calls


def _django(url: str) -> django_redis.cache.RedisCache:
    if not settings.configured:
        settings.configure()
    return django_redis.cache.RedisCache(url, {"KEY_PREFIX": "site"})


def _flask(url: str) -> tuple[Flask, Cache]:
    app = Flask("shop")
    config = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": url, "CACHE_KEY_PREFIX": "shop:"}
    return app, Cache(app, config=config)


def _region(url: str, **arguments: Any) -> CacheRegion:
    return make_region().configure(
        "dogpile.cache.redis", expiration_time=60, arguments={"url": url, **arguments}
    )


# ---- Django: its own backend, django-redis, sessions ----


def django_own_backend(url: str) -> None:
    _django(url)
    cache = RedisCache(url, {})
    cache.set_many(VALUES, timeout=60)
    assert cache.get_many([*VALUES, "none"]) == VALUES
    assert cache.add("text", "other") is False and cache.incr("number", 3) == 10
    assert cache.touch("text", 90) is True and cache.delete("text") is True
    cache.clear()
    assert cache.get("number") is None


def django_redis_values_and_timeouts(url: str) -> None:
    cache = _django(url)
    for name, value in VALUES.items():
        assert cache.set(name, value, timeout=60) and cache.get(name) == value
    assert cache.set("text", "new", nx=True) is False and cache.set("text", "new", xx=True) is True
    assert 0 < cache.ttl("number") <= 60 and 0 < cache.pttl("number") <= 60_000
    assert cache.expire("number", 90) and cache.ttl("number") > 60
    assert cache.persist("number") and cache.ttl("number") is None
    assert cache.expire_at("number", int(time.time()) + 50) and 0 < cache.ttl("number") <= 50
    assert cache.ttl("none") == 0 and cache.touch("none") is False
    assert cache.get_or_set("made", lambda: 5) == 5 and cache.has_key("made")


def django_redis_many(url: str) -> None:
    cache = _django(url)
    cache.set_many(VALUES, timeout=60)
    assert cache.get_many([*VALUES, "none"]) == VALUES
    assert cache.delete_many(["text", "none"]) == 1


def django_redis_counts_and_versions(url: str) -> None:
    cache = _django(url)
    cache.set("hits", 1)
    assert cache.incr("hits", 4) == 5 and cache.decr("hits") == 4
    with pytest.raises(ValueError, match="not found"):
        cache.incr("none")
    cache.set("big", 2**63 - 1)
    assert cache.incr("big") == 2**63  # INCRBY is refused; the library takes another way
    assert cache.incr_version("hits") == 2 and cache.get("hits", version=2) == 4 and cache.get("hits") is None


def django_redis_patterns(url: str) -> None:
    cache = _django(url)
    cache.set_many({f"page:{number}": number for number in range(30)} | {"other": 1})
    assert sorted(cache.iter_keys("page:1?")) == [f"page:{number}" for number in range(10, 20)]
    assert len(cache.keys("page:*")) == 30
    assert cache.delete_pattern("page:*", itersize=7) == 30 and cache.get("other") == 1


def django_redis_lock(url: str) -> None:
    cache = _django(url)
    with cache.lock("job", timeout=30):
        assert cache.lock("job").acquire(blocking=False) is False
    assert cache.lock("job", timeout=30).acquire(blocking=False) is True


def django_redis_hash(url: str) -> None:
    cache = _django(url)
    cache.hset("user", "name", "ada")
    assert cache.hkeys("user") == ["name"]


def django_sessions(url: str) -> None:
    _django(url)
    caches = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}}
    with override_settings(CACHES=caches, SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        session = SessionStore()
        session["user"] = 7
        session.save()
        again = SessionStore(session.session_key)
        assert again["user"] == 7
        again.cycle_key()
        assert SessionStore(again.session_key)["user"] == 7 and not session.exists(session.session_key)
        again.flush()
        assert "user" not in SessionStore(again.session_key)


# ---- Flask-Caching ----


def flask_views(url: str) -> None:
    app, cache = _flask(url)
    calls = Calls()

    @app.route("/page")
    @cache.cached(timeout=60, query_string=True)
    def page() -> str:
        return str(calls.next())

    client = app.test_client()
    assert [client.get(path).text for path in ("/page?a=1", "/page?a=1", "/page?a=2")] == ["1", "1", "2"]


def flask_memoize(url: str) -> None:
    app, cache = _flask(url)
    calls = Calls()

    @cache.memoize(60)
    def double(number: int) -> tuple[int, int]:
        return 2 * number, calls.next()

    with app.app_context():
        assert [double(2), double(2), double(3)] == [(4, 1), (4, 1), (6, 2)]
        cache.delete_memoized(double, 2)
        assert [double(2), double(3)] == [(4, 3), (6, 2)]
        cache.delete_memoized(double)
        assert double(3) == (6, 4)


def flask_values(url: str) -> None:
    app, cache = _flask(url)
    with app.app_context():
        assert cache.set_many(VALUES) and cache.get_dict(*VALUES) == VALUES
        assert cache.add("text", "other") is False and cache.add("fresh", 1) is True
        assert cache.has("fresh") and cache.delete_many("fresh", "text") and cache.get("text") is None
        assert cache.cache.inc("hits", 2) == 2 and cache.cache.dec("hits") == 1


def flask_clear_of_a_prefix(url: str) -> None:
    app, cache = _flask(url)
    with app.app_context():
        cache.set("a", 1)
        cache.cache._write_client.set("foreign", b"1")
        assert cache.clear() and cache.get("a") is None
        assert cache.cache._write_client.get("foreign") == b"1"


# ---- dogpile.cache ----


def dogpile_regions(url: str) -> None:
    region, calls = _region(url, redis_expiration_time=120), Calls()
    assert [region.get_or_create("a", calls.next) for _ in range(3)] == [1, 1, 1]
    region.set_multi({"b": 5, "c": {"x": 1}})
    assert region.get_multi(["b", "none", "c"]) == [5, NO_VALUE, {"x": 1}]
    region.delete_multi(["b", "c"])
    assert region.get("b") is NO_VALUE
    region.invalidate(hard=True)
    assert region.get_or_create("a", calls.next) == 2


def dogpile_decorators(url: str) -> None:
    region, calls = _region(url), Calls()

    @region.cache_on_arguments()
    def user(number: int) -> str:
        return f"user {number} {calls.next()}"

    assert [user(1), user(1), user(2)] == ["user 1 1", "user 1 1", "user 2 2"]
    user.invalidate(1)
    assert user(1) == "user 1 3" and user.refresh(2) == "user 2 4"


def dogpile_lock_between_processes(url: str) -> None:
    region = _region(url, distributed_lock=True, thread_local_lock=False, lock_timeout=30)
    calls = Calls()
    assert [region.get_or_create("a", calls.next) for _ in range(2)] == [1, 1]
    mutex = region.backend.get_mutex("a")
    assert mutex.acquire(False) and not region.backend.get_mutex("a").acquire(False)
    mutex.release()
