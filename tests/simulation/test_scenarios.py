"""Single promises about time and loss, each on a small cluster made for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmqcache.store.table.table import Table
from tests.simulation.checks import contents, disagreement, leftovers
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.network import Weather
from tests.simulation.runtime import World
from tests.store_options import store_options

CACHE, K5, K62 = "dmqcache", "kamailio5", "kamailio62"
LOSSY = Weather(loss=0.2)


def make(*kinds: str, seed: int = 1, tables: tuple[str, ...] = ("t",), seeds: int = 2) -> Cluster:
    """A cluster that has found itself."""
    cluster = Cluster(World(seed), kinds, tables, store_options(), seeds)
    cluster.start()
    cluster.run_until(lambda: meshed(cluster), 60)
    return cluster


def meshed(cluster: Cluster) -> bool:
    """Whether every dmqcache node holds every node that is up for active, and serves."""
    up = len([machine for machine in cluster.machines if machine.up])
    return all(
        len(machine.cache.bus.active_nodes()) == up - 1 and machine.store.ready
        for machine in cluster.caches()
    )


def table(machine: Machine) -> Table:
    return machine.store.tables["t"]


def agree(cluster: Cluster) -> bool:
    return not disagreement(cluster, forgotten=False, slack=2.0)


def caches_agree(cluster: Cluster) -> bool:
    held = [{key: value for key, (value, _) in contents(table(one)).items()} for one in cluster.caches()]
    return all(one == held[0] for one in held)


def write_both_sides(cluster: Cluster, before: Callable[[], None]) -> None:
    """Conflicting sets, deletes and new keys on both sides of a partition of a minute."""
    first, *_, last = cluster.machines
    for number in range(200):
        table(first)[f"k{number}"] = "old"
    cluster.run(5)
    before()
    for side, machine in (("a", first), ("b", last)):
        if machine.is_cache:
            write: Callable[[str, str], None] = table(machine).set
            delete: Callable[[str], object] = table(machine).delete
        else:
            write = lambda key, value, machine=machine: machine.kamailio.htable.set("t", key, value)  # noqa: E731
            delete = lambda key, machine=machine: machine.kamailio.htable.delete("t", key)  # noqa: E731
        for number in range(0, 200, 2):
            write(f"k{number}", f"{side}{number}")
        for number in range(50):
            write(f"new-{side}{number}", side)
        for number in range(1, 50, 2 if side == "a" else 4):
            delete(f"k{number}")
        cluster.run(1)


def test_conflicts_of_a_partition_are_settled_within_three_seconds_of_its_end() -> None:
    cluster = make(CACHE, CACHE, CACHE)
    write_both_sides(cluster, lambda: cluster.partition([0], [1, 2]))
    cluster.run(60)
    assert not caches_agree(cluster)
    cluster.heal()
    assert cluster.run_until(lambda: caches_agree(cluster), 10) <= 3.0
    assert table(cluster.machines[0])["k0"] == "b0"
    assert "k1" not in table(cluster.machines[2])
    assert table(cluster.machines[1])["new-a7"] == "a"


@pytest.mark.parametrize("kind", [K5, K62])
def test_kamailio_nodes_agree_within_ten_seconds_of_a_partitions_end(kind: str) -> None:
    cluster = make(CACHE, CACHE, CACHE, kind, kind)
    write_both_sides(cluster, lambda: cluster.partition([0, 1, 3], [2, 4]))
    cluster.run(60)
    cluster.heal()
    took = cluster.run_until(lambda: caches_agree(cluster), 30)
    # A Kamailio's own writes of that time are found when its table has been asked for.
    assert took <= 10.0
    assert took + cluster.run_until(lambda: agree(cluster), 60) <= 10.0


@pytest.mark.parametrize(("size", "limit"), [(3, 5.0), (20, 10.0)])
def test_a_dead_node_is_noticed_by_every_other(size: int, limit: float) -> None:
    for seed in range(5 if size == 3 else 1):
        cluster = make(*[CACHE] * size, seed=seed)
        cluster.run(20)
        dead = cluster.machines[seed % size]
        cluster.network.refusing = False
        dead.crash()

        def noticed(cluster: Cluster = cluster, dead: Machine = dead) -> bool:
            known = [machine.cache.bus.nodes.get(dead.uri) for machine in cluster.caches()]
            return all(node is None or not node.active for node in known)

        assert cluster.run_until(noticed, 60) <= limit


@pytest.mark.parametrize("seed", [6, 9, 27])
def test_most_of_a_cluster_is_missed_in_time_by_a_node_that_has_just_asked_much(seed: int) -> None:
    """Under loss a node has used up its reserve of questions; then most of the others are cut off."""
    cluster = Cluster(World(seed), [CACHE, K5, CACHE, K62, CACHE, K62], ("t",), store_options())
    cluster.network.weather = Weather(loss=0.1)
    cluster.start()
    cluster.run_until(lambda: meshed(cluster), 60)
    cluster.run(2)
    cluster.partition([0, 1], range(2, 6))
    first = cluster.machines[0].cache.bus
    while first._directory._detector._budget.take():
        pass
    assert cluster.run_until(lambda: len(first.active_nodes()) <= 1, 60) <= 15.0


def test_a_node_behind_bad_links_is_not_taken_for_dead() -> None:
    cluster = make(*[CACHE] * 4)
    cluster.network.weather = LOSSY
    cluster.run(600)
    assert meshed(cluster)
    for machine in cluster.caches():
        assert all(
            node.since <= machine.cache.runtime.now() - 600 for node in machine.cache.bus.active_nodes()
        )


@pytest.mark.parametrize("kind", [K5, K62])
def test_increments_of_nine_nodes_all_count_under_loss_and_a_partition(kind: str) -> None:
    cluster = make(*[CACHE] * 9, kind, seeds=3)
    cluster.network.weather = LOSSY
    for step in range(200):
        if step == 60:
            cluster.partition(range(4), range(4, 10))
        if step == 150:
            cluster.heal()
        for machine in cluster.caches():
            table(machine).incr("n")
        cluster.run(0.05)
    cluster.network.weather = Weather()
    exact = 9 * 200
    cluster.run_until(lambda: all(table(machine)["n"] == exact for machine in cluster.caches()), 30)
    kamailio = cluster.kamailios()[0].kamailio.htable
    cluster.run_until(lambda: kamailio.tables["t"].get("n", kamailio.seconds()) == exact, 30)


def test_a_late_duplicate_of_a_set_does_not_undo_a_delete() -> None:
    cluster = make(CACHE, CACHE, CACHE)
    first, second, third = cluster.machines
    cluster.network.weather = Weather(duplicate=1.0, duplicate_delay=20.0)
    table(first)["k"] = "v"
    cluster.run(0.01)
    assert table(third)["k"] == "v"
    assert table(second).delete("k")
    for _ in range(40):
        cluster.run(1)
        assert not any("k" in table(machine) for machine in cluster.machines)


@pytest.mark.parametrize("kind", [CACHE, K5])
def test_who_starts_after_a_delete_does_not_take_the_key_back_from_who_was_away(kind: str) -> None:
    cluster = Cluster(World(1), [CACHE, CACHE, kind], ["t"])
    first, second, away = cluster.machines
    first.start()
    away.start()
    cluster.run(5)
    table(first)["k"] = "v"
    cluster.run(5)
    cluster.partition([0, 1], [2])
    table(first).delete("k")
    cluster.run(30)
    second.start()
    cluster.run(10)
    assert second.store.ready
    first.crash()
    cluster.heal()
    cluster.run(60)
    assert "k" not in table(second)
    if away.is_cache:
        assert "k" not in table(away)
    else:
        assert away.kamailio.htable.tables["t"].get("k", 0) is None


@pytest.mark.parametrize("kind", [K5, K62])
def test_a_kamailio_that_shows_a_counter_across_a_cut_ends_it_on_no_side(kind: str) -> None:
    cluster = make(CACHE, kind, CACHE)
    first, kamailio, last = cluster.machines
    for _ in range(10):
        table(first).incr("n")
    cluster.run(5)
    # Each of the two believes to be alone with the Kamailio, and asks it when it takes over.
    cluster.partition([0], [2])
    for _ in range(30):
        table(first).incr("n")
        table(first).incr("new")
        table(last).incr("n", 100)
        cluster.run(1)
    cluster.heal()
    cluster.run(20)
    for machine in (first, last):
        assert table(machine)["n"] == 10 + 30 + 3_000
        assert table(machine)["new"] == 30
    assert kamailio.kamailio.htable.tables["t"].get("n", 0) == 3_040


def test_a_clock_far_ahead_leaves_no_difference_behind() -> None:
    cluster = Cluster(World(1), [CACHE, CACHE, CACHE], ["t"])
    wrong, *_, last = cluster.machines
    wrong.skew_ms = 3_600_000
    cluster.start()
    cluster.run(10)
    for number in range(10):
        table(wrong)[f"k{number}"] = "from the future"
    cluster.partition([0, 1], [2])
    cluster.run(20)
    table(wrong)["k0"] = "again"
    cluster.run(20)
    wrong.leave()
    cluster.heal()
    cluster.run(60)
    table(last)["k1"] = "now"
    cluster.run(5)
    assert caches_agree(cluster)
    assert table(cluster.machines[1])["k1"] == "now"
    assert len({table(machine).digest.node(0, 0) for machine in cluster.caches()}) == 1


@pytest.mark.parametrize("kinds", [(CACHE, CACHE), (CACHE, CACHE, K5), (CACHE, K5, K5), (CACHE, K62, K62)])
def test_pairs_of_nearly_simultaneous_writes_agree_two_seconds_later(kinds: tuple[str, ...]) -> None:
    cluster = make(*kinds)
    chance = cluster.world.chance
    *_, one, other = cluster.machines
    for number in range(500):
        for machine in (one, other):
            cluster.world.call_later(
                number * 0.02 + chance.random() * 0.004,
                lambda machine=machine, number=number: write(machine, number),
            )
    cluster.run(500 * 0.02 + 2.0)
    assert not disagreement(cluster, forgotten=False, slack=2.0)


def write(machine: Machine, number: int) -> None:
    value = f"{machine.host} {number}"
    if machine.is_cache:
        table(machine)[f"k{number}"] = value
    else:
        machine.kamailio.htable.set("t", f"k{number}", value)


def test_an_initial_sync_goes_on_with_another_donor_when_the_first_dies() -> None:
    cluster = Cluster(World(1), [CACHE] * 3, ["t"])
    for machine in cluster.machines[:2]:
        machine.start()
    cluster.run(2)
    for number in range(20_000):
        table(cluster.machines[0])[f"k{number}"] = "v" * 50
    cluster.run(5)
    late = cluster.machines[2]
    late.start()
    cluster.run_until(lambda: len(table(late)) > 4_000, 5, step=0.001)
    assert not late.store.ready
    donor = late.store.initial_sync.donor
    next(machine for machine in cluster.machines if machine.uri == donor).crash()
    cluster.run_until(lambda: late.store.ready, 20)
    assert len(table(late)) == 20_000


def test_values_that_fill_a_datagram_hold_up_no_other() -> None:
    cluster = make(CACHE, CACHE, K5)
    for number in range(300):
        table(cluster.machines[0])[f"small{number}"] = "v"
    for number in range(20):
        table(cluster.machines[0])[f"large{number}"] = chr(97 + number) * 55_000
    table(cluster.machines[0])["odd"] = "\udcff" * 9_000
    cluster.run(20)
    assert agree(cluster)
    assert len(table(cluster.machines[1])) == 321


def test_a_set_arrives_soon_though_every_fifth_message_is_lost() -> None:
    cluster = make(CACHE, CACHE, CACHE)
    cluster.network.weather = LOSSY
    cluster.run(20)
    arrived: list[float] = []
    for number in range(1_000):
        table(cluster.machines[0])[f"k{number}"] = "v"
        began = cluster.world.now
        cluster.run_until(lambda key=f"k{number}": key in table(cluster.machines[1]), 5, step=0.001)
        arrived.append(cluster.world.now - began)
        cluster.run(0.2)
    assert sorted(arrived)[989] < 0.1


def test_nothing_is_left_over_after_everything() -> None:
    cluster = make(CACHE, CACHE, K5, K62)
    for number in range(300):
        table(cluster.machines[0])[f"k{number}"] = number
    cluster.run(60)
    for machine in cluster.caches():
        assert list(leftovers(machine)) == []


def test_a_counter_that_is_given_a_time_across_a_cut_ends_on_both_sides() -> None:
    cluster = make(CACHE, CACHE, CACHE)
    first, second, last = cluster.machines
    table(last).incr("n", 2)
    cluster.run(1)
    cluster.partition([0, 2], [1])
    table(last).expire("n", 3.0)
    cluster.run(10)
    assert "n" not in table(first) and table(second)["n"] == 2
    cluster.heal()
    cluster.run_until(lambda: not any("n" in table(machine) for machine in cluster.machines), 20)


@pytest.mark.parametrize("known", ["deleted", "old", None])
@pytest.mark.parametrize("kinds", [(CACHE, K5, CACHE), (CACHE, K5, CACHE, K5)])
@pytest.mark.parametrize("designated", [True, False])
@pytest.mark.parametrize("pause", [2.0, 5.0, 30.0])
def test_what_a_kamailio_wrote_while_it_was_cut_off_counts_though_a_node_began_there_meanwhile(
    kinds: tuple[str, ...], known: str | None, designated: bool, pause: float
) -> None:
    cluster = Cluster(World(1), kinds, ["t"], seeds=3)
    caches = [machine for machine in cluster.machines if machine.is_cache]
    knows, late = caches if designated else reversed(caches)
    kamailio = next(machine for machine in cluster.machines if not machine.is_cache)
    for machine in cluster.machines:
        if machine is not late:
            machine.start()
    cluster.run(5)
    script = kamailio.kamailio.htable
    if known is not None:
        script.set("t", "k", "old")
    if known == "deleted":
        script.delete("t", "k")
    cluster.run(15)
    number = cluster.machines.index(knows)
    cluster.partition([number], [other for other in range(len(kinds)) if other != number])
    cluster.run(15)
    script.set("t", "k", "new")
    cluster.run(pause)
    late.start()
    cluster.run(10)
    assert table(late)["k"] == "new"
    cluster.heal()
    cluster.run(60)
    for machine in (knows, late):
        assert table(machine)["k"] == "new"
    assert script.tables["t"].get("k", 0) == "new"


@pytest.mark.parametrize("counts", [(1, 5_000), (5_000, 1)])
def test_a_node_that_starts_between_two_that_are_apart_is_ready_with_what_both_have(
    counts: tuple[int, int],
) -> None:
    cluster = Cluster(World(1), [CACHE, CACHE, CACHE], ["t"])
    first, second, third = cluster.machines
    first.start()
    second.start()
    cluster.run_until(lambda: meshed(cluster), 60)
    cluster.partition([0], [1])
    for machine, count in zip((first, second), counts, strict=True):
        for number in range(count):
            table(machine)[f"{machine.host} {number}"] = "x"
    third.start()
    cluster.run_until(lambda: third.store.ready, 20, step=0.001)
    assert len(table(third)) == sum(counts)
