"""Each kind of node writes as fast as it can, and nothing is missing anywhere."""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster

pytestmark = pytest.mark.interop

SETS = 50_000
LAG_S = 30.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # Kamailio keeps each transaction for 5 s after its end: some 4 KiB for each set and node.
    with Cluster("127.0.36.", shm_mb=2048) as cluster:
        yield cluster.join()


def test_a_kamailio_at_full_speed(cluster: Cluster) -> None:
    cluster.kamailio("k1").fast_sets(SETS)
    for name in ("d1", "d2", "k2"):
        cluster[name].wait_count("users", SETS, LAG_S)
    assert [cluster[name].missing(SETS) for name in ("d1", "d2", "k2")] == [0, 0, 0]
    expected = {f"k{number}": f"v{number}" for number in range(SETS)}
    assert cluster["d1"].dump("users") == expected == cluster["d2"].dump("users")
    assert cluster["k1"].nodes().keys() == cluster["d1"].nodes().keys()


def test_a_dmqcache_at_full_speed(cluster: Cluster) -> None:
    cluster.dmqcache("d1").set_many("users", ((f"k{i}", f"v{i}") for i in range(SETS)))
    for name in ("d2", "k1", "k2"):
        cluster[name].wait_count("users", SETS, LAG_S)
    assert [cluster[name].missing(SETS) for name in ("d2", "k1", "k2")] == [0, 0, 0]
    # The same keys again: the last value of each wins everywhere.
    cluster.dmqcache("d1").set_many("users", ((f"k{i % 500}", f"again {i}") for i in range(SETS // 5)))
    table = cluster.wait_equal("users", LAG_S)
    assert table["k499"] == f"again {SETS // 5 - 1}"
