"""A dead node is noticed by every other: killed (its host refuses for it), or frozen (nobody answers)."""

import time
from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until

pytestmark = pytest.mark.interop

NAMES = ("d1", "d2", "d3")
NOTICE_TIMEOUT_S = 30.0
"""5 s are promised for three nodes; the machine may be busy."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("127.0.42.", NAMES) as cluster:
        yield cluster.join()


def _wait_noticed(cluster: Cluster, lost: str) -> dict[str, float]:
    """After how many seconds each of the others no longer holds a node active."""
    begin, uri = time.monotonic(), cluster[lost].uri
    noticed: dict[str, float] = {}
    others = [name for name in NAMES if name != lost]

    def look() -> bool:
        for name in others:
            if name not in noticed and cluster[name].nodes().get(uri) != "active":
                noticed[name] = round(time.monotonic() - begin, 2)
        return len(noticed) == len(others)

    wait_until(look, NOTICE_TIMEOUT_S, lambda: f"{lost} is noticed by {others}: {noticed}")
    return noticed


def test_a_killed_node(cluster: Cluster) -> None:
    for lost in NAMES:
        cluster[lost].kill()
        print(f"killed {lost}: noticed after {_wait_noticed(cluster, lost)} s")
        cluster[lost].restart()
        cluster.wait_joined(NOTICE_TIMEOUT_S)


def test_a_frozen_node(cluster: Cluster) -> None:
    for lost in NAMES:
        cluster[lost].daemon.freeze()
        try:
            print(f"froze {lost}: noticed after {_wait_noticed(cluster, lost)} s")
        finally:
            cluster[lost].daemon.thaw()
        # It comes back by itself, and what was written meanwhile reaches it.
        cluster[NAMES[0]].set_str("users", f"while {lost} was frozen", "x")
        cluster.wait_joined(NOTICE_TIMEOUT_S)
        cluster.wait_value("users", f"while {lost} was frozen", "x", NOTICE_TIMEOUT_S)
