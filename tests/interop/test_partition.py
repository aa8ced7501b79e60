"""Three dmqcache and some Kamailio nodes under 10% loss, cut in two for a minute, healed: all are equal.

Kamailio alone never mends this: each key that was touched stays different for good. Here the dmqcache nodes
bring the Kamailio nodes back too. Each phase writes from both kinds on both sides.
"""

import os
import time
from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.kamailio import Value
from tests.interop.lineups import LINEUPS, all_releases
from tests.interop.netns import Network

pytestmark = [pytest.mark.interop, all_releases]

LOSS = 0.10
PARTITION_S = float(os.environ.get("DMQC_PARTITION_S", "50"))
"""Kamailio goes on sending what was written for 30 s: what an early phase writes has timed out at the
healing, what a late phase writes arrives late. So less than 45 s makes no sense."""

DMQCACHE_EQUAL_S = 15.0
ALL_EQUAL_S = 25.0
"""3 s and 10 s are usual; a machine may stand still for some. What it took is printed."""
REPEATED_S = 33.0
LATE_EQUAL_S = 75.0
"""What Kamailio nodes wrote in the last seconds they tell each other again and again for half a minute, each
copy as if it were new, so what is equal for a moment need not stay so. Nobody else hears of it; all are
compared with once that is over."""

TIMES_EQUAL_S = 30.0
"""A Kamailio is told a time when it has acknowledged the value, and each message may be lost some times."""

HERE, THERE = ("d1", "k1"), ("d2", "d3", "k2")
BULK = 50
LATE = "late conflict"


def _there(lineup: str) -> tuple[str, ...]:
    """The other side: with each release in the mixed line-up."""
    return (*THERE, *LINEUPS[lineup].kamailios[2:])


@pytest.fixture(scope="module")
def network(lineup: str) -> Iterator[Network]:
    with Network([*HERE, *_there(lineup)], tag="part", number=78) as network:
        yield network


@pytest.fixture(scope="module")
def cluster(lineup: str, network: Network) -> Iterator[Cluster]:
    network.set_loss(LOSS)
    names = ("d1", "k1", "d2", "k2", "d3", *_there(lineup)[3:])
    with Cluster("", names, network=network, lineup=lineup) as cluster:
        yield cluster.join(timeout=30)


def _pairs(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Every pair of writers on different sides, in both orders."""
    for one in HERE:
        for other in cluster.names:
            if other not in HERE:
                yield one, other
                yield other, one


def _prepare(cluster: Cluster) -> None:
    """What all nodes know before the cut."""
    for first, second in _pairs(cluster):
        for what in ("set-set", "delete-set", "set-delete"):
            cluster["d1"].set_str("users", f"{what} {first} {second}", "before")
    for writer in cluster.names:
        for what in ("delete", "ttl gone", "ttl long", "untouched", "prefix", "regex"):
            cluster[writer].set_str("users", f"{what} {writer}", "before")
    for _ in range(10):
        cluster["d1"].incr("calls", "counter")
    cluster.wait_equal("users", 20)
    cluster.wait_equal("calls", 20)


def _first_writes(cluster: Cluster) -> None:
    """Early in the partition: the earlier half of each conflict, and what only one side touches."""
    for first, second in _pairs(cluster):
        cluster[first].set_str("users", f"set-set {first} {second}", f"first by {first}")
        cluster[first].delete("users", f"delete-set {first} {second}")
        cluster[first].set_str("users", f"set-delete {first} {second}", f"first by {first}")
    for writer in cluster.names:
        node = cluster[writer]
        node.delete("users", f"delete {writer}")
        node.set_str("users", f"ttl gone {writer}", "gone soon", ttl=5)
        node.expire("users", f"ttl long {writer}", 600)
        node.remove_name_prefix("users", f"prefix {writer}")
        node.remove_name_regex("users", f"^regex {writer}$")
        for number in range(BULK):
            node.set_str("users", f"new {writer} {number}", f"by {writer}")
    for _ in range(3):
        cluster["d1"].incr("calls", "counter")


def _second_writes(cluster: Cluster) -> None:
    """Seconds later, so that every clock agrees which came last: the later half of each conflict."""
    for first, second in _pairs(cluster):
        cluster[second].set_str("users", f"set-set {first} {second}", f"second by {second}")
        cluster[second].set_str("users", f"delete-set {first} {second}", f"second by {second}")
        cluster[second].delete("users", f"set-delete {first} {second}")
    for _ in range(4):
        cluster["d2"].incr("calls", "counter")


def _late_writes(cluster: Cluster) -> None:
    """Shortly before the healing: Kamailio is still sending these when the packets pass again."""
    for writer in cluster.names:
        cluster[writer].set_str("users", LATE, f"late by {writer}")
        cluster[writer].set_str("users", f"late new {writer}", "late")
        cluster[writer].delete("users", f"new {writer} 0")


def _expected(cluster: Cluster) -> dict[str, Value]:
    """What every node must hold, but for the late conflict."""
    table: dict[str, Value] = {}
    for first, second in _pairs(cluster):
        table[f"set-set {first} {second}"] = f"second by {second}"
        table[f"delete-set {first} {second}"] = f"second by {second}"
    for writer in cluster.names:
        table[f"ttl long {writer}"] = "before"
        table[f"untouched {writer}"] = "before"
        table[f"late new {writer}"] = "late"
        table |= {f"new {writer} {number}": f"by {writer}" for number in range(1, BULK)}
    return table


def _unexpected(table: dict[str, Value], expected: dict[str, Value]) -> dict[str, tuple[object, object]]:
    """What the nodes hold otherwise than expected, and what was expected (None: nothing)."""
    keys = {*table, *expected} - {LATE}
    return {key: (table.get(key), expected.get(key)) for key in keys if table.get(key) != expected.get(key)}


def test_all_are_equal_after_a_partition(cluster: Cluster, network: Network, lineup: str) -> None:
    _prepare(cluster)
    with network.partition(HERE, _there(lineup)):
        cut_at = time.monotonic()
        _first_writes(cluster)
        time.sleep(2.0)
        _second_writes(cluster)
        time.sleep(max(0.0, cut_at + PARTITION_S - 3.0 - time.monotonic()))
        _late_writes(cluster)
        assert cluster["d1"].nodes()[cluster["d2"].uri] != "active"
        assert cluster["d1"].dump("users") != cluster["d2"].dump("users")
        time.sleep(max(0.0, cut_at + PARTITION_S - time.monotonic()))
    healed_at = time.monotonic()

    def left(limit: float) -> float:
        return healed_at + limit - time.monotonic()

    dmqcache = [name for name in cluster.names if name.startswith("d")]
    for name in ("users", "calls"):
        cluster.wait_equal(name, left(DMQCACHE_EQUAL_S), dmqcache)
    print(f"dmqcache nodes: equal {time.monotonic() - healed_at:.1f} s after the partition")
    cluster.wait_equal("calls", left(ALL_EQUAL_S))
    table = cluster.wait_equal("users", left(ALL_EQUAL_S), but=LATE)
    print(f"all nodes: equal {time.monotonic() - healed_at:.1f} s after the partition")
    assert _unexpected(table, _expected(cluster)) == {}, cluster.diagnosis()
    assert cluster["k1"].dump("calls") == {"counter": 17}
    # For a moment it has the table's own time.
    wait_until(
        lambda: not _wrong_times(cluster, cut_at),
        left(TIMES_EQUAL_S),
        lambda: f"all times to live are right: (node, writer, seconds) {_wrong_times(cluster, cut_at)}",
    )
    wait_until(lambda: left(REPEATED_S) < 0, REPEATED_S, "no copy is repeated any more")
    late = cluster.wait_equal("users", left(LATE_EQUAL_S))[LATE]
    assert isinstance(late, str) and late.startswith("late by ")


def _wrong_times(cluster: Cluster, cut_at: float) -> list[tuple[str, str, float]]:
    found = []
    for name, node in cluster.running.items():
        for writer in cluster.names:
            seconds = node.ttl("users", f"ttl long {writer}") or 0
            if abs(seconds - (600 - (time.monotonic() - cut_at))) >= 10:
                found.append((name, writer, seconds))
    return found


def test_it_stays_equal_and_goes_on(cluster: Cluster) -> None:
    """Nothing stale comes back when every retransmission has ended, and new writes reach all."""
    for writer in cluster.names:
        cluster[writer].set_str("users", f"afterwards {writer}", "x")
    before = cluster.wait_equal("users", ALL_EQUAL_S)
    quiet_at = time.monotonic() + 5.0
    wait_until(lambda: time.monotonic() > quiet_at, 10, "some seconds pass")
    assert cluster.wait_equal("users", ALL_EQUAL_S) == before
    assert {f"afterwards {writer}" for writer in cluster.names} <= set(before)
