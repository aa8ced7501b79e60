"""A bus with a key beside real Kamailio nodes: the header disturbs none, and they are nodes as ever."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmqcache.bus.trust.keys import KEY_BYTES, write_key
from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.lineups import LINEUPS

pytestmark = [pytest.mark.interop, pytest.mark.parametrize("lineup", LINEUPS, scope="module")]

NET = "127.0.38."


@pytest.fixture(scope="module")
def cluster(lineup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    key = tmp_path_factory.mktemp("key") / "bus.key"
    key.touch(0o600)
    key.write_text(write_key(b"k" * KEY_BYTES))
    options = ["--bus-key-file", str(key), "--kamailio", f"{NET}0/24"]
    with Cluster(NET, lineup=lineup, dmqcache_options=options) as cluster:
        yield cluster.join()


@pytest.mark.parametrize("writer", ["k1", "d1"])
def test_changes(cluster: Cluster, writer: str) -> None:
    cluster.see_written(writer)
    cluster[writer].delete("users", f"{writer} string")
    cluster.wait_value("users", f"{writer} string", None)


def test_each_is_what_it_is_and_nothing_is_dropped(cluster: Cluster) -> None:
    for name in ("d1", "d2"):
        node = cluster.dmqcache(name)
        rows = {row["uri"]: row["key"] for row in json.loads(node.call("users", "DMQ.NODES"))}
        for other in cluster.running:
            expected = "yes" if other.startswith("d") else "kamailio"
            assert rows[cluster[other].uri] == expected
        for reason in ("unsigned", "bad_signature", "unknown_key", "replayed"):
            assert node.metric("dmqcache_drops_total", reason=reason) == 0


def test_a_kamailio_that_starts_anew_is_a_node_again(cluster: Cluster) -> None:
    cluster["d1"].set("users", "before", "1")
    cluster.wait_value("users", "before", "1")
    cluster["k1"].kill()
    cluster["d2"].set("users", "meanwhile", "1")
    cluster["k1"].restart()
    cluster.wait_joined(15)
    cluster.wait_value("users", "meanwhile", "1", 15)
    cluster.wait_value("users", "before", "1", 15)


def test_a_dmqcache_node_that_starts_anew_holds_all_again(cluster: Cluster, tmp_path: Path) -> None:
    cells = cluster.wait_equal("users", 15)
    cluster["d2"].kill()
    cluster["d2"].restart()
    cluster.wait_joined(15)
    wait_until(lambda: cluster["d2"].dump("users") == cells, 30, "all cells again")
