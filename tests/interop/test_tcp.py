"""The same cluster with `;transport=tcp` in every node's address."""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.lineups import each_lineup

pytestmark = [pytest.mark.interop, each_lineup]

CELLS = 5000


@pytest.fixture(scope="module")
def cluster(lineup: str) -> Iterator[Cluster]:
    with Cluster("127.0.35.", transport="tcp", lineup=lineup) as cluster:
        yield cluster.join()


@pytest.mark.parametrize("writer", ["k1", "d1"])
def test_changes(cluster: Cluster, writer: str) -> None:
    keys = cluster.see_written(writer)
    cluster[writer].remove_name_prefix("users", f"{writer} ")
    for key in keys:
        cluster.wait_value("users", key, None)


def test_many_from_a_kamailio(cluster: Cluster) -> None:
    cluster.kamailio("k1").fast_sets(CELLS, prefix="kamailio ")
    for node in cluster.others("k1").values():
        node.wait_count("users", CELLS, 15)
    cluster["d1"].remove_name_prefix("users", "kamailio ")
    # A Kamailio is told of each key by a message of its own.
    cluster.wait_all(lambda node: node.count("users"), 0, timeout=20)


def test_many_from_a_dmqcache(cluster: Cluster) -> None:
    cluster.dmqcache("d1").set_many("users", ((f"dmqcache {i}", f"v{i}") for i in range(CELLS)))
    assert len(cluster.wait_equal("users", 15)) == CELLS


@pytest.mark.parametrize("name", ["d2", "k2"])
def test_a_killed_node_comes_back(cluster: Cluster, name: str) -> None:
    cells = len(cluster.wait_equal("users", 15))
    cluster[name].kill()
    cluster["k1"].set_str("users", f"while {name} was away", "1")
    cluster["d1"].set_str("users", f"also while {name} was away", "1")
    cluster[name].restart()
    cluster.wait_joined(30)
    assert len(cluster.wait_equal("users", 15)) == cells + 2
