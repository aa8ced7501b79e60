"""Nodes of either kind are killed, come back, and leave; the others go on, and what came back has all."""

import signal
from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.lineups import LINEUPS, each_lineup

pytestmark = pytest.mark.interop

BACK_TIMEOUT_S = 30.0
NOTICE_TIMEOUT_S = 20.0
"""A dmqcache node notices a dead one within 5 s in a cluster this small."""


@pytest.fixture(scope="module")
def cluster(lineup: str) -> Iterator[Cluster]:
    with Cluster("127.0.33.", lineup=lineup) as cluster:
        yield cluster.join()


@each_lineup
@pytest.mark.parametrize("name", ["d1", "k2"])
@pytest.mark.parametrize("pause", ["at once", "after being noticed"])
def test_killed_and_restarted(cluster: Cluster, name: str, pause: str) -> None:
    tag = f"{name} {pause}"
    for writer in cluster.running:
        cluster[writer].set_str("users", f"before {tag} {writer}", writer)
    cluster.wait_equal("users", 20)
    lost = cluster[name]
    lost.kill()
    survivors = [other for other in cluster.running if other.startswith("d")]
    if pause == "after being noticed":
        for other in survivors:
            node = cluster[other]
            wait_until(
                lambda node=node: node.nodes().get(lost.uri) != "active",  # type: ignore[misc]
                NOTICE_TIMEOUT_S,
                lambda node=node: f"{node.uri} notices that {lost.uri} is dead: {node.nodes()}",  # type: ignore[misc]
            )
    for writer in cluster.running:
        cluster[writer].set_str("users", f"meanwhile {tag} {writer}", writer)
        cluster[writer].delete("users", f"before {tag} {writer}")
    cluster.wait_equal("users", 20)
    lost.restart()
    cluster.wait_joined(BACK_TIMEOUT_S)
    cluster.wait_equal("users", BACK_TIMEOUT_S)
    for writer in cluster.running:
        cluster[writer].set_str("users", f"after {tag} {writer}", writer)
    table = cluster.wait_equal("users", 20)
    assert {f"after {tag} {writer}" for writer in cluster.running} <= set(table)
    assert {f"before {tag} {name}"} == {key for key in table if key.startswith(f"before {tag}")}


@each_lineup
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_graceful_leave(sig: signal.Signals, lineup: str) -> None:
    """The others stop sending to a node that leaves at once, and a Kamailio shows it as disabled."""
    names = (*LINEUPS[lineup].kamailios, "d1", "d2")
    with Cluster("127.0.34.", names, lineup=lineup) as cluster:
        cluster.join()
        leaving = cluster.dmqcache("d2")
        leaving.set_str("users", "last words", "x")
        assert leaving.stop(sig) == 0, leaving.diagnosis()
        for name in LINEUPS[lineup].kamailios:
            wait_until(
                lambda k=name: cluster[k].nodes()[leaving.uri] == "disabled", 15, f"disabled on {name}"
            )  # type: ignore[misc]
        # One that was found dead would be in "timeout".
        wait_until(
            lambda: cluster["d1"].nodes().get(leaving.uri) in (None, "disabled"),
            15,
            "left for the dmqcache node",
        )
        cluster.wait_value("users", "last words", "x")
        cluster["k1"].set_str("users", "after", "the leave")
        cluster.wait_value("users", "after", "the leave")


def test_ready_means_complete_at_each_return() -> None:
    """A node that returns soon after another return gets what was written between the two as well."""
    with Cluster("127.0.34.", ("d1", "d2")) as cluster:
        cluster.join()
        stays, returns = cluster.dmqcache("d1"), cluster.dmqcache("d2")
        for turn, total in enumerate((100, 2000, 4000)):
            stays.set_many("users", ((f"k{number}", f"turn {turn}") for number in range(total)))
            returns.wait_count("users", total, 20)
            returns.kill()
            returns.start(wait=False)
            returns.wait_ready(BACK_TIMEOUT_S)
            assert returns.count("users") == total
            assert set(returns.dump("users").values()) == {f"turn {turn}"}
