"""A node that comes up gets the whole table: 50,000 cells, from a Kamailio and from a dmqcache."""

import pytest

from tests.interop.cluster import Cluster
from tests.interop.kamailio import Value
from tests.interop.lineups import LINEUPS, ONE, each_lineup
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

CELLS = 50_000
SYNC_TIMEOUT_S = 60.0
SPECIAL: dict[str, Value] = {
    "utf8 é": "Grüße, 你好",
    "raw \udcff": "\udcff\udc80",
    'quotes "': '"\\',
    "number": -17,
    "digits": "17",
    "empty": "",
    "lines": "a\r\nb\n",
}
TIMED = {"timed 500": 500, "timed 2000": 2000}


def _fill(cluster: Cluster, name: str) -> None:
    node = cluster[name]
    for key, value in SPECIAL.items():
        node.set("users", key, value)
    for key, ttl in TIMED.items():
        node.set_str("users", key, "x", ttl=ttl)
    if name.startswith("k"):
        cluster.kamailio(name).fast_sets(CELLS)
    else:
        cluster.dmqcache(name).set_many("users", ((f"k{i}", f"v{i}") for i in range(CELLS)))


FROM_AND_TO_A_KAMAILIO = [(line, *pair) for line in RELEASES for pair in (("k1", "d1"), ("d1", "k1"))]


@pytest.mark.parametrize(("lineup", "donor", "joiner"), [*FROM_AND_TO_A_KAMAILIO, (ONE, "d1", "d2")])
def test_complete(lineup: str, donor: str, joiner: str) -> None:
    with Cluster("127.0.32.", (donor, joiner), seeding="first", lineup=lineup) as cluster:
        cluster.start(donor)
        _fill(cluster, donor)
        cluster.start(joiner)
        if joiner.startswith("d"):
            cluster.dmqcache(joiner).wait_ready(SYNC_TIMEOUT_S)
        cluster[joiner].wait_count("users", CELLS + len(SPECIAL) + len(TIMED), SYNC_TIMEOUT_S)
        assert cluster[joiner].dump("users") == cluster[donor].dump("users")
        for key, value in SPECIAL.items():
            got = cluster[joiner].get("users", key)
            assert got == value and type(got) is type(value)
        for key, ttl in TIMED.items():
            assert ttl - 60 <= (cluster[joiner].ttl("users", key) or 0) <= ttl
        assert (cluster[joiner].ttl("users", "k7") or 0) > 3400


@each_lineup
def test_ready_means_complete(lineup: str) -> None:
    """/readyz does not answer 200 before the cells of the donors, all Kamailio, are there."""
    donors = LINEUPS[lineup].kamailios
    with Cluster("127.0.32.", (*donors, "d1"), seeding="first", lineup=lineup, shm_mb=1024) as cluster:
        cluster.start(*donors)
        cluster.wait_known()
        cluster.kamailio("k1").fast_sets(CELLS)
        for donor in donors:
            cluster[donor].wait_count("users", CELLS, SYNC_TIMEOUT_S)
        joiner = cluster.dmqcache("d1")
        joiner.start(wait=False)
        joiner.wait_ready(SYNC_TIMEOUT_S)
        assert joiner.count("users") == CELLS


def test_writes_during_the_sync_are_kept() -> None:
    kamailios = LINEUPS["mixed"].kamailios
    with Cluster("127.0.32.", ("d1", *kamailios, "d2"), seeding="first", lineup="mixed") as cluster:
        cluster.join("d1", *kamailios)
        _fill(cluster, "d1")
        for name in kamailios:
            cluster[name].wait_count("users", CELLS + len(SPECIAL) + len(TIMED), SYNC_TIMEOUT_S)
        cluster.dmqcache("d2").start(wait=False)
        for number in range(200):
            cluster["k1" if number % 2 else "d1"].set_str("users", f"k{number}", f"during {number}")
        cluster.dmqcache("d2").wait_ready(SYNC_TIMEOUT_S)
        table = cluster.wait_equal("users", 20)
        assert [table[f"k{number}"] for number in range(200)] == [f"during {n}" for n in range(200)]
