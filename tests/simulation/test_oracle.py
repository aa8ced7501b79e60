"""What the judge excuses where a delete need not be remembered any more, and what it does not."""

from __future__ import annotations

import pytest

from tests.simulation.cluster import Cluster
from tests.simulation.history import NOTHING
from tests.simulation.oracle import Oracle, Place
from tests.simulation.rules import Rules
from tests.simulation.runtime import World
from tests.store_options import store_options

PLACE: Place = ("t", "k1")
LIFE_S = 20.0


@pytest.mark.parametrize(("kamailios", "newer"), [(True, 2), (True, 1), (False, 2)])
def test_what_a_kamailio_gives_back_of_a_forgotten_delete_has_no_time_any_more(
    kamailios: bool, newer: int
) -> None:
    cluster = Cluster(World(1), ("dmqcache",), ("t",), store_options())
    oracle = Oracle(cluster.machines, Rules(tombstone_limit=2, kamailios=kamailios))
    cluster.start()
    (node,) = cluster.machines
    table = node.store.tables["t"]
    oracle.of(PLACE)
    table.set(PLACE[1], "old")
    oracle.wrote(node, PLACE, ("old",), NOTHING, LIFE_S)
    known = oracle.look(node, PLACE)
    table.delete(PLACE[1])
    oracle.wrote(node, PLACE, (None,), known)
    for number in range(newer):
        oracle.graves.add("t", f"other{number}", node.now())
    # A Kamailio that keeps no times shows it, before its time would have been over.
    cluster.run(1)
    table.set(PLACE[1], "old")
    oracle.look(node, PLACE)
    cluster.run(LIFE_S * 2)
    oracle.look(node, PLACE, anew=True)
    excused = kamailios and newer == 2
    assert (oracle.problems == []) == excused
    assert (None in oracle.loosened(PLACE, (oracle.of(PLACE).writes[-1],))) == (newer == 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("heard", [False, True])
def test_what_no_process_knows_any_more_may_be_given_up_for_what_one_knows_better(heard: bool) -> None:
    cluster = Cluster(World(1), ("dmqcache",) * 2, ("t",), store_options())
    oracle = Oracle(cluster.machines, Rules(kamailios=True))
    cluster.start()
    cluster.run_until(lambda: all(machine.store.ready for machine in cluster.machines), 60)
    one, other = cluster.machines
    oracle.of(PLACE)
    other.store.tables["t"].set(PLACE[1], "older")
    oracle.wrote(other, PLACE, ("older",), NOTHING)
    cluster.run(1)
    if not heard:
        cluster.partition([0], [1])
    known = oracle.look(one, PLACE)
    one.store.tables["t"].set(PLACE[1], "newer")
    oracle.wrote(one, PLACE, ("newer",), known)
    cluster.run(1)
    oracle.ends(one)
    oracle.lost(one, [other])
    newer = oracle.of(PLACE).writes[-1]  # type: ignore[union-attr]
    assert (None in oracle.loosened(PLACE, (newer,))) != heard


@pytest.mark.parametrize("heard", [False, True])
def test_a_time_of_which_only_an_ended_process_knew_may_be_gone_with_it(heard: bool) -> None:
    cluster = Cluster(World(1), ("dmqcache",) * 2, ("t",), store_options())
    oracle = Oracle(cluster.machines, Rules(slack=2 * LIFE_S, kamailios=True))
    cluster.start()
    cluster.run_until(lambda: all(machine.store.ready for machine in cluster.machines), 60)
    one, other = cluster.machines
    oracle.of(PLACE)
    if not heard:
        cluster.partition([0], [1])
    one.store.tables["t"].set(PLACE[1], "timed", LIFE_S)
    oracle.wrote(one, PLACE, ("timed",), NOTHING, LIFE_S)
    cluster.run(1)
    oracle.ends(one)
    oracle.lost(one, [other])
    # A Kamailio that keeps no times shows it.
    other.store.tables["t"].delete(PLACE[1])
    oracle.look(other, PLACE)
    other.store.tables["t"].set(PLACE[1], "timed")
    oracle.look(other, PLACE)
    cluster.run(4 * LIFE_S)
    oracle.look(other, PLACE, anew=True)
    assert (oracle.problems == []) != heard


@pytest.mark.parametrize("told", [False, True])
def test_a_time_that_only_a_process_knew_that_has_ended_may_be_unknown_to_who_has_the_value(
    told: bool,
) -> None:
    """It has it from a Kamailio that keeps no times."""
    cluster = Cluster(World(1), ("dmqcache",) * 2, ("t",), store_options())
    oracle = Oracle(cluster.machines, Rules(kamailios=True))
    cluster.start()
    cluster.run_until(lambda: all(machine.store.ready for machine in cluster.machines), 60)
    one, other = cluster.machines
    cluster.partition([0], [1])
    oracle.of(PLACE)
    one.store.tables["t"].set(PLACE[1], "x", LIFE_S)
    oracle.wrote(one, PLACE, ("x",), NOTHING, LIFE_S)
    table = other.store.tables["t"]
    table.set(PLACE[1], "x", LIFE_S if told else None)
    oracle.look(other, PLACE)
    oracle.ends(one)
    oracle.lost(one, [other])
    if told:
        # Whatever it has made of that later.
        table.set(PLACE[1], "x")
    cluster.run(LIFE_S * 2)
    oracle.look(other, PLACE, anew=True)
    assert (oracle.problems == []) != told


@pytest.mark.parametrize("dies", ["before it is told to leave", "meanwhile", "not"])
def test_what_a_leaving_node_knew_of_one_that_dies_meanwhile_may_be_gone_with_both(dies: str) -> None:
    cluster = Cluster(World(1), ("dmqcache",) * 3, ("t",), store_options())
    oracle = Oracle(cluster.machines, Rules())
    cluster.start()
    cluster.run_until(lambda: all(machine.store.ready for machine in cluster.machines), 60)
    leaves, other, stays = cluster.machines
    # Only those two hear of what the one writes.
    cluster.partition([0, 1], [2])
    known = oracle.look(other, PLACE) if PLACE in oracle.places else NOTHING
    oracle.of(PLACE)
    other.store.tables["t"].set(PLACE[1], "its own")
    oracle.wrote(other, PLACE, ("its own",), known)
    cluster.run(1)
    if dies == "before it is told to leave":
        oracle.ends(other)
        oracle.lost(other, [leaves, stays])
        cluster.run(0.1)
    leaves.leaves_at = leaves.now()
    if dies == "meanwhile":
        oracle.ends(other)
        oracle.lost(other, [leaves, stays])
    oracle.ends(leaves)
    oracle.left(leaves)
    assert (oracle.judge_the_end([stays]) == []) is (dies == "meanwhile")
