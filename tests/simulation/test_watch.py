"""What WAIT's number means where a Kamailio is counted: the judge must neither accuse nor excuse too much."""

from __future__ import annotations

from tests.simulation.cluster import Cluster, Machine
from tests.simulation.oracle import Oracle, Place
from tests.simulation.rules import Rules
from tests.simulation.runtime import World
from tests.simulation.watch import COMPARED_S, Watch
from tests.store_options import store_options

PLACE: Place = ("t", "k1")


class Judged:
    """A Kamailio and two dmqcache nodes that are ready and know one another, under the judge's eyes."""

    def __init__(self) -> None:
        kinds = ("kamailio5", "dmqcache", "dmqcache")
        self.cluster = Cluster(World(1), kinds, ("t",), store_options())
        self.oracle = Oracle(self.cluster.machines, Rules(kamailios=True))
        self.watch = Watch(self.cluster, self.oracle)
        self.cluster.start()
        self.kamailio, self.one, self.other = self.cluster.machines
        self.cluster.run_until(self._is_ready, 60)

    def _is_ready(self) -> bool:
        return all(
            machine.store.ready and len(machine.cache.bus.active_nodes()) == 2
            for machine in (self.one, self.other)
        )

    def set(self, machine: Machine, value: str) -> None:
        self.oracle.of(PLACE)
        known = self.oracle.look(machine, PLACE)
        machine.store.tables["t"].set(PLACE[1], value)
        self.oracle.wrote(machine, PLACE, (value,), known)

    def delete(self, machine: Machine) -> None:
        known = self.oracle.look(machine, PLACE)
        machine.store.tables["t"].delete(PLACE[1])
        self.oracle.wrote(machine, PLACE, (None,), known)

    def problems_of_wait(self, count: int) -> list[str]:
        """A client of the one node has waited, and was answered so."""
        before = len(self.oracle.problems)
        self.watch.waiting(self.one)(count)
        return self.oracle.problems[before:]


def test_a_kamailio_that_was_told_the_older_word_by_a_node_cut_off_from_the_writer_counts() -> None:
    judged = Judged()
    judged.set(judged.other, "old")
    judged.cluster.run(2)
    judged.cluster.partition([1], [2])
    judged.delete(judged.one)
    judged.cluster.run_until(lambda: judged.kamailio.peek(*PLACE) is None, 2)
    # The other one takes the writer for dead, compares, and brings the key back.
    judged.cluster.run_until(lambda: judged.kamailio.peek(*PLACE) == "old", 60)
    assert not judged.problems_of_wait(1)
    # The other one itself counts no more than ever.
    assert judged.problems_of_wait(2)
    judged.cluster.heal()
    judged.cluster.run(COMPARED_S)
    assert judged.kamailio.peek(*PLACE) is None
    assert not judged.problems_of_wait(2)


def test_a_kamailio_that_lacks_the_write_counts_no_more_where_nobody_was_cut_off() -> None:
    judged = Judged()
    judged.set(judged.one, "new")
    judged.cluster.run(2)
    assert not judged.problems_of_wait(2)
    judged.kamailio.kamailio.htable.delete(*PLACE)
    assert judged.problems_of_wait(2)
    assert not judged.problems_of_wait(1)


def test_a_kamailio_that_lacks_the_write_is_accused_again_a_while_after_the_healing() -> None:
    judged = Judged()
    judged.cluster.partition([1], [2])
    judged.cluster.run(1)
    judged.cluster.heal()
    judged.set(judged.one, "new")
    judged.cluster.run(COMPARED_S + 1)
    judged.kamailio.kamailio.htable.delete(*PLACE)
    assert judged.problems_of_wait(2)


class Starting:
    """Three dmqcache nodes, of which the last was started anew; its first two may be cut off."""

    def __init__(self, apart: bool) -> None:
        self.cluster = Cluster(World(1), ("dmqcache",) * 3, ("t",), store_options())
        self.oracle = Oracle(self.cluster.machines, Rules())
        self.watch = Watch(self.cluster, self.oracle)
        self.cluster.on_start = self.watch.began
        self.cluster.start()
        self.one, self.other, self.last = self.cluster.machines
        self.cluster.run_until(lambda: all(one.store.ready for one in self.cluster.machines), 60)
        self.one.store.tables["t"].set("a", "x")
        self.cluster.run(2)
        self.last.crash()
        if apart:
            self.cluster.partition([0], [1])
        self.other.store.tables["t"].delete("a")
        self.cluster.run(20)


def test_a_starting_node_need_not_have_what_a_third_one_has_ended_unheard() -> None:
    starting = Starting(apart=True)
    assert starting.one.peek("t", "a") == "x"
    starting.last.start()
    starting.cluster.run_until(lambda: starting.last.store.ready, 60)
    starting.cluster.run(1)
    assert starting.last.peek("t", "a") is None
    assert starting.oracle.problems == []


def test_a_starting_node_must_have_what_nobody_has_ended() -> None:
    starting = Starting(apart=False)
    starting.one.store.tables["t"].set("b", "x")
    starting.cluster.run(2)
    starting.last.start()
    starting.last.store.initial_sync._finish("it would like to be")
    starting.cluster.run(0.2)
    (problem,) = starting.oracle.problems
    assert "t/b" in problem
