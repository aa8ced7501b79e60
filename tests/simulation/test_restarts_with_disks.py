"""Clusters whose nodes keep their tables on disk: killed, stopped, started in any order, on virtual time."""

from __future__ import annotations

import random

import pytest

from dmqcache.store.table.cell import Cell
from tests.disk.shelf import Shelf
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.runtime import World

NODES = 3


def cluster_of(seed: int, kinds: int = NODES, **options: object) -> Cluster:
    cluster = Cluster(World(seed), ["dmqcache"] * kinds, ["t", "timed=>autoexpire=1000"])
    for machine in cluster.machines:
        machine.shelf = Shelf()
    cluster.start()
    cluster.run_until(lambda: all_ready(cluster), 60)
    return cluster


def all_ready(cluster: Cluster) -> bool:
    return all(machine.up and machine.store.ready for machine in cluster.machines)


def agree(cluster: Cluster) -> bool:
    """All nodes are ready and hold the same."""
    if not all_ready(cluster):
        return False
    tables = [{name: table.digest.leaves for name, table in m.store.tables.items()} for m in cluster.machines]
    return all(one == tables[0] for one in tables)


def settled(cluster: Cluster) -> None:
    """Wait until all agree and the disks have it."""
    cluster.run_until(lambda: agree(cluster), 120)
    cluster.run(2.5)


def stop(cluster: Cluster, *machines: Machine) -> None:
    """SIGTERM to each, one after the other."""
    for machine in machines:
        machine.leave()
        cluster.run_until(lambda machine=machine: not machine.up, 30)  # type: ignore[misc]


def fill(cluster: Cluster, rng: random.Random) -> tuple[dict[str, object], int]:
    """Writes at random nodes; returns what must be there, and the sum of a counter."""
    expected: dict[str, object] = {}
    total = 0
    for number in range(400):
        table = rng.choice(cluster.machines).store.tables["t"]
        key = f"k{rng.randrange(60)}"
        if rng.random() < 0.3:
            if table.delete(key):
                expected.pop(key, None)
        else:
            table.set(key, number)
            expected[key] = number
        by = rng.randint(-5, 9)
        rng.choice(cluster.machines).store.tables["t"].incr("count", by)
        total += by
        cluster.run(0.05)
    return expected, total


def held(machine: Machine) -> dict[str, object]:
    found = dict(machine.store.tables["t"].items())
    found.pop("count", None)
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("killed", [False, True])
def test_all_nodes_stop_and_start_in_any_order_and_nothing_is_lost(seed: int, killed: bool) -> None:
    cluster, rng = cluster_of(seed), random.Random(seed)
    expected, total = fill(cluster, rng)
    settled(cluster)
    assert held(cluster.machines[0]) == expected
    order = rng.sample(cluster.machines, NODES)
    for machine in order:
        if killed:
            machine.crash()
        else:
            stop(cluster, machine)
        cluster.run(rng.choice([0.1, 30.0]))
    cluster.run(rng.choice([1.0, 5_000.0, 200_000.0]))
    for machine in rng.sample(cluster.machines, NODES):
        machine.start()
        assert held(machine) == expected, "it serves what it had from the first moment on"
        cluster.run(rng.choice([0.0, 3.0, 30.0]))
    settled(cluster)
    for machine in cluster.machines:
        assert held(machine) == expected
        assert machine.store.tables["t"].get("count") == total
    cluster.machines[0].store.tables["t"].incr("count", 1)
    settled(cluster)
    assert {machine.store.tables["t"].get("count") for machine in cluster.machines} == {total + 1}


def test_after_a_short_absence_only_differences_travel() -> None:
    cluster = cluster_of(1, 2)
    one, two = cluster.machines
    for number in range(5_000):
        one.store.tables["t"].set(f"k{number}", number)
    settled(cluster)
    stop(cluster, two)
    for number in range(20):
        one.store.tables["t"].set(f"new{number}", number)
    one.store.tables["t"].delete("k7")
    two.start()
    settled(cluster)
    assert "k7" not in two.store.tables["t"]
    assert len(two.store.tables["t"]) == 5_019
    arrived = two.store.counters.repair_cells["in"] + two.store.counters.sync_cells["in"]
    assert arrived < 100
    assert one.store.counters.repair_cells["in"] < 100


def test_deletes_stay_deleted_though_they_are_forgotten_everywhere_when_the_node_comes_back() -> None:
    cluster = cluster_of(2)
    one, two, three = cluster.machines
    for number in range(100):
        one.store.tables["t"].set(f"k{number}", number)
    settled(cluster)
    stop(cluster, three)
    for number in range(50):
        two.store.tables["t"].delete(f"k{number}")
    cluster.run(3_000)
    assert not one.store.tables["t"].tombstones
    two.store.tables["t"].set("new", "x")
    three.start()
    assert len(three.store.tables["t"]) == 100
    settled(cluster)
    for machine in cluster.machines:
        assert len(machine.store.tables["t"]) == 51
        assert "k7" not in machine.store.tables["t"]


def test_the_node_that_stopped_long_before_the_others_and_starts_first_brings_nothing_back() -> None:
    cluster = cluster_of(3, 2)
    one, two = cluster.machines
    one.store.tables["t"].set("stays", "x")
    one.store.tables["t"].set("goes", "x")
    settled(cluster)
    stop(cluster, one)
    two.store.tables["t"].delete("goes")
    cluster.run(3_000)
    stop(cluster, two)
    cluster.run(100)
    one.start()
    cluster.run_until(lambda: one.store.ready, 60)
    assert "goes" in one.store.tables["t"]
    one.store.tables["t"].set("written alone", "x")
    two.start()
    settled(cluster)
    for machine in cluster.machines:
        assert sorted(machine.store.tables["t"]) == ["stays", "written alone"]


def test_nothing_lives_longer_for_having_been_on_disk() -> None:
    cluster = cluster_of(4)
    one, _, three = cluster.machines
    one.store.tables["timed"].set("a", "x")
    ends = cluster.world.now + 1_000
    settled(cluster)
    stop(cluster, *cluster.machines)
    three.skew_ms = -7_200_000
    cluster.run(500)
    for machine in cluster.machines:
        machine.start()
    settled(cluster)
    left = one.store.tables["timed"].ttl("a")
    assert left is not None
    assert cluster.world.now + left <= ends
    cluster.run_until(lambda: all("a" not in m.store.tables["timed"] for m in cluster.machines), 600)
    # The node whose clock was set back by hours hears of it by the next repairs.
    assert cluster.world.now <= ends + 15


def test_a_node_that_comes_back_from_its_disk_counts_for_wait_when_it_was_compared() -> None:
    cluster = cluster_of(5, 2)
    one, two = cluster.machines
    one.store.tables["t"].set("a", "x")
    settled(cluster)
    two.crash()
    two.start()
    number = one.store.outboxes.latest_number()
    cluster.run_until(lambda: one.store.waiters.acknowledged(number) == 1, 60)
    assert two.store.tables["t"].get("a") == "x"
    # And one that comes back with an empty disk has been given everything by then.
    two.crash()
    two.shelf = Shelf()
    two.start()
    assert two.store.tables["t"].get("a") is None
    seen: list[Cell | None] = []

    def acknowledged() -> bool:
        done = one.store.waiters.acknowledged(number) == 1 and len(two.store.tables["t"]) > 0
        if done:
            seen.append(two.store.tables["t"].live_cell("a"))
        return done

    cluster.run_until(acknowledged, 60)
    assert seen[-1] is not None


def test_what_a_kamailio_wrote_while_all_of_us_were_off_counts() -> None:
    cluster = Cluster(World(6), ["dmqcache", "dmqcache", "kamailio5"], ["t"])
    one, two, kamailio = cluster.machines
    for machine in (one, two):
        machine.shelf = Shelf()
    cluster.start()
    cluster.run_until(lambda: one.store.ready and two.store.ready, 60)
    cluster.run(20)
    one.store.tables["t"].set("a", "old")
    one.store.tables["t"].set("b", "old")
    cluster.run_until(lambda: kamailio.peek("t", "a") == "old", 60)
    cluster.run(5)
    stop(cluster, one, two)
    kamailio.kamailio.htable.set("t", "a", "new")
    cluster.run(60)
    one.start()
    two.start()
    cluster.run_until(lambda: one.peek("t", "a") == two.peek("t", "a") == "new", 600)
    assert one.peek("t", "b") == two.peek("t", "b") == kamailio.peek("t", "b") == "old"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("noticed", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_what_a_kamailio_had_not_heard_when_all_of_us_stopped_is_not_undone_by_it(
    killed: bool, noticed: bool, again: bool
) -> None:
    cluster = Cluster(World(7), ["dmqcache", "dmqcache", "kamailio5"], ["t", "emptied"])
    one, two, kamailio = cluster.machines
    for machine in (one, two):
        machine.shelf = Shelf()
    cluster.start()
    cluster.run_until(lambda: one.store.ready and two.store.ready, 60)
    cluster.run(20)
    for key in ("deleted", "changed"):
        one.store.tables["t"].set(key, "old")
    one.store.tables["emptied"].set("a", "old")
    cluster.run_until(lambda: kamailio.peek("emptied", "a") == kamailio.peek("t", "changed") == "old", 60)
    cluster.run(5)
    cluster.partition([0, 1], [2])
    one.store.tables["t"].delete("deleted")
    one.store.tables["t"].set("changed", "new")
    one.store.tables["emptied"].flush()
    # The disks have all of that, and seconds more.
    cluster.run(30 if noticed else 3)
    if killed:
        one.crash()
        two.crash()
    else:
        stop(cluster, one, two)
    cluster.run(60)
    if again:
        # A life in which they do not meet it.
        one.start()
        two.start()
        cluster.run(30)
        one.crash()
        two.crash()
        cluster.run(10)
    cluster.heal()
    one.start()
    two.start()
    cluster.run_until(lambda: kamailio.peek("t", "changed") == "new", 600)
    cluster.run_until(lambda: kamailio.peek("t", "deleted") is None, 60)
    cluster.run_until(lambda: kamailio.peek("emptied", "a") is None, 60)
    assert held(one) == held(two) == {"changed": "new"}
    assert not len(one.store.tables["emptied"]) and not len(two.store.tables["emptied"])
