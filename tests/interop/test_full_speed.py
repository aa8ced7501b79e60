"""Each kind of node writes as fast as it can, and nothing is missing anywhere."""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.lineups import ONE, each_lineup

pytestmark = [pytest.mark.interop, each_lineup]

SETS, FEWER_SETS = 50_000, 15_000
"""The more on one line-up: it takes long, and is much the same on the others."""
LAG_S = 30.0


@pytest.fixture
def cluster(lineup: str) -> Iterator[Cluster]:
    # Kamailio keeps each transaction for 5 s after its end: some 4 KiB for each set and node.
    with Cluster("127.0.36.", lineup=lineup, shm_mb=2048) as cluster:
        yield cluster.join()


@pytest.fixture
def sets(lineup: str) -> int:
    return SETS if lineup == ONE else FEWER_SETS


def _missing(cluster: Cluster, sets: int) -> dict[str, int]:
    """Which nodes lack how many of the keys."""
    counts = {name: node.missing(sets) for name, node in cluster.running.items()}
    return {name: count for name, count in counts.items() if count}


def test_a_kamailio_at_full_speed(cluster: Cluster, sets: int) -> None:
    cluster.kamailio("k1").fast_sets(sets)
    for node in cluster.others("k1").values():
        node.wait_count("users", sets, LAG_S)
    assert _missing(cluster, sets) == {}
    expected = {f"k{number}": f"v{number}" for number in range(sets)}
    assert cluster["d1"].dump("users") == expected == cluster["d2"].dump("users")
    assert cluster["k1"].nodes().keys() == cluster["d1"].nodes().keys()


def test_a_dmqcache_at_full_speed(cluster: Cluster, sets: int) -> None:
    cluster.dmqcache("d1").set_many("users", ((f"k{i}", f"v{i}") for i in range(sets)))
    for node in cluster.others("d1").values():
        node.wait_count("users", sets, LAG_S)
    assert _missing(cluster, sets) == {}
    # The same keys again: the last value of each wins everywhere.
    cluster.dmqcache("d1").set_many("users", ((f"k{i % 500}", f"again {i}") for i in range(sets // 5)))
    table = cluster.wait_equal("users", LAG_S)
    assert table["k499"] == f"again {sets // 5 - 1}"
