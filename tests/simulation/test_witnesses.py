"""Who knows an increment surely: a judge of counters must neither accuse nor excuse too much."""

from __future__ import annotations

from tests.simulation.cluster import Cluster, Machine
from tests.simulation.history import NOTHING, History
from tests.simulation.runtime import World
from tests.simulation.sums import Counter, Sum
from tests.simulation.witnesses import HEARD_S, Witnesses
from tests.store_options import store_options


def three() -> tuple[Cluster, list[Machine]]:
    """Nodes that are ready and know one another."""
    cluster = Cluster(World(1), ("dmqcache",) * 3, ("t",), store_options())
    cluster.start()
    cluster.run_until(lambda: all(machine.store.ready for machine in cluster.machines), 60)
    return cluster, cluster.machines


def test_nobody_may_give_up_what_its_maker_could_tell_it() -> None:
    _, (one, two, _) = three()
    witnesses = Witnesses()
    witnesses.made(one, 1)
    assert not witnesses.unsure(one) & 1
    assert not witnesses.unsure(two) & 1
    # Nobody made this one as far as is known.
    assert witnesses.unsure(two) & 2


def test_who_was_cut_off_from_its_maker_may_give_it_up_until_a_while_after() -> None:
    cluster, (one, two, three_) = three()
    witnesses = Witnesses()
    witnesses.made(one, 1)
    cluster.partition([0], [1])
    assert witnesses.unsure(two) & 1
    assert not witnesses.unsure(one) & 1
    assert not witnesses.unsure(three_) & 1
    cluster.heal()
    cluster.run(HEARD_S / 2)
    assert witnesses.unsure(two) & 1
    cluster.run(HEARD_S)
    assert not witnesses.unsure(two) & 1


def test_who_had_it_when_its_maker_ended_knows_it_from_then_on() -> None:
    _, (one, two, three_) = three()
    witnesses = Witnesses()
    witnesses.made(one, 1)
    witnesses.made(one, 2)
    counted = witnesses.of(one.life)
    assert counted == 3
    witnesses.heard(two, counted & 1)
    one.crash()
    assert not witnesses.unsure(three_) & 1
    # Of the other one a Kamailio alone may know.
    assert witnesses.unsure(three_) & 2


def test_a_node_that_is_not_ready_may_give_up_all_but_its_own() -> None:
    _, (one, two, _) = three()
    witnesses = Witnesses()
    witnesses.made(one, 1)
    two.crash()
    two.start()
    assert not two.store.ready
    witnesses.made(two, 2)
    assert witnesses.unsure(two) & 1
    assert not witnesses.unsure(two) & 2


def test_what_is_counted_upon_a_set_that_a_kamailio_alone_has_told_does_not_surely_stay() -> None:
    cluster, (one, two, three_) = three()
    witnesses = Witnesses()
    cluster.partition([0], [1, 2])
    witnesses.began(one, 1 << 24)
    assert witnesses.made(one, 1, 1 << 24)
    assert not witnesses.made(two, 2, 1 << 24)
    assert witnesses.unsure(two) & 2
    # Upon none, nothing is to be heard.
    assert witnesses.made(two, 4)
    assert not witnesses.unsure(two) & 4
    cluster.heal()
    cluster.run(HEARD_S * 1.5)
    assert witnesses.made(two, 8, 1 << 24)
    # From now on it tells of the set too.
    one.crash()
    assert witnesses.made(three_, 16, 1 << 24)
    assert not witnesses.unsure(three_) & 24


def test_who_has_a_set_from_a_kamailio_alone_may_go_back_to_what_was_before() -> None:
    cluster, (one, two, three_) = three()
    history = History(8.0)
    counter = Counter(history)
    cluster.partition([0], [1, 2])
    base = 1 << 24
    write = history.add(one.life, 0, 1, (base,), NOTHING)
    counter.witnesses.began(one, base)
    assert counter.sure(one, Sum((write,))).base == (write,)
    assert counter.sure(two, Sum((write,))).base == (None, write)
    cluster.heal()
    cluster.run(HEARD_S * 1.5)
    assert counter.sure(two, Sum((write,))).base == (write,)
    one.crash()
    # From now on it tells of the set too.
    assert counter.sure(three_, Sum((write,))).base == (write,)
