"""Lives through one scenario, heals everything, waits for quiet and says what is wrong.

What each event does is in ``perform_*.py``. The result is the same to the bit for the same seed.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from dmqcache.store.outbox.outbox import Outbox
from tests.disk.shelf import Shelf
from tests.simulation import checks
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.contacts import Contacts
from tests.simulation.network import SOCKET_BYTES, Weather
from tests.simulation.oracle import Oracle
from tests.simulation.perform_clients import Clients
from tests.simulation.perform_faults import Faults
from tests.simulation.perform_lies import Lies
from tests.simulation.perform_phones import Phones
from tests.simulation.perform_scripts import Scripts
from tests.simulation.process import KamailioProcess
from tests.simulation.rules import Rules
from tests.simulation.runtime import World
from tests.simulation.scenario import Event, Scenario
from tests.simulation.watch import Watch

#: Seconds after the healing within which all dmqcache nodes must agree, and all nodes if a Kamailio is there.
LIMIT_S = 60.0
KAMAILIO_LIMIT_S = 420.0
#: The same for registrations: where one registrar undoes on another what is newer, and no dmqcache node hears
#: of that, they are asked 75 to 105 s after a node has come back, and a look takes some ten more.
CONTACTS_LIMIT_S = 125.0
#: Seconds within which a change is acknowledged by all while every tenth message is lost: over UDP it is sent
#: again soon, TCP doubles its pauses and holds back what comes after.
PATIENCE_S = {"udp": 3.0, "tcp": 8.0}
#: The same where round trips were anything up to half a second until a moment ago, as messages overtook one
#: another: they are sent again after T1 (0.5 s) and more, and the first six sends of one in 20,000 fail.
JITTERY_PATIENCE_S = 9.0
#: The same where clocks are wrong: who was refused what lies too far ahead believes in no acknowledgement
#: before the next comparison, at most an interval of repairs and a quarter later.
WRONG_CLOCKS_PATIENCE_S = 15.0
#: Seconds by which a connection is behind that holds up what is said next.
STALLED_S = 1.0
#: Seconds within which those have left who were about to: they wait for acknowledgements for ten at most.
LEAVE_S = 30.0
#: Seconds within which the repairs are done of which outboxes know: three intervals of repairs.
MEND_S = 30.0
#: Seconds within which comparisons alone bring a row from one node to all others: a dozen intervals of them.
DIGESTS_S = 120.0
#: Seconds of quiet after that: longer than any transaction between dmqcache nodes, and two comparisons. In
#: some runs, and where Kamailio nodes or processes that stood still repeat theirs, longer than any at all.
QUIET_S = 15.0
LONG_QUIET_S = 40.0
#: One run in so many has the long one.
LONG_QUIET_EVERY = 4
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
        self.cluster = Cluster(
            self.world,
            scenario.kinds,
            scenario.tables,
            scenario.options,
            scenario.seeds,
            scenario.transport,
            scenario.keyed,
            scenario.usrloc,
        )
        for number in scenario.named:
            self.cluster.call_by_name(number)
        for number in scenario.elsewhere:
            self.cluster.send_from_elsewhere(number)
        self.counts: Counter[str] = Counter()
        #: At some time no dmqcache node remembered anything.
        self._forgotten = False
        #: Kamailio nodes wrote something of which no dmqcache node heard.
        self._unheard = False
        #: Processes stood still: round trips are not what they were.
        self._stops = any(event.what in ("stop", "slow") for event in scenario.events)
        late = self._stops or not scenario.pure
        cut = any(event.what in ("cut", "partition") for event in scenario.events)
        stream = checks.CUT_STREAM_SLACK_S if cut else checks.STREAM_SLACK_S
        usual = stream if scenario.transport == "tcp" else checks.TIME_SLACK_S
        still = scenario.longest_stop + checks.TIME_SLACK_S
        self._slack = max(checks.LATE_SLACK_S, still) if late else usual
        rules = Rules(
            *(self._slack, scenario.sane, scenario.options.tombstone_limit, not scenario.pure),
            doubled=scenario.doubled,
            set_back=scenario.ahead_ms > 0,
        )
        self.oracle = Oracle(self.cluster.machines, rules)
        for machine, skew in zip(self.cluster.machines, scenario.skews_ms, strict=True):
            machine.skew_ms = skew + scenario.ahead_ms
            machine.shelf = Shelf() if self.cluster.machines.index(machine) in scenario.disks else None
            self.oracle.clock(machine.skew_ms)
        self.watch = Watch(self.cluster, self.oracle)
        self.cluster.on_gone = self._gone
        self.cluster.on_start = self.watch.began
        self.scripts = Scripts(self.cluster, self.oracle)
        self.lies = Lies(self.cluster, self.counts)
        self.contacts = Contacts(self.cluster)
        self.cluster.on_contacts_told = self.contacts.told
        self.cluster.on_contacts_heard = self.contacts.heard
        self._performers = (
            Faults(self.cluster, self.oracle),
            self.lies,
            Clients(self.cluster, self.oracle, self.watch, self.counts),
            self.scripts,
            Phones(self.cluster, self.contacts, self.counts),
        )

    def live(self) -> Result:
        """The whole run."""
        world = self.world
        result = Result(self.scenario.seed, [])
        try:
            for event in self.scenario.events:
                world.call_at(event.at, lambda event=event: self._do(event))  # type: ignore[misc]
            world.run_until(self.scenario.until)
            self.contacts.heals()
            self._heal()
            result.converged = self._converge(result.problems)
            if self.scenario.pure and not self._stops and len(self.cluster.caches()) < 10:
                self._mend(result.problems)
                self._acknowledge_under_loss(result.problems)
            if not result.problems:
                world.run(self._quiet())
                if not self.scenario.pure:
                    # Until now a Kamailio may have repeated what it could not deliver during the faults.
                    result.converged = max(result.converged, self._converge(result.problems))
            if not result.problems:
                result.problems += self._final()
        except Exception as error:
            logging.getLogger(__name__).exception("seed %d", self.scenario.seed)
            result.problems.append(f"{type(error).__name__}: {error}")
        # What was seen on the way explains what is wrong in the end.
        noticed = self.oracle.problems + self.contacts.problems
        result.problems[:0] = [line for line in noticed if line not in result.problems]
        result.seconds = world.now
        result.events = world.events
        result.fingerprint = world.fingerprint
        result.writes = self.oracle.writes
        result.counts = self.counts + self.cluster.network.counts
        return result

    def _do(self, event: Event) -> None:
        self.world.note("", f"=== {event}")
        self.counts[f"did {event.what}"] += 1
        performer = next(one for one in self._performers if hasattr(one, event.what))
        getattr(performer, event.what)(*event.args)
        if event.what.startswith("k_") and not any(other.store.ready for other in self.cluster.caches()):
            self._unheard = True
        if event.what == "jump":
            self.oracle.clock(self.cluster.machines[event.args[0]].skew_ms)

    def _gone(self, machine: Machine, politely: bool) -> None:
        if not machine.is_cache:
            return
        self.oracle.ends(machine)
        others = [other for other in self.cluster.caches() if other is not machine]
        self._forgotten |= not any(other.store.ready for other in others)
        if politely and self.watch.is_heard(machine, others):
            self.oracle.left(machine)
        else:
            self.oracle.lost(machine, others)

    # -- the end -----------------------------------------------------------------------------------------

    def _heal(self) -> None:
        cluster = self.cluster
        cluster.heal()
        cluster.network.weather = CALM
        for machine in cluster.machines:
            machine.slow(0.0, SOCKET_BYTES)
            machine.go_on()
        self._start()
        if any(machine.leaving for machine in cluster.machines):
            cluster.run_until(lambda: not any(machine.leaving for machine in cluster.machines), LEAVE_S)
            self._start()

    def _start(self) -> None:
        """Whoever is not there and does not stay dead."""
        for number, machine in enumerate(self.cluster.machines):
            if not machine.up and number not in self.scenario.dead:
                machine.start()

    def _converge(self, problems: list[str]) -> float:
        """Wait for agreement; returns the seconds that it took."""
        limit = KAMAILIO_LIMIT_S if self.scenario.patient else LIMIT_S
        began = self.world.now
        while True:
            tables, contacts = self._tables_disagree(), self.contacts.disagreement()
            took = self.world.now - began
            if not tables and not contacts:
                return took
            if took >= (limit if tables else max(limit, CONTACTS_LIMIT_S)):
                wrong = tables + contacts
                problems += [f"after {took:.0f} s of quiet: {line}" for line in wrong[:20]]
                return took
            self.world.run(LOOK_S)

    def _quiet(self) -> float:
        short = self.scenario.pure and not self._stops and self.scenario.seed % LONG_QUIET_EVERY
        return QUIET_S if short else LONG_QUIET_S

    def _tables_disagree(self) -> list[str]:
        wrong = checks.membership(self.cluster)
        if self.cluster.caches():
            forgotten, removed = self._forgotten or self._unheard, self.scripts.unheard
            wrong += checks.disagreement(self.cluster, forgotten, self._slack, removed)
        return wrong

    def _final(self) -> list[str]:
        cluster = self.cluster
        if not cluster.caches():
            return []
        if any(machine.store.collisions._waiting for machine in cluster.caches()):
            # What died at one node earlier than at another, which tells it, may do so this very moment.
            self.world.run(LOOK_S)
        digests = self._digests()
        found = self._tables_disagree() + self.contacts.disagreement() + digests
        for machine in cluster.caches():
            found += checks.leftovers(machine)
            found += checks.books(machine)
        found += self.oracle.judge_the_end(cluster.caches())
        found += self.lies.problems()
        for machine in cluster.machines:
            if isinstance(machine.process, KamailioProcess):
                found += [f"{machine.host}: {line}" for line in machine.kamailio.violations[:3]]
        # What comes to a process that stood still all comes in one moment.
        if not self._forgotten and not self._stops:
            found += self.scripts.problems()
        return found

    def _digests(self) -> list[str]:
        """Which digests differ for good. What one node alone was told, as by a liar, goes from one to another
        by comparisons, and in a large cluster only chance says whose is next."""
        until = self.world.now + DIGESTS_S
        while (wrong := checks.digests(self.cluster, self._slack)) and self.world.now < until:
            self.world.run(LOOK_S)
        if self.world.now > until - DIGESTS_S:
            # What has made them equal is acknowledged, too.
            self.world.run(LOOK_S)
        return wrong

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
        return box.counts and not box.acknowledged(0)

    def _acknowledge_under_loss(self, problems: list[str]) -> None:
        """With every tenth message lost, what a client writes is acknowledged by all within seconds, once
        over TCP what was lost often before the healing holds up nothing any more."""
        stalled = self.cluster.streams.busy_until() - self.world.now
        if stalled > STALLED_S:
            self.world.run(stalled)
        self.cluster.network.weather = Weather(loss=0.1)
        late: list[str] = []
        patience = PATIENCE_S[self.scenario.transport]
        if self.scenario.jittery:
            patience = max(patience, JITTERY_PATIENCE_S)
        if not self.scenario.sane:
            patience = max(patience, WRONG_CLOCKS_PATIENCE_S)
        for number, machine in enumerate(self.cluster.caches()):
            table, place = machine.store.tables["plain"], ("plain", f"k-last-{number}")
            self.oracle.of(place)
            known = self.oracle.look(machine, place)
            table.set(place[1], number)
            self.oracle.wrote(machine, place, (number,), known)
            others = len(self.cluster.caches()) - 1
            judge = self.watch.waiting(machine)

            def waited(count: int, host: str = machine.host, others: int = others, judge=judge) -> None:  # type: ignore[no-untyped-def]
                judge(count)
                if count < others:
                    late.append(f"{host}: {count} of {others} have acknowledged after {patience} s")

            # So many, and not those that are active just now: over TCP a segment that is lost four times in a
            # row holds back all answers of a node for three seconds, so that it counts as lost for a moment.
            machine.store.waiters.wait(others, patience, waited)
        self.world.run(patience + 0.1)
        problems += late
        self.cluster.network.weather = CALM
