"""Counters at the ends of 64 bits, through the Redis port: what fits is counted exactly on all nodes, and
what does not is refused, whatever each node has added before."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
import redis

from tests.interop.cluster import Cluster
from tests.interop.dmqcache_node import DmqcacheNode

pytestmark = pytest.mark.interop

MOST = (1 << 63) - 1
STEP = 8 * 10**18
ROUNDS = 5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("127.0.53.", ("d1", "d2")) as cluster:
        yield cluster.join()


def _add(node: DmqcacheNode, key: str, by: int) -> int:
    return int(node.call("calls", "INCRBY", key, by))


def test_one_node_adds_more_than_64_bits_hold_and_the_sum_fits(cluster: Cluster) -> None:
    node = cluster.dmqcache("d1")
    node.set_str("calls", "n", str(-MOST))
    for _ in range(ROUNDS):
        assert _add(node, "n", MOST) == 0
        assert _add(node, "n", MOST) == MOST
        with pytest.raises(redis.ResponseError, match="increment or decrement would overflow"):
            _add(node, "n", 1)
        assert _add(node, "n", -MOST) == 0
        assert _add(node, "n", -MOST) == -MOST
    cluster.wait_value("calls", "n", -MOST)


def test_two_nodes_add_more_than_64_bits_hold_and_the_sum_fits(cluster: Cluster) -> None:
    one, other = cluster.dmqcache("d1"), cluster.dmqcache("d2")
    for _ in range(ROUNDS):
        assert _add(one, "m", MOST) == MOST
        cluster.wait_value("calls", "m", MOST)
        assert _add(other, "m", -MOST) == 0
        cluster.wait_value("calls", "m", 0)
    assert _add(one, "m", -7) == -7
    cluster.wait_value("calls", "m", -7)


def test_two_nodes_at_once_beyond_64_bits(cluster: Cluster) -> None:
    """Each has room for it, and both together have not: who has heard of the other's refuses; if neither had,
    the sum stands at the limit on both, and each step back counts."""
    nodes = [cluster.dmqcache("d1"), cluster.dmqcache("d2")]
    for turn in range(ROUNDS):
        key, made = f"both {turn}", list[int]()

        def add(node: DmqcacheNode, key: str = key, made: list[int] = made) -> None:
            with contextlib.suppress(redis.ResponseError):
                _add(node, key, STEP)
                made.append(STEP)

        threads = [threading.Thread(target=add, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made
        total = sum(made)
        cluster.wait_value("calls", key, min(total, MOST))
        while total > 0:
            total -= STEP // 2
            assert _add(nodes[turn % 2], key, -STEP // 2) == min(total, MOST)
        cluster.wait_value("calls", key, 0)
