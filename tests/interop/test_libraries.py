"""The usual uses of Python's cache, lock, limiter and result libraries beside a real Redis: the same asserts.

What a use is, say cache_libraries.py, async_libraries.py and lock_libraries.py. A use of what a cell cannot
be (a list, a set, a hash, a sorted set) ends on a dmqcache node with Redis' own words for an unknown command.
"""

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import redis

from tests.interop import async_libraries, cache_libraries, lock_libraries
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.process import ROOT
from tests.server.resp.rival import redis_server

pytestmark = pytest.mark.interop

Use = Callable[[str], None]

#: What a use needs and a cache of cells has not, by the use's name.
NEEDS = {
    "django_redis_hash": "hashes",
    "cashews_tags": "sets",
    "cashews_sliding_limit": "sorted sets",
    "cashews_circuit_breaker": "sorted sets",
    "limits_moving_window": "lists",
    "pyrate_limiter_log": "sorted sets",
    "pyrate_limiter_state": "hashes",
    "redis_lock_release": "lists",
    "walrus_lock": "lists",
    "walrus_rate_limit": "lists",
    "celery_chords": "sorted sets",
}
#: A use that redis-py grants to Redis from 7.4 on: Debian 12 and 13 have an older one.
NEWER_REDIS = "redis_py_client_side_cache"


def _uses(module: ModuleType) -> list[Use]:
    own = (value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__)
    return [value for value in own if callable(value) and not value.__name__.startswith("_")]


USES = [use for module in (cache_libraries, async_libraries, lock_libraries) for use in _uses(module)]


@pytest.fixture(scope="module", params=["redis", "dmqcache"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Who answers, and where."""
    if request.param == "redis":
        with redis_server() as (host, port):
            yield request.param, f"redis://{host}:{port}/0"
        return
    node = DmqcacheNode("127.0.87.11", tables=["cache", "other"])
    try:
        node.start()
        node.wait_ready()
        yield request.param, f"redis://{node.host}:{node.client_port}/0"
    finally:
        node.close()


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_use(server: tuple[str, str], use: Use) -> None:
    who, url = server
    with redis.Redis.from_url(url) as client:
        client.flushall()
    if who == "redis" and use.__name__ == NEWER_REDIS:
        pytest.skip("redis-py's client-side cache wants a Redis from 7.4 on")
    need = NEEDS.get(use.__name__)
    if who == "redis" or need is None:
        use(url)
        return
    with pytest.raises(Exception) as refused:
        use(url)
    assert any(_says_what_is_not_there(text) for text in _texts(refused.value)), need


def test_each_need_is_of_a_use() -> None:
    assert {*NEEDS, NEWER_REDIS} <= {use.__name__ for use in USES}


def test_the_readme_counts_them() -> None:
    words = " ".join((ROOT / "README.md").read_text().split())
    assert f"In Python {len(USES) - len(NEEDS)} of {len(USES)} usual uses work" in words


def _says_what_is_not_there(text: str) -> bool:
    return "unknown" in text and "command" in text


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error).lower()
        error = error.__cause__ or error.__context__
