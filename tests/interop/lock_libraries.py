"""What programs usually do with redis-py itself and with Python's limiters, locks and result stores, each
against the Redis URL that it is given.

Each function is one use and asserts what the library promises. It knows nothing of what answers;
test_libraries.py says that, and which uses need what a cell cannot be. Caches are in cache_libraries.py and
async_libraries.py.
"""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import celery
import limits
import limits.aio
import pyrate_limiter
import pytest
import redis
import redis_lock
import walrus
from celery.contrib.testing.worker import start_worker
from redis.asyncio import Redis as AsyncRedis
from redis.cache import CacheConfig
from redis.exceptions import LockError, LockNotOwnedError
from walrus.rate_limit import RateLimitException

from tests.waiting import wait_until

RESULT_TIMEOUT_S = 20.0


# ---- redis-py ----


def redis_py_lock(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        lock, other = (client.lock("job", timeout=30, thread_local=False) for _ in range(2))
        assert lock.acquire() and lock.owned() and lock.locked()
        assert not other.acquire(blocking=False)
        assert lock.extend(30) and client.ttl("job") > 30 and lock.reacquire() and client.ttl("job") <= 30
        with pytest.raises(LockError):
            other.release()
        waiter = threading.Thread(target=lock.release)
        waiter.start()
        assert other.acquire(blocking_timeout=10)
        waiter.join()
        client.set("job", "stolen")
        with pytest.raises(LockNotOwnedError):
            other.release()


def redis_py_transactions(url: str) -> None:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.set("n", 1)

        def double(pipe: Any) -> None:
            number = int(pipe.get("n"))
            if number == 1:
                client.set("n", 5)  # another client is quicker: once more
            pipe.multi()
            pipe.set("n", 2 * number)

        client.transaction(double, "n")
        assert client.get("n") == "10"
        with client.pipeline() as pipe:
            assert pipe.incr("n").expire("n", 30).get("n").execute() == [11, True, "11"]


def redis_py_scripts(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        swap = client.register_script(
            "local old = redis.call('get', KEYS[1]) redis.call('set', KEYS[1], ARGV[1]) return {old, #ARGV}"
        )
        assert swap(keys=["k"], args=[b"\0\xff"]) == [None, 1] and swap(keys=["k"], args=["x"]) == [
            b"\0\xff",
            1,
        ]
        client.script_flush()
        assert swap(keys=["k"], args=["y", "z"]) == [b"x", 2]
        with client.pipeline() as pipe:
            swap(keys=["k"], args=["1"], client=pipe)
            assert pipe.get("k").execute() == [[b"y", 1], b"1"]


def redis_py_publish_and_subscribe(url: str) -> None:
    with redis.Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as ear:
        heard: list[Any] = []
        ear.subscribe(news=heard.append)
        ear.psubscribe(**{"n*": heard.append})
        thread = ear.run_in_thread(sleep_time=0.01, daemon=True)
        try:
            wait_until(lambda: client.pubsub_numpat() == 1, what="a subscription")
            assert client.publish("news", "hello") == 2
            wait_until(lambda: len(heard) == 2, what="two messages")
        finally:
            thread.stop()
            thread.join()
        told = {(one["type"], one["data"]) for one in heard}
        assert told == {("message", b"hello"), ("pmessage", b"hello")}


def redis_py_client_side_cache(url: str) -> None:
    with (
        redis.Redis.from_url(url, protocol=3, cache_config=CacheConfig()) as client,
        redis.Redis.from_url(url) as other,
    ):
        other.set("k", 1)
        assert client.get("k") == b"1" == client.get("k") and len(client.get_cache().collection) == 1
        other.set("k", 2)
        wait_until(lambda: client.get("k") == b"2", what="the change is told")


def redis_py_async(url: str) -> None:
    async def run() -> None:
        async with AsyncRedis.from_url(url) as client:
            await asyncio.gather(*(client.incr("n") for _ in range(50)))
            assert await client.get("n") == b"50"
            async with client.lock("job", timeout=10), client.pipeline() as pipe:
                assert await pipe.setex("k", 9, "v").ttl("k").execute() == [True, 9]
            assert [key async for key in client.scan_iter("j*")] == []

    asyncio.run(run())


# ---- limits (Flask-Limiter's, slowapi's) ----


def _limited(strategy: type[limits.strategies.RateLimiter], url: str) -> None:
    limiter = strategy(limits.storage.storage_from_string(url))
    rate = limits.parse("3/minute")
    assert limiter.test(rate, "ada") and [limiter.hit(rate, "ada") for _ in range(4)] == [True] * 3 + [False]
    assert limiter.hit(rate, "bob", cost=3) and not limiter.hit(rate, "bob")
    assert limiter.get_window_stats(rate, "ada").remaining == 0
    limiter.clear(rate, "ada")
    assert limiter.hit(rate, "ada")


def limits_fixed_window(url: str) -> None:
    _limited(limits.strategies.FixedWindowRateLimiter, url)


def limits_sliding_window(url: str) -> None:
    _limited(limits.strategies.SlidingWindowCounterRateLimiter, url)


def limits_moving_window(url: str) -> None:
    _limited(limits.strategies.MovingWindowRateLimiter, url)


def limits_storage(url: str) -> None:
    storage = limits.storage.storage_from_string(url)
    assert storage.check() and storage.incr("LIMITS:x", 60, 2) == 2 and storage.get("LIMITS:x") == 2
    assert storage.reset() == 1 and storage.get("LIMITS:x") == 0


def limits_async(url: str) -> None:
    async def run() -> None:
        limiter = limits.aio.strategies.FixedWindowRateLimiter(
            limits.storage.storage_from_string(f"async+{url}", implementation="redispy")
        )
        rate = limits.parse("2/minute")
        assert [await limiter.hit(rate, "ada") for _ in range(3)] == [True, True, False]

    asyncio.run(run())


# ---- pyrate-limiter ----


def pyrate_limiter_log(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        rates = [pyrate_limiter.Rate(2, pyrate_limiter.Duration.MINUTE)]
        bucket = pyrate_limiter.RedisBucket.init(rates, client, "bucket")
        assert [bucket.put(pyrate_limiter.RateItem("ada", bucket.now())) for _ in range(3)] == [
            True,
            True,
            False,
        ]


def pyrate_limiter_state(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        store = pyrate_limiter.RedisStateStore(client, "state")
        rates = [pyrate_limiter.Rate(1, pyrate_limiter.Duration.MINUTE)]
        bucket = pyrate_limiter.StateBucket(rates, store=store, algorithm=pyrate_limiter.GCRA())
        assert [bucket.put(pyrate_limiter.RateItem("ada", bucket.now())) for _ in range(2)] == [True, False]


# ---- python-redis-lock ----


def redis_lock_acquire_and_extend(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        lock = redis_lock.Lock(client, "job", expire=30, id="ada")
        assert lock.acquire(blocking=False) and lock.get_owner_id() == "ada" and lock.locked()
        assert not redis_lock.Lock(client, "job", id="bob").acquire(blocking=False)
        lock.extend(expire=90)
        assert client.ttl("lock:job") > 30


def redis_lock_release(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        with redis_lock.Lock(client, "job", expire=30):
            pass
        assert not redis_lock.Lock(client, "job").locked()


# ---- walrus ----


def _walrus(url: str) -> walrus.Database:
    return walrus.Database.from_url(url)


def walrus_cache(url: str) -> None:
    cache = _walrus(url).cache(name="pages", default_timeout=60)
    calls: list[int] = []

    @cache.cached(timeout=60)
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(2), double(2), double(3)] == [4, 4, 6] and calls == [2, 3]
    cache.set_many({"a": 1, "b": [2]})
    assert cache.get_many(["a", "b", "none"]) == {"a": 1, "b": [2]}
    assert sorted(cache.keys(strip_prefix=True))[:2] == ["a", "b"] and cache.delete("a") == 1
    cache.flush()
    assert cache.get("b") is None


def walrus_counter_and_keys(url: str) -> None:
    database = _walrus(url)
    counter = database.counter("hits")
    assert (counter.incr(), counter.incr(4), counter.decr(2)) == (1, 5, 3) and counter.value() == 3
    database["k"] = "v"
    assert database["k"] == b"v" and "k" in database and len(database) == 2
    assert sorted(database.search("*")) == [b"counter:hits", b"k"]
    with database.atomic() as transaction:
        transaction.pipe.set("a", 1)
        transaction.pipe.set("b", 2)
    assert database.mget("a", "b") == [b"1", b"2"]
    del database["k"]
    assert "k" not in database


def walrus_lock(url: str) -> None:
    database = _walrus(url)
    lock = database.lock("job", ttl=30_000)
    assert lock.acquire(block=False) and not database.lock("job").acquire(block=False)
    assert lock.release() and database.lock("job").acquire(block=False)


def walrus_rate_limit(url: str) -> None:
    limited = _walrus(url).rate_limit("calls", limit=1, per=60).rate_limited()(lambda: 1)
    assert limited() == 1
    with pytest.raises(RateLimitException):
        limited()


# ---- Celery's result backend ----


def _with_celery(url: str, use: Callable[[celery.Celery], None]) -> None:
    app = celery.Celery("shop", broker="memory://", backend=url, set_as_current=False)
    app.conf.update(result_expires=600, worker_redirect_stdouts=False)
    app.log.setup = lambda **_: None  # a worker sets up the logging of its process: here the test's
    try:
        use(app)
    finally:
        app.close()


def celery_stored_results(url: str) -> None:
    def use(app: celery.Celery) -> None:
        app.backend.store_result("1", {"sum": 3}, "SUCCESS")
        app.backend.mark_as_failure("2", ValueError("bad"))
        found = app.AsyncResult("1")
        assert found.successful() and found.get(timeout=RESULT_TIMEOUT_S) == {"sum": 3}
        with pytest.raises(ValueError, match="bad"):
            app.AsyncResult("2").get(timeout=RESULT_TIMEOUT_S)
        found.forget()
        assert app.AsyncResult("1").state == "PENDING"

    _with_celery(url, use)


def celery_tasks(url: str) -> None:
    """Two tasks of a worker: the results are waited for by SUBSCRIBE."""

    def use(app: celery.Celery) -> None:
        @app.task(name="add")
        def add(one: int, other: int) -> int:
            return one + other

        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=RESULT_TIMEOUT_S):
            assert add.delay(1, 2).get(timeout=RESULT_TIMEOUT_S) == 3
            group = celery.group(add.s(number, 1) for number in range(3)).apply_async()
            assert group.get(timeout=RESULT_TIMEOUT_S) == [1, 2, 3]

    _with_celery(url, use)


def celery_chords(url: str) -> None:
    """One of two parts of a chord is done, which the backend counts."""

    def use(app: celery.Celery) -> None:
        backend = app.backend
        backend.set_chord_size("group", 2)
        request = SimpleNamespace(id="1", group="group", group_index=0, chord=None, kwargs={})
        backend.on_chord_part_return(request, "SUCCESS", 1)
        assert backend.client.zcard(backend.get_key_for_group("group", ".j")) == 1

    _with_celery(url, use)
