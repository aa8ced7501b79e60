"""What must hold at every moment, not only at the end: what *ready* means, and what WAIT's number means.

Looks at nodes as a client could; knows of the network who could be reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmqcache.bus.sip.uri import Endpoint
from tests.simulation.checks import Contents, contents
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.history import NOTHING, History, keeps
from tests.simulation.oracle import Oracle, Place, State
from tests.simulation.process import STOP_TIMEOUT_S

#: Seconds between two looks at everything.
LOOK_S = 0.1
#: Looks between two at each key of each node.
KEYS_EVERY = 5
#: Share of messages lost above which a starting node may find nobody in its time.
LOSSY = 0.15
#: Seconds until who has come to a starting node is known to it, some messages lost.
COMING_S = 1.0
#: Seconds for which a node tells whoever starts of one that it has lost.
NAMED_S = 55.0
#: Seconds until everybody has noticed that a node has died, or was started anew, or is cut off.
NOTICED_S = 15.0
#: Seconds after two dmqcache nodes hear each other again within which a Kamailio holds what both know: until
#: then it may hold what the one told it last that had not heard of the other's later write.
COMPARED_S = 45.0


@dataclass(slots=True)
class _Beginning:
    """A node that has started and is not ready yet."""

    machine: Machine
    life: str
    #: What each node showed that was ready then: all its tables, and the judged keys.
    tables: dict[str, dict[str, Contents]] = field(default_factory=dict)
    judged: dict[str, dict[Place, State]] = field(default_factory=dict)
    #: Monotonic seconds when each host was first heard.
    heard: dict[str, float] = field(default_factory=dict)
    #: Lives of those that could be reached all the time since, and of which it could hear.
    reached: dict[str, Machine] = field(default_factory=dict)


class Watch:
    """Looks at a cluster while it lives."""

    def __init__(self, cluster: Cluster, oracle: Oracle) -> None:
        self._cluster = cluster
        self._oracle = oracle
        self._world = cluster.world
        self._beginnings: dict[str, _Beginning] = {}
        self._looks = 0
        self._world.call_later(LOOK_S, self._look)

    # -- looking -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._looks += 1
        for beginning in list(self._beginnings.values()):
            self._look_at(beginning)
        if not self._looks % KEYS_EVERY:
            for machine in self._cluster.caches():
                self._oracle.look_at_all(machine)
        self._world.call_later(LOOK_S, self._look)

    def _talk(self, one: Machine, other: Machine) -> bool:
        cut = self._cluster.network.cut
        return (one.host, other.host) not in cut and (other.host, one.host) not in cut

    def is_heard(self, machine: Machine, others: list[Machine]) -> bool:
        """Whether a node that has just left has told somebody what it knew: some node could be reached, and
        it has not left because its time was over."""
        answers = {node.uri for node in machine.cache.bus.active_nodes()}
        return machine.now() - machine.leaves_at < STOP_TIMEOUT_S and any(
            other.running
            and other.uri in answers
            and not other.is_slow
            and other.store.ready
            and self._talk(machine, other)
            for other in others
        )

    def all_hear(self, machine: Machine) -> bool:
        """Whether all other nodes hear at once what one tells them: no message is lost, and nobody is cut
        off, stands still or began just now."""
        network, since = self._cluster.network, self._world.now - NOTICED_S
        return not any(weather.loss for weather in (network.weather, *network.links.values())) and all(
            other.running and self._talk(machine, other) and not other.is_slow and other.started_at < since
            for other in self._cluster.caches()
            if other is not machine
        )

    # -- ready -------------------------------------------------------------------------------------------

    def began(self, machine: Machine) -> None:
        """A dmqcache node has just been started."""
        beginning = _Beginning(machine, machine.life)
        for other in self._cluster.caches():
            if other is not machine and other.store.ready:
                beginning.tables[other.life] = {
                    name: contents(table) for name, table in other.store.tables.items()
                }
                beginning.judged[other.life] = {
                    place: self._oracle.look(other, place, anew=True) for place in self._oracle.places
                }
                if not machine.seeds or self._is_told_of(machine, other):
                    beginning.reached[other.life] = other
        self._beginnings[machine.host] = beginning
        if not machine.seeds:
            self._listen(machine, beginning)

    def _listen(self, machine: Machine, beginning: _Beginning) -> None:
        """Note who comes to a node that asks nobody."""
        assert machine.process is not None
        socket = machine.process.socket
        receive = socket.receive

        def hear(data: bytes, source: Endpoint) -> None:
            beginning.heard.setdefault(source.host, self._world.now)
            receive(data, source)

        socket.receive = hear

    def _did_not_come(self, beginning: _Beginning) -> list[str]:
        """Lives of those that a node without notification addresses need not wait for: they came late, or did
        not come. They may have been heard a moment before its wait was over, and lost a message then."""
        if beginning.machine.seeds:
            return []
        until = self._comes_until(beginning.machine)
        return [
            life
            for life, other in beginning.reached.items()
            if beginning.heard.get(other.host, until + 1) > until
        ]

    def _comes_until(self, machine: Machine) -> float:
        """Monotonic seconds until which whoever comes to a node without notification addresses counts."""
        return machine.started_at + self._cluster.options.join_wait - COMING_S

    def _is_told_of(self, machine: Machine, other: Machine) -> bool:
        """Whether a node that starts hears of another one: it is a notification address, or one knows it."""
        asked = [one for one in self._cluster.machines if one.spelled in machine.seeds]
        return other in asked or any(
            one.is_cache and one.running and self._talk(machine, one) and self._names(one, other)
            for one in asked
        )

    def _names(self, one: Machine, other: Machine) -> bool:
        """Whether a node tells of another one: it holds it active, or has lost it just now."""
        bus = one.cache.bus
        node = bus.nodes.get(other.uri)
        if node is None or node.active:
            return node is not None
        lost = bus._directory._detector.lost_at(node)
        return lost is not None and one.cache.runtime.now() - lost < NAMED_S

    def _look_at(self, beginning: _Beginning) -> None:
        machine = beginning.machine
        if not machine.up or machine.life != beginning.life:
            del self._beginnings[machine.host]
            return
        lossy = any(
            weather.loss > LOSSY
            for weather in (self._cluster.network.weather, *self._cluster.network.links.values())
        )
        for life, other in list(beginning.reached.items()):
            itself = other.running and other.life == life and not other.is_slow
            if (
                lossy
                or not itself
                or not machine.running
                or machine.is_slow
                or not self._talk(machine, other)
            ):
                del beginning.reached[life]
        if machine.store.ready:
            del self._beginnings[machine.host]
            if beginning.reached and not self._is_misled(machine):
                self._is_ready(beginning)

    def _is_misled(self, machine: Machine) -> bool:
        """Whether another node, one without notification addresses to which nobody came in time, says ready
        and gives what it has."""
        since = machine.started_at - NOTICED_S
        caches = self._cluster.caches()
        return any(not other.seeds and other.started_at > since for other in caches if other is not machine)

    def _is_ready(self, beginning: _Beginning) -> None:
        """It has what all those had that were ready when it started. What was dated too far ahead may be
        refused for a while."""
        if not self._oracle.rules.sane or self._refuses_what_lies_ahead(beginning.machine):
            return
        lacks = {life: lack for life in beginning.reached if (lack := self._lacks(beginning, life))}
        ready_at, wait = self._world.now, 0.0
        if not beginning.machine.seeds:
            # One that says ready before its wait is over need not have heard of those yet that come.
            wait = max(0.0, self._comes_until(beginning.machine) - ready_at)

        def judge() -> None:
            for life in self._did_not_come(beginning):
                lacks.pop(life, None)
            if lacks:
                self._oracle.problems.append(
                    f"{ready_at:.3f} s: {beginning.machine.host} says ready without what others had when "
                    f"it started: {lacks}"
                )

        if wait:
            self._world.call_later(wait, judge)
        else:
            judge()

    def _refuses_what_lies_ahead(self, machine: Machine) -> bool:
        """Whether a node that was just started was told what is dated before clocks were set back."""
        refused = machine.store.counters.refused
        return self._oracle.rules.set_back and any(reason == "future" for _, reason in refused)

    def _lacks(self, beginning: _Beginning, life: str) -> list[str]:
        machine = beginning.machine
        found: list[str] = []
        for place, bound in beginning.judged[life].items():
            if not self._oracle.holds(machine, place, bound):
                found.append("/".join(place))
        other = beginning.reached.get(life)
        if other is None:
            return found
        for name, held in beginning.tables[life].items():
            mine, theirs = contents(machine.store.tables[name]), contents(other.store.tables[name])
            for key, (value, left) in held.items():
                # Judged keys: above. It may have heard of the end of others before the other node does.
                if self._oracle.ends_elsewhere((name, key), machine.started_at):
                    continue
                if self._is_told_otherwise(machine, other, name, key):
                    continue
                still = theirs.get(key)
                dies = left is not None and left < 2 * self._oracle.rules.slack
                if still is not None and still[0] == value and not dies and key not in mine:
                    found.append(f"{name}/{key}")
        return found

    def _is_told_otherwise(self, machine: Machine, other: Machine, name: str, key: str) -> bool:
        """Whether a third node shows that a key has ended, and the other one could not hear of that."""
        parted_at, since = self._cluster.network.parted_at, machine.started_at - NOTICED_S
        return any(
            third.peek(name, key) is None
            and max(parted_at(third.host, other.host), parted_at(other.host, third.host)) >= since
            for third in self._cluster.caches()
            if third is not machine and third is not other
        )

    # -- WAIT --------------------------------------------------------------------------------------------

    def waiting(self, machine: Machine) -> Callable[[int], None]:
        """A client asks how many nodes have what was written; returns what is to be told the answer."""
        wanted, life = self._oracle.own(machine), machine.life
        # A Kamailio is told sets and deletes by the node where they are made, only since it is there; what
        # else it lacks, one dmqcache node tells it for all.
        told = {
            other.host: self._oracle.told_since(machine, self._came(machine, other))
            for other in self._cluster.kamailios()
        }

        def wanted_of(other: Machine) -> dict[Place, State]:
            if not other.is_kamailio:
                return wanted
            if self._oracle.rules.doubled or self._is_beside_another(machine):
                return {}  # What it acknowledged, an older word that came later may have undone.
            return {place: wanted[place] for place in told.get(other.host, ()) if place in wanted}

        def answered(count: int) -> None:
            if machine.life != life:
                return
            others = [other for other in self._cluster.machines if other is not machine]
            lacking = {
                other.host: lack for other in others if (lack := self._lacks_of(other, wanted_of(other)))
            }
            if count > len(others) - len(lacking):
                self._oracle.problems.append(
                    f"{self._world.now:.3f} s: WAIT at {machine.host} was answered {count}, but {lacking}"
                )

        return answered

    def _is_beside_another(self, machine: Machine) -> bool:
        """Whether a dmqcache node was cut off from this one a moment ago: it compares with Kamailio nodes
        and tells them what it knows itself. One way is enough, as then it has heard of nothing either."""
        parted_at, since = self._cluster.network.parted_at, self._world.now - COMPARED_S
        return any(
            max(parted_at(machine.host, other.host), parted_at(other.host, machine.host)) >= since
            for other in self._cluster.machines
            if other.is_cache and other is not machine
        )

    def _came(self, machine: Machine, other: Machine) -> float:
        """True seconds since when a node takes another one for active."""
        bus, runtime = machine.cache.bus, machine.cache.runtime
        node = bus.nodes.get(other.uri)
        if node is None or not node.active:
            return self._world.now
        return bus._directory.membership.last_up(node) - runtime.now() + self._world.now

    def _lacks_of(self, other: Machine, wanted: dict[Place, State]) -> str:
        """What another node lacks of it, if anything. Its end may not have been noticed yet: then what it had
        in its last life counts."""
        recent = self._world.now - NOTICED_S
        if not (other.is_cache or other.is_kamailio):
            return "holds no tables"
        if other.is_kamailio and (not other.up or (other.incarnation > 1 and other.started_at > recent)):
            return ""
        lacks = (place[1] for place, bound in wanted.items() if not self._has(other, place, bound, recent))
        return next((f"lacks {key}" for key in lacks), "")

    def _has(self, other: Machine, place: Place, bound: State, recent: float) -> bool:
        if other.is_kamailio:
            return self._kamailio_has(other, place, bound)
        held = other.up and self._oracle.holds(other, place, bound)
        return held or self._oracle.held_at_the_end(other, place, bound, recent)

    def _kamailio_has(self, other: Machine, place: Place, bound: State) -> bool:
        kept = self._oracle.places[place]
        if not isinstance(kept, History) or not isinstance(bound, tuple):
            return True
        state = kept.may_stand_for(other.peek(*place), self._world.now, NOTHING)
        return keeps(state, self._oracle.loosened(place, bound))
