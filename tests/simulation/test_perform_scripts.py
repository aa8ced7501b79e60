"""What scripts of Kamailio nodes do, and which of it is judged."""

from __future__ import annotations

from tests.simulation.checks import disagreement
from tests.simulation.cluster import Cluster
from tests.simulation.oracle import Oracle
from tests.simulation.perform_scripts import Scripts
from tests.simulation.rules import Rules
from tests.simulation.runtime import World
from tests.store_options import store_options


def two_kamailios_and_a_node() -> tuple[Cluster, Scripts]:
    """They know one another."""
    kinds = ("kamailio5", "kamailio5", "dmqcache")
    cluster = Cluster(World(1), kinds, ("plain",), store_options(), seeds=3)
    scripts = Scripts(cluster, Oracle(cluster.machines, Rules(kamailios=True)))
    cluster.start()
    first, second, node = cluster.machines
    everybody = {machine.uri for machine in cluster.machines}
    cluster.run_until(
        lambda: (
            node.store.ready
            and first.kamailio.active() == everybody - {first.uri}
            and second.kamailio.active() == everybody - {second.uri}
        ),
        120,
    )
    return cluster, scripts


def test_a_careful_change_is_judged_where_a_ready_dmqcache_node_hears_it() -> None:
    cluster, scripts = two_kamailios_and_a_node()
    scripts.k_careful(0, "x")
    cluster.run(2)
    assert scripts.problems() == []
    cluster.machines[2].store.tables["plain"].set("z0", "something else")
    assert len(scripts.problems()) == 1


def test_a_careful_change_of_which_no_dmqcache_node_could_hear_is_not_judged() -> None:
    cluster, scripts = two_kamailios_and_a_node()
    scripts.k_careful(0, "x")
    cluster.run(2)
    cluster.partition([0], [1, 2])
    scripts.k_careful(0, None)
    assert cluster.machines[2].peek("plain", "z0") == "x"
    assert scripts.problems() == []


def test_what_is_removed_unheard_may_be_lacking_there_and_what_is_heard_may_not() -> None:
    cluster, scripts = two_kamailios_and_a_node()
    for key in ("a", "b1", "c"):
        scripts.k_set(0, "plain", key, "x", None)
    cluster.run(2)
    assert disagreement(cluster, forgotten=False, slack=2.0) == []
    scripts.k_delete(0, "plain", "c")
    cluster.run(2)
    assert scripts.unheard == set()
    cluster.partition([0], [1, 2])
    scripts.k_delete(0, "plain", "a")
    scripts.k_remove(0, "plain", "^b")
    assert scripts.unheard == {("plain", "a"), ("plain", "b1")}
    assert len(disagreement(cluster, forgotten=False, slack=2.0)) == 2
    assert disagreement(cluster, forgotten=False, slack=2.0, removed=scripts.unheard) == []
