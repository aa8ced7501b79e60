"""A million sets of one key through one node: what others write after it wins at once, and a flush spares
what is written after it.

Each set raises the key's version; if that left the clock behind, no other node's write could win any more.
"""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.firehose import Firehose

pytestmark = pytest.mark.interop

SETS = 1_000_000
BATCH = 1_000
WITHIN_S = 10.0
"""What a version that runs ahead of the clock would hold up for minutes is seen at once; a machine may stand
still for some seconds."""
WRITE_TIMEOUT_S = 120.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster("127.0.51.", ("d1", "d2", "d3")) as cluster:
        yield cluster.join()


def test_a_million_sets_of_one_key(cluster: Cluster) -> None:
    hose = Firehose(
        cluster.dmqcache("d1"), "users", lambda number: ("hot", f"v{number}"), most=SETS, batch=BATCH
    )
    hose.start()
    hose.join(WRITE_TIMEOUT_S)
    hose.stop()
    assert hose.acknowledged == SETS
    cluster.wait_value("users", "hot", f"v{SETS - 1}", WITHIN_S)
    cluster["d2"].set_str("users", "hot", "of another node")
    cluster.wait_value("users", "hot", "of another node", WITHIN_S)
    cluster["d3"].delete("users", "hot")
    cluster.wait_value("users", "hot", None, WITHIN_S)
    for name in cluster.names:
        cluster[name].set_str("users", f"before, of {name}", "x")
    cluster.wait_all(lambda node: node.count("users"), 3, WITHIN_S)
    cluster.dmqcache("d1").call("users", "FLUSHALL")
    cluster.wait_all(lambda node: node.count("users"), 0, WITHIN_S)
    for name in cluster.names:
        cluster[name].set_str("users", f"after, of {name}", "x")
    cluster.wait_all(lambda node: node.count("users"), 3, WITHIN_S)
    for name in cluster.names:
        cluster[name].set_str("users", "hot", f"again, of {name}")
        cluster.wait_value("users", "hot", f"again, of {name}", WITHIN_S)
    assert all(cluster.dmqcache(name).ready() for name in cluster.names)
    assert cluster["d1"].count("users") == 4
