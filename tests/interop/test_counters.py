"""Nine dmqcache nodes count at once under 20% loss, cut in two in the middle: none is lost or doubled.

Each client adds one third of its share before the cut, one while it lasts, one after it. A Kamailio stands
beside, is cut off as well, and shows the same number in the end.
"""

import os
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.netns import Network

pytestmark = pytest.mark.interop

LOSS = 0.20
INCREMENTS = int(os.environ.get("DMQC_INCREMENTS", "2000"))
"""Of each node."""
PIPELINE = 20
WORKERS = tuple(f"d{number}" for number in range(1, 10))
ONE, OTHER = WORKERS[:4], (*WORKERS[4:], "k1")
JOIN_TIMEOUT_S = 60.0
NOTICE_TIMEOUT_S = 60.0
WRITE_TIMEOUT_S = 120.0
EQUAL_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network([*WORKERS, "k1"], tag="count", number=81) as network:
        yield network


@pytest.fixture(scope="module")
def cluster(network: Network) -> Iterator[Cluster]:
    with Cluster("", ("k1", *WORKERS), network=network, seeding="first") as cluster:
        yield cluster.join(timeout=JOIN_TIMEOUT_S)


class Counting(threading.Thread):
    """Adds INCREMENTS to one key, one third at a time: the second and the third when `gates` open."""

    def __init__(self, node: DmqcacheNode, gates: tuple[threading.Event, threading.Event]) -> None:
        super().__init__(daemon=True)
        self.made = 0
        self.error: BaseException | None = None
        self._node = node
        self._gates = gates

    def run(self) -> None:
        try:
            # By number: a pipeline takes a connection of its own, on which no SELECT was sent.
            database = self._node.tables.index("calls")
            with redis.Redis(self._node.host, self._node.client_port, database, socket_timeout=30) as client:
                for part in range(3):
                    if part:
                        assert self._gates[part - 1].wait(WRITE_TIMEOUT_S)
                    while self.made < INCREMENTS * (part + 1) // 3:
                        batch = client.pipeline(transaction=False)
                        for _ in range(min(PIPELINE, INCREMENTS * (part + 1) // 3 - self.made)):
                            batch.incr("counter")
                        self.made += len(batch.execute())
        except BaseException as error:
            self.error = error


def _wait_made(threads: list[Counting], thirds: int) -> None:
    goal = INCREMENTS * thirds // 3
    wait_until(
        lambda: all(thread.made >= goal for thread in threads) or any(thread.error for thread in threads),
        WRITE_TIMEOUT_S,
        lambda: f"{goal} increments on each node: {[thread.made for thread in threads]}",
    )
    assert not [thread.error for thread in threads if thread.error]


def _wait_cut_noticed(cluster: Cluster) -> None:
    """Each dmqcache node has given up those of the other side."""
    for name in WORKERS:
        others = [cluster[other].uri for other in (OTHER if name in ONE else ONE)]
        wait_until(
            lambda name=name, others=others: "active" not in {cluster[name].nodes()[uri] for uri in others},  # type: ignore[misc]
            NOTICE_TIMEOUT_S,
            lambda name=name: f"{name} notices the cut: {cluster[name].nodes()}",  # type: ignore[misc]
        )


def test_nine_nodes_count_exactly(cluster: Cluster, network: Network) -> None:
    network.set_loss(LOSS)
    gates = (threading.Event(), threading.Event())
    threads = [Counting(cluster.dmqcache(name), gates) for name in WORKERS]
    for thread in threads:
        thread.start()
    _wait_made(threads, 1)
    # The cut comes while they write: it takes some tenths of a second to be complete.
    gates[0].set()
    with network.partition(ONE, OTHER):
        _wait_made(threads, 2)
        _wait_cut_noticed(cluster)
    gates[1].set()
    _wait_made(threads, 3)
    total, begin = len(WORKERS) * INCREMENTS, time.monotonic()
    cluster.wait_all(lambda node: node.get("calls", "counter"), total, EQUAL_TIMEOUT_S, WORKERS)
    print(f"nine nodes show {total} after {time.monotonic() - begin:.1f} s")
    cluster.wait_all(lambda node: node.get("calls", "counter"), total, EQUAL_TIMEOUT_S)
    print(f"the Kamailio too after {time.monotonic() - begin:.1f} s")
