"""A judge that trusts nothing of the code's: it knows what clients called and were answered, the clocks, and
who lost its memory; and it looks at what nodes show, as a client could.

Of each judged key it keeps what every process's state may stand for (``history.py``, ``sums.py``). So no node
may go back to something older, show what nobody wrote, or forget; and in the end the newest write stands, a
delete stays, and a counter is the sum of its increments. The rules of moments are in ``watch.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf

from tests.simulation.cluster import Machine
from tests.simulation.graves import Graves
from tests.simulation.history import NOTHING, History, Known, Value, Write, beats, keeps, knows, shown
from tests.simulation.lives import Life, Place, State
from tests.simulation.rules import Rules
from tests.simulation.sums import Counter, Sum

#: Milliseconds that a burst lasts at most.
BURST_MS = 2_000
#: Ends of processes that are remembered of each machine.
ENDS = 200
#: First letters of keys that hold what was set last; and of counters.
KEPT, COUNTED = "khg", "cr"
#: Those of counters that sets and deletes end.
ENDED = "r"
#: Milliseconds by which a clock that was set back is behind the one that was furthest ahead, at least.
SET_BACK_MS = 3_000
#: Seconds within which all nodes have heard that all clocks have leapt forward.
FOLLOWED_S = 15.0


class Oracle:
    """The expectations of one run."""

    def __init__(self, machines: Sequence[Machine], rules: Rules) -> None:
        self.machines = machines
        self.rules = rules
        self.places: dict[Place, History | Counter] = {}
        #: What is wrong, found at any moment.
        self.problems: list[str] = []
        #: How many calls were noted.
        self.writes = 0
        self._lives: dict[str, Life] = {}
        #: What nodes knew that left politely: somebody must keep it.
        self._legacies: list[tuple[Place, State]] = []
        #: Keys that a Kamailio may have given back.
        self._adopted: set[Place] = set()
        #: Milliseconds by which the clock furthest ahead is ahead of true time.
        self._ahead = 0
        self.graves = Graves(rules.tombstone_limit, lambda: self.machines[0].now())
        #: When all clocks were last set, and by how many milliseconds forward.
        self._leapt_at, self._leapt_by = -inf, 0
        self._accused: set[tuple[str, Place]] = set()
        #: Host -> when its last processes ended (true seconds), and what each then knew.
        self._ended: dict[str, deque[tuple[float, dict[Place, State]]]] = {}
        #: table -> process, earliest and latest version of each flush.
        self._flushes: dict[str, list[tuple[str, int, int]]] = {}
        #: Place, or table alone -> when a client last ended what was there, or gave it a time (true seconds).
        self._ended_at: dict[Place | str, float] = {}
        #: Bursts of sets that go on.
        self._bursts: dict[Place, Write] = {}

    # -- looking -----------------------------------------------------------------------------------------

    def look(self, machine: Machine, place: Place, anew: bool = False) -> State:
        """What a node's state of a key may stand for now; what is wrong with it is noted. ``anew``: although
        it shows what it showed before, it may have heard of more."""
        seen = self._life(machine).seen
        value = machine.peek(*place)
        before = seen.get(place)
        if before is not None and before[0] == value and not anew:
            return before[1]
        was = before if before is not None else (None, self._nothing(place))
        if was[0] != value and self._is_given_back(place, value, machine, was[1]):
            self._adopted.add(place)
        state = self._judge(machine, place, value, before[1] if before is not None else None)
        seen[place] = (value, state)
        return state

    def look_at_all(self, machine: Machine, anew: bool = False) -> None:
        """The same for every key that was written."""
        for place in self.places:
            self.look(machine, place, anew)

    def _judge(self, machine: Machine, place: Place, value: Value | None, before: State | None) -> State:
        kept = self.places[place]
        # A Kamailio gives back what has no time any more.
        now = 0.0 if place in self._adopted and value is not None else machine.now()
        if isinstance(kept, History):
            known = self.loosened(place, before if isinstance(before, tuple) else NOTHING)
            state = kept.may_stand_for(value, now, known)
            if not state:
                was = f"it may have held {shown(known)}" if known != NOTHING else "nobody wrote that"
                self._accuse(machine, place, f"shows {value!r}, but {was}")
            return state or NOTHING
        total = before if isinstance(before, Sum) else Sum()
        if place in self._adopted:
            return total
        before = Sum(self.loosened(place, total.base), total.mask)
        if self.rules.kamailios:
            before = kept.sure(machine, before)
        found = kept.may_stand_for(value, now, before)
        if isinstance(found, str):
            self._accuse(machine, place, found)
            return Sum()
        return found

    def loosened(self, place: Place, known: Known) -> Known:
        """A delete may be forgotten when many are newer, or be undone; what a Kamailio gave back may be
        anything."""
        if place in self._adopted or any(self.graves.forgets(place[0], write) for write in known):
            return (None, *known)
        return known

    def _is_given_back(self, place: Place, value: Value | None, machine: Machine, before: State) -> bool:
        """Whether it is over, or was deleted before its time was, or only a process knew of its time that has
        ended, so that no dmqcache node need remember that, and a Kamailio may hold it."""
        kept = self.places[place]
        if not (self.rules.kamailios and isinstance(kept, History) and isinstance(before, tuple)):
            return False
        forgotten = [write for write in before if write and self.graves.forgets(place[0], write)]
        timed = [write for write in kept.writes if value in write.values and write.ends < inf]
        over = (self.graves.forgets(place[0], write) for write in kept.over(value, machine.now()))
        orphaned = any(write in self.graves.undone for write in timed)
        return orphaned or any(over) or any(beats(end, write) for end in forgotten for write in timed)

    def _accuse(self, machine: Machine, place: Place, what: str) -> None:
        """Note what is wrong, once of each key of each node. With wrong clocks nobody knows which set or
        delete ends a counter, and when."""
        unknown = not self.rules.sane and place[1][0] in ENDED
        given_up = machine.peek(*place) is None and self.graves.may_give_up(machine, place[0])
        if (machine.host, place) in self._accused or unknown or given_up:
            return
        self._accused.add((machine.host, place))
        self.problems.append(f"{machine.now():.3f} s: {machine.host}: {place[0]}/{place[1]} {what}")

    # -- what clients do ---------------------------------------------------------------------------------

    def clock(self, skew_ms: int) -> None:
        """A machine's wall clock is so far ahead of true time."""
        self._ahead = max(self._ahead, skew_ms)

    def leaps(self, milliseconds: int) -> None:
        """All clocks are set by so much."""
        self._leapt_at, self._leapt_by = self.machines[0].now(), max(0, milliseconds)

    def wrote(
        self, machine: Machine, place: Place, values: tuple[Value | None, ...], known: State, ttl: float = 0.0
    ) -> None:
        """A client's set or delete was done on a node whose state stood for ``known`` just before."""
        self.writes += 1
        kept = self.of(place)
        history = kept if isinstance(kept, History) else kept.history
        base = known.base if isinstance(known, Sum) else known
        now = machine.now()
        ends = now + ttl if ttl else inf
        first = self._latest(machine)
        write = history.add(machine.life, self._earliest(machine), first, values, base, ends)
        if None in values or ttl:
            self.graves.bury(*place, write, ends if ttl else now)
        state: State = (write,)
        if isinstance(kept, Counter):
            assert isinstance(known, Sum)
            kept.sets += values != (None,)
            if values == (None,):
                kept.deleted(write, known)
            elif isinstance(values[0], int):
                kept.witnesses.began(machine, values[0])
            state = Sum((write,), 0)
        self._note(machine, place, state)

    def wrote_of_burst(
        self, machine: Machine, place: Place, values: tuple[Value, ...], known: State, last: bool
    ) -> None:
        """The same of one step of many sets of one key. ``last``: no more follow."""
        history = self.of(place)
        assert isinstance(history, History)
        burst = self._bursts.get(place)
        if burst is None or history.writes[-1] is not burst or burst.process != machine.life:
            self.wrote(machine, place, values[:-1], known)
            self._bursts[place] = burst = history.writes[-1]
        else:
            burst.values += values[:-1]
        burst.latest = self._latest(machine) + BURST_MS
        if last:
            del self._bursts[place]
            self.wrote(machine, place, values[-1:], (burst,))
        else:
            burst.values += values[-1:]
            self._note(machine, place, (burst,))

    def counted(self, machine: Machine, place: Place, by: int, total: int, before: State) -> None:
        """A client's increment was done, and answered with ``total``."""
        self.writes += 1
        counter = self.of(place)
        assert isinstance(counter, Counter) and isinstance(before, Sum)
        state = counter.counted(by, total, before)
        stays = counter.witnesses.made(machine, abs(by), counter.read(total)[0]) or not self.rules.kamailios
        life = self._life(machine)
        own = life.own.get(place)
        mine = (own.mask if isinstance(own, Sum) else 0) | (abs(by) if stays else 0)
        life.seen[place] = (None, state)
        shown = self.look(machine, place)
        # What a set elsewhere has ended meanwhile counts no more.
        life.own[place] = Sum(state.base, mine & shown.mask) if isinstance(shown, Sum) else shown

    def flushed(self, machine: Machine, table: str, heard: bool) -> None:
        """A client's flush was done: a delete of all that was written to the table, known here or not.
        ``heard``: all nodes hear of it at once. One of which a node hears late, after all clocks were set
        back, may leave what lies ahead there."""
        late = not heard and self.rules.set_back and self._ahead - machine.skew_ms >= SET_BACK_MS
        self.ended(table)
        flush = (machine.life, self._earliest(machine), self._latest(machine))
        self._flushes.setdefault(table, []).append(flush)
        for place in self.places:
            if place[0] == table:
                self.wrote(machine, place, (None,), self._state_before(machine, place))
                if late:
                    self._undone(place)
                del self._life(machine).told_at[place]

    def _undone(self, place: Place) -> None:
        """The delete that was just noted may not count everywhere."""
        kept = self.places[place]
        history = kept if isinstance(kept, History) else kept.history
        self.graves.undone.add(history.writes[-1])
        if isinstance(kept, Counter):
            kept.ended.pop(history.writes[-1].number, None)

    def ended(self, table: str, key: str | None = None) -> None:
        """Any client has now deleted a key, or given it a time; None: any keys of a table."""
        self._ended_at[table if key is None else (table, key)] = self.machines[0].now()

    def ends_elsewhere(self, place: Place, since: float) -> bool:
        """Whether what two nodes show of a key may differ as a client has ended it after ``since`` (true
        seconds); of judged keys it is known better."""
        at = max(self._ended_at.get(place, -1.0), self._ended_at.get(place[0], -1.0))
        return place in self.places or at >= since

    def of(self, place: Place) -> History | Counter:
        """What is kept of a key."""
        kept = self.places.get(place)
        if kept is None:
            history = History(self.rules.slack, self.rules.sane)
            for process, earliest, latest in self._flushes.get(place[0], ()):
                history.add(process, earliest, latest, (None,), NOTHING)
            kept = self.places[place] = Counter(history) if place[1][0] in COUNTED else history
        return kept

    def own(self, machine: Machine) -> dict[Place, State]:
        """What was last written to each key through this process."""
        return dict(self._life(machine).own)

    def told_since(self, machine: Machine, since: float) -> set[Place]:
        """The keys that were last set or deleted through this process after ``since`` (true seconds)."""
        return {place for place, at in self._life(machine).told_at.items() if at > since}

    def _state_before(self, machine: Machine, place: Place) -> State:
        seen = self._life(machine).seen.get(place)
        return seen[1] if seen is not None else self._nothing(place)

    def _nothing(self, place: Place) -> State:
        return Sum() if place[1][0] in COUNTED else NOTHING

    def _note(self, machine: Machine, place: Place, state: State) -> None:
        life = self._life(machine)
        life.seen[place] = (machine.peek(*place), state)
        life.own[place] = state
        life.told_at[place] = machine.now()

    def _latest(self, machine: Machine) -> int:
        """Unix ms that a version given now does not pass."""
        return machine.true_ms() + self._ahead + 1

    def _earliest(self, machine: Machine) -> int:
        """Unix ms that a version given now is not below: where all clocks have just leapt, a node follows
        what it last heard of the others' clocks until it hears of them anew."""
        return machine.wall_ms() - (self._leapt_by if machine.now() - self._leapt_at < FOLLOWED_S else 0)

    def _life(self, machine: Machine) -> Life:
        return self._lives.setdefault(machine.life, Life())

    # -- who forgets -------------------------------------------------------------------------------------

    def ends(self, machine: Machine) -> None:
        """A process is about to end: what it knows now is the last that it knew."""
        self.look_at_all(machine, anew=True)
        known = {place: self._state_before(machine, place) for place in self.places}
        self._ended.setdefault(machine.host, deque(maxlen=ENDS)).append((machine.now(), known))
        if self.rules.kamailios:
            self._bequeath(machine)

    def _bequeath(self, machine: Machine) -> None:
        """Who now knows what a process has counted that ends."""
        others = [other for other in self.machines if other.is_cache and other.up and other is not machine]
        for place, kept in self.places.items():
            counted = kept.witnesses.of(machine.life) if isinstance(kept, Counter) else 0
            for other in others if counted and isinstance(kept, Counter) else ():
                state = self.look(other, place, anew=True)
                assert isinstance(state, Sum)
                kept.witnesses.heard(other, counted & state.mask)

    def held_at_the_end(self, machine: Machine, place: Place, bound: State, since: float) -> bool:
        """Whether a process here that has ended, after ``since`` (true seconds), may have held it: nobody
        need have noticed its end yet, however many have begun after it."""
        return any(
            self._may_hold(place, known.get(place, self._nothing(place)), bound)
            for at, known in self._ended.get(machine.host, ())
            if at >= since
        )

    def lost(self, machine: Machine, others: Sequence[Machine]) -> None:
        """A process lost its memory. What the ``others`` hold, and only that, is sure."""
        self._lives.pop(machine.life, None)
        for other in others:
            self.look_at_all(other, anew=True)
        self._legacies = [
            (place, bound) for place, bound in self._legacies if self._is_kept(place, bound, others)
        ]
        if self.rules.kamailios:
            self._orphan(others)
            for place in self.places:
                states = [self._state_before(other, place) for other in others]
                if all(state == self._nothing(place) for state in states):
                    self._adopted.add(place)

    def _orphan(self, others: Sequence[Machine]) -> None:
        """What no process knows any more is a Kamailio's word, worth less than what any of us knows."""
        for place, kept in self.places.items():
            for write in (kept if isinstance(kept, History) else kept.history).writes:
                bound: State = Sum((write,)) if isinstance(kept, Counter) else (write,)
                if write not in self.graves.undone and not self._is_known(place, write, bound, others):
                    self.graves.undone.add(write)
                    if write.ends < inf and any(other.has_for_ever(*place, write.values) for other in others):
                        self._adopted.add(place)

    def _is_known(self, place: Place, write: Write, bound: State, others: Sequence[Machine]) -> bool:
        """Whether one of them may know of a write. Of a time that may be over where nothing is shown only who
        surely has heard (it is over by the judge's slack from the first), and not from a Kamailio."""
        if write.ends == inf:
            return self._is_kept(place, bound, others)
        told = [other for other in others if not other.has_for_ever(*place, write.values)]
        return any(knows(self.look(other, place, anew=True), write) for other in told)

    def left(self, machine: Machine) -> None:
        """A process left politely: what it knew must be kept by those who remain. Of what another one knew as
        well that died meanwhile, only what was written here: it was told to all, and the rest left alone."""
        for place in self.places:
            bound = self._state_before(machine, place)
            if self._died_with_another(machine, place, bound):
                bound = self._life(machine).own.get(place, self._nothing(place))
            if bound != self._nothing(place):
                self._legacies.append((place, bound))
        self._lives.pop(machine.life, None)

    def _died_with_another(self, machine: Machine, place: Place, bound: State) -> bool:
        """Whether another process has died since this one was told to leave, and may have held it."""
        others = [other for other in self.machines if other.host in self._ended and other is not machine]
        return any(self.held_at_the_end(other, place, bound, machine.leaves_at) for other in others)

    def _is_kept(self, place: Place, bound: State, machines: Iterable[Machine]) -> bool:
        return any(self.holds(machine, place, bound) for machine in machines)

    def holds(self, machine: Machine, place: Place, bound: State) -> bool:
        """Whether a node may hold what another one knew, or something that won over it."""
        return self._may_hold(place, self.look(machine, place, anew=True), bound)

    def _may_hold(self, place: Place, state: State, bound: State) -> bool:
        if place in self._adopted or (not self.rules.sane and place[1][0] in ENDED):
            return True
        kept = self.places[place]
        if isinstance(state, Sum) and isinstance(bound, Sum):
            assert isinstance(kept, Counter)
            return keeps(state.base, self.loosened(place, bound.base)) and kept.holds(state, bound)
        assert isinstance(state, tuple) and isinstance(bound, tuple)
        return keeps(state, self.loosened(place, bound))

    # -- the end -----------------------------------------------------------------------------------------

    def judge_the_end(self, machines: Sequence[Machine]) -> list[str]:
        """Everything that was found, and what is missing now."""
        for machine in machines:
            self.look_at_all(machine, anew=True)
            for place, bound in self._legacies:
                if not self.holds(machine, place, bound):
                    base = bound.base if isinstance(bound, Sum) else bound
                    self._accuse(machine, place, f"lacks {shown(base)} of a node that left politely")
        return self.problems
