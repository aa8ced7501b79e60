"""What Kamailio nodes remove without a word: left, refilled or followed, as the table says; and FLUSHDB.

One of each kind of table in one cluster; the Kamailio nodes know nothing of the setting.
"""

import time
from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.kamailio import Kamailio
from tests.interop.lineups import all_releases

pytestmark = [pytest.mark.interop, all_releases]

KEYS = 60
OUTCOMES = ("leave", "refill", "follow")
TABLES = tuple(f"{outcome}=>size=8;autoexpire=3600;dmqreplicate=1;" for outcome in OUTCOMES)
LOOK_S = 12.0
"""A comparison and its rounds."""
SETTLED_S = 34.0
"""Nothing of before is under way any more, on either side."""
ROUTINE_S = 75.0
"""A routine comparison with its rounds."""


@pytest.fixture(scope="module")
def cluster(lineup: str) -> Iterator[Cluster]:
    settings = [f"{outcome}=>autoexpire=3600;removals={outcome}" for outcome in OUTCOMES]
    with Cluster("127.0.48.", lineup=lineup, tables=TABLES, dmqcache_tables=settings) as cluster:
        yield cluster.join()


def _kamailios(cluster: Cluster) -> list[Kamailio]:
    return [cluster.kamailio(name) for name in cluster.names if name.startswith("k")]


def _compare(cluster: Cluster) -> None:
    """Have all compared with, so that each Kamailio is seen to hold what it holds."""
    cluster.dmqcache("d1").rpc("htable.dmqresync", OUTCOMES[0])
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + LOOK_S, LOOK_S + 5, "a comparison and its rounds")


def test_a_flush_on_all_kamailio_nodes_is_left_refilled_or_followed(cluster: Cluster) -> None:
    node = cluster.dmqcache("d1")
    for table in OUTCOMES:
        node.set_many(table, ((f"k{number}", "v") for number in range(KEYS)))
        for other in cluster.others("d1").values():
            other.wait_count(table, KEYS, 5)
    written = time.monotonic()
    wait_until(lambda: time.monotonic() > written + SETTLED_S, SETTLED_S + 5, "half a minute passes")
    _compare(cluster)
    for kamailio in _kamailios(cluster):
        for table in OUTCOMES:
            kamailio.rpc("htable.flush", table)
            assert kamailio.count(table) == 0
    cluster.wait_all(lambda other: other.count("follow"), 0, ROUTINE_S)
    cluster.wait_all(lambda other: other.count("refill"), KEYS, ROUTINE_S)
    for name in ("d1", "d2"):
        assert cluster[name].count("leave") == KEYS
    for kamailio in _kamailios(cluster):
        assert kamailio.count("leave") == 0
    words = f"{KEYS} of {KEYS} cells were removed on"
    logs = "".join(cluster.dmqcache(name).daemon.log.read_text("utf-8", "replace") for name in ("d1", "d2"))
    assert f"table leave: {words}" in logs and f"table follow: {words}" in logs
    assert f"lacks {KEYS} of {KEYS} cells" in logs
    # What is written after it is there as ever, and what is gone stays gone.
    node.set_str("leave", "k0", "new")
    cluster.wait_value("leave", "k0", "new")
    _compare(cluster)
    for kamailio in _kamailios(cluster):
        assert kamailio.count("leave") == 1


def test_a_table_is_emptied_on_all_nodes_by_one_flushdb(cluster: Cluster) -> None:
    node = cluster.dmqcache("d2")
    node.set_str("refill", "more", "v")
    cluster.wait_value("refill", "more", "v")
    node.call("refill", "FLUSHDB")
    cluster.wait_all(lambda other: other.count("refill"), 0, 5)
    cluster["k1"].set_str("refill", "after", "v")
    cluster.wait_value("refill", "after", "v")
    _compare(cluster)
    cluster.wait_value("refill", "after", "v")
