"""Lives through one scenario, heals everything, waits for quiet and says what is wrong.

Owns what each event does. The result is the same to the bit for the same seed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.table.patterns import MatchKind
from tests.simulation import checks
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.faults import Event, Scenario
from tests.simulation.kamailio_model import Kamailio
from tests.simulation.network import SOCKET_BYTES, Weather
from tests.simulation.oracle import Oracle
from tests.simulation.runtime import World

#: Seconds after the healing within which all dmqcache nodes must agree, and all nodes if a Kamailio is there.
LIMIT_S = 60.0
KAMAILIO_LIMIT_S = 420.0
#: Seconds within which a change is acknowledged by all while every tenth message is lost.
PATIENCE_S = 3.0
#: Seconds within which the repairs are done of which outboxes know: three intervals of repairs.
MEND_S = 30.0
#: Seconds of quiet after that: longer than any transaction.
QUIET_S = 40.0
#: Seconds between two looks.
LOOK_S = 0.5
#: The weather at the end.
CALM = Weather()


@dataclass(slots=True)
class Result:
    """How a run ended."""

    seed: int
    #: What is wrong; none: all is well.
    problems: list[str]
    #: Virtual seconds, those from the healing to agreement among them.
    seconds: float = 0.0
    converged: float = 0.0
    events: int = 0
    fingerprint: int = 0
    writes: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class Run:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, transcript: bool = False) -> None:
        self.scenario = scenario
        self.world = World(scenario.seed, transcript)
        self.cluster = Cluster(self.world, scenario.kinds, scenario.tables, scenario.options, scenario.seeds)
        self.oracle = Oracle(rewrites=not scenario.pure)
        self.counts: Counter[str] = Counter()
        self.cluster.on_gone = self._forgot
        #: Number of a Kamailio machine -> its process, what it could not deliver before, and its last change.
        self.careful: dict[int, tuple[Kamailio, int, str | None]] = {}
        self.spoilt: set[int] = set()
        #: At some time no dmqcache node remembered anything.
        self._forgotten = False
        #: Processes stood still: round trips are not what they were.
        self._stops = any(event.what in ("stop", "slow") for event in scenario.events)
        late = self._stops or not scenario.pure
        self._slack = checks.LATE_SLACK_S if late else checks.TIME_SLACK_S
        for machine, skew in zip(self.cluster.machines, scenario.skews_ms, strict=True):
            machine.skew_ms = skew

    def live(self) -> Result:
        """The whole run."""
        world = self.world
        result = Result(self.scenario.seed, [])
        try:
            for event in self.scenario.events:
                world.call_at(event.at, lambda event=event: self._do(event))  # type: ignore[misc]
            world.run_until(self.scenario.until)
            self._heal()
            result.converged = self._converge(result.problems)
            if self.scenario.pure and not self._stops and len(self.cluster.caches()) < 10:
                self._mend(result.problems)
                self._acknowledge_under_loss(result.problems)
            if not result.problems:
                world.run(QUIET_S)
                if not self.scenario.pure:
                    # Until now a Kamailio may have repeated what it could not deliver during the faults.
                    result.converged = max(result.converged, self._converge(result.problems))
            if not result.problems:
                result.problems += self._final()
        except Exception as error:
            logging.getLogger(__name__).exception("seed %d", self.scenario.seed)
            result.problems.append(f"{type(error).__name__}: {error}")
        result.seconds = world.now
        result.events = world.events
        result.fingerprint = world.fingerprint
        result.writes = self.oracle.writes
        result.counts = self.counts + self.cluster.network.counts
        return result

    def _do(self, event: Event) -> None:
        self.world.note("", f"=== {event}")
        self.counts[f"did {event.what}"] += 1
        getattr(self, event.what)(*event.args)

    def _forgot(self, machine: Machine) -> None:
        if machine.is_cache:
            others = [other for other in self.cluster.caches() if other is not machine]
            self._forgotten |= not any(other.store.ready for other in others)
            self.oracle.forgot(machine.last_identity, others)

    # -- the end -----------------------------------------------------------------------------------------

    def _heal(self) -> None:
        cluster = self.cluster
        cluster.heal()
        cluster.network.weather = CALM
        for number, machine in enumerate(cluster.machines):
            machine.slow(0.0, SOCKET_BYTES)
            machine.go_on()
            if not machine.up and number not in self.scenario.dead:
                machine.start()

    def _converge(self, problems: list[str]) -> float:
        """Wait for agreement; returns the seconds that it took."""
        limit = KAMAILIO_LIMIT_S if self.scenario.patient else LIMIT_S
        began = self.world.now
        while True:
            wrong = self._disagreement()
            if not wrong:
                return self.world.now - began
            if self.world.now - began >= limit:
                problems += [f"after {limit:.0f} s of quiet: {line}" for line in wrong[:20]]
                return limit
            self.world.run(LOOK_S)

    def _disagreement(self) -> list[str]:
        wrong = checks.membership(self.cluster)
        if self.cluster.caches():
            wrong += checks.disagreement(self.cluster, self._forgotten, self._slack)
        return wrong

    def _final(self) -> list[str]:
        cluster = self.cluster
        if not cluster.caches():
            return []
        found = self._disagreement() + checks.digests(cluster, self._slack)
        for machine in cluster.caches():
            found += checks.leftovers(machine)
            found += checks.books(machine)
            if self.scenario.sane:
                wrong = self.oracle.problems(machine.store.tables["plain"])
                found += [f"{machine.host}: {line}" for line in wrong]
        for machine in cluster.kamailios():
            found += [f"{machine.host}: {line}" for line in machine.kamailio.violations[:3]]
        # What comes to a process that stood still all comes in one moment.
        if not self._forgotten and not self._stops:
            for number in self.careful:
                found += self._check_careful(number)
        return found

    def _check_careful(self, number: int) -> list[str]:
        self._careful(number)
        kamailio, _, value = self.careful[number]
        if number in self.spoilt or kamailio.pending:
            return []
        found: list[str] = []
        for machine in self.cluster.caches():
            held = machine.store.tables["plain"].get(f"z{number}")
            if held != value:
                found.append(f"{machine.host}: z{number} is {held!r}, and its Kamailio last said {value!r}")
        return found

    def _mend(self, problems: list[str]) -> None:
        """Wait until no node counts on a repair: until then it does not believe in acknowledgements."""
        began = self.world.now
        while any(self._counts_on_repair(box) for box in self._outboxes()):
            if self.world.now - began >= MEND_S:
                problems.append(f"outboxes still need a repair {MEND_S:.0f} s after the healing")
                return
            self.world.run(LOOK_S)

    def _outboxes(self) -> list[Outbox]:
        return [box for machine in self.cluster.caches() for box in machine.store.outboxes.values()]

    @staticmethod
    def _counts_on_repair(box: Outbox) -> bool:
        return box.open and not box.acknowledged(0)

    def _acknowledge_under_loss(self, problems: list[str]) -> None:
        """With every tenth message lost, what a client writes is acknowledged by all nodes within seconds."""
        self.cluster.network.weather = Weather(loss=0.1)
        late: list[str] = []
        for number, machine in enumerate(self.cluster.caches()):
            table = machine.store.tables["plain"]
            table.set(f"k-last-{number}", number)
            self.oracle.wrote(f"k-last-{number}", table.cells[f"k-last-{number}"])
            others = len(machine.cache.bus.active_nodes())

            def waited(count: int, host: str = machine.host, others: int = others) -> None:
                if count < others:
                    late.append(f"{host}: {count} of {others} have acknowledged after {PATIENCE_S} s")

            machine.store.waiters.wait(None, PATIENCE_S, waited)
        self.world.run(PATIENCE_S + 0.1)
        problems += late
        self.cluster.network.weather = CALM

    # -- faults ------------------------------------------------------------------------------------------

    def _machine(self, number: int) -> Machine:
        return self.cluster.machines[number]

    def weather(self, weather: Weather) -> None:
        self.cluster.network.weather = weather

    def link(self, one: int, other: int, weather: Weather) -> None:
        self.cluster.network.links[self._machine(one).host, self._machine(other).host] = weather

    def partition(self, *groups: tuple[int, ...]) -> None:
        self.cluster.partition(*groups)

    def join(self, *groups: tuple[int, ...]) -> None:
        for one in groups:
            for other in groups:
                for a in one:
                    for b in other:
                        if one is not other:
                            self.uncut(a, b)

    def cut(self, one: int, other: int) -> None:
        self.cluster.network.cut.add((self._machine(one).host, self._machine(other).host))

    def uncut(self, one: int, other: int) -> None:
        self.cluster.network.cut.discard((self._machine(one).host, self._machine(other).host))

    def start(self, number: int) -> None:
        self._machine(number).start()

    def crash(self, number: int) -> None:
        self._machine(number).crash()

    def stop(self, number: int) -> None:
        self._machine(number).stop()

    def go_on(self, number: int) -> None:
        self._machine(number).go_on()

    def leave(self, number: int) -> None:
        self._machine(number).leave()

    def slow(self, number: int, seconds: float, limit: int) -> None:
        self._machine(number).slow(seconds, limit)

    def jump(self, number: int, milliseconds: int) -> None:
        self._machine(number).jump(milliseconds)

    # -- clients of dmqcache nodes -----------------------------------------------------------------------

    def _write(self, number: int, table: str, what: Callable[[Any], Any]) -> Any:
        """What a client asks of a node, if there is one that listens."""
        machine = self._machine(number)
        if not machine.running:
            self.counts["refused to clients"] += 1
            return None
        self.world.current = machine.host
        try:
            return what(machine.store.tables[table])
        except ValueError:
            self.counts["client errors"] += 1
            return None

    def _note_write(self, number: int, key: str) -> None:
        if key.startswith("k"):
            self.oracle.wrote(key, self._machine(number).store.tables["plain"].cells[key])

    def set(self, number: int, table: str, key: str, value: str | int, ttl: float | None) -> None:
        done = self._write(number, table, lambda held: held.set(key, value, ttl) or True)
        if done:
            self._note_write(number, key)

    def delete(self, number: int, table: str, key: str) -> None:
        if self._write(number, table, lambda held: held.delete(key)):
            self._note_write(number, key)

    def expire(self, number: int, table: str, key: str, ttl: float) -> None:
        self._write(number, table, lambda held: held.expire(key, ttl))

    def incr(self, number: int, table: str, key: str, by: int) -> None:
        done = self._write(number, table, lambda held: (held.incr(key, by),))
        if done and key.startswith("c"):
            self.oracle.counted(key, self._machine(number).cache.identity, by)

    def remove(self, number: int, table: str, pattern: str) -> None:
        machine = self._machine(number)
        if machine.running:
            keys = machine.store.tables[table].match(MatchKind.REGEX, pattern)
            self._write(number, table, lambda held: held.delete_matching(MatchKind.REGEX, pattern))
            for key in keys:
                self._note_write(number, key)

    def flush(self, number: int, table: str) -> None:
        self._write(number, table, lambda held: held.flush())

    def bulk(self, number: int, table: str, count: int) -> None:
        def fill(held: Any) -> None:
            for index in range(count):
                held.set(f"b{index}", f"bulk {index}")

        self._write(number, table, fill)

    # -- clients of Kamailio nodes -----------------------------------------------------------------------

    def _script(self, number: int, what: Callable[[Any], None]) -> None:
        machine = self._machine(number)
        if machine.running:
            self.world.current = machine.host
            what(machine.kamailio.htable)

    def k_careful(self, number: int, value: str | None) -> None:
        machine, key = self._machine(number), f"z{number}"
        if not machine.running:
            return
        kamailio = machine.kamailio
        if kamailio.pending and machine.kind == "kamailio62":
            # Its sets have versions and its deletes have none: a late delete may win over a set after it.
            return
        others = {other.uri for other in self.cluster.machines if other.up} - {machine.uri}
        if kamailio.active() != others:
            return
        self.world.current = machine.host
        self._careful(number)
        self.careful[number] = (kamailio, kamailio.undelivered, value)
        if value is None:
            kamailio.htable.delete("plain", key)
        else:
            kamailio.htable.set("plain", key, value)

    def _careful(self, number: int) -> None:
        """Whether the last change was heard by all, so that it is sure which is the last."""
        before = self.careful.get(number)
        if before is not None and before[0].undelivered != before[1]:
            self.spoilt.add(number)

    def k_set(self, number: int, table: str, key: str, value: str | int, seconds: int | None) -> None:
        self._script(number, lambda htable: htable.set(table, key, value, seconds))

    def k_delete(self, number: int, table: str, key: str) -> None:
        self._script(number, lambda htable: htable.delete(table, key))

    def k_incr(self, number: int, table: str, key: str, by: int) -> None:
        self._script(number, lambda htable: htable.incr(table, key, by))

    def k_expire(self, number: int, table: str, key: str, seconds: int) -> None:
        self._script(number, lambda htable: htable.expire(table, key, seconds))

    def k_remove(self, number: int, table: str, pattern: str) -> None:
        self._script(number, lambda htable: htable.remove(table, pattern))
