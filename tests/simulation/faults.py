"""What happens in one run: a seed draws the cluster, the faults and what clients do, each with its moment.

Owns the mixture. A scenario is only a list of events, made before anything runs; ``run.py`` lives through it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dmqcache.store.store import StoreOptions
from tests.simulation.hostile import NAMES
from tests.simulation.network import Weather
from tests.simulation.operations import Operations
from tests.store_options import store_options

#: Seconds that a node without notification addresses waits for others, as by default.
JOIN_WAIT_S = 3.0
#: Seconds at the beginning in which the nodes of the first hour start.
START_S = 3.0
#: Seconds for which two nodes are apart while a third one is started anew.
APART_S = 8.0
#: Seconds by which a message may be held back before others overtake it, from which on that is much.
JITTER_S = 0.1
#: What a node is told just before it is told to leave, and how many seconds before.
LAST_WORDS = ("k0", "k1", "k2", "k3")
LAST_WORDS_S = 0.0
#: Milliseconds by which clocks that NTP keeps may differ.
SANE_SKEW_MS = 400
#: Milliseconds by which a clock that nobody keeps may be wrong.
INSANE_SKEW_MS = 4_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens, or that a client does."""

    at: float
    #: A name of a method of ``run.Run``.
    what: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}{self.args!r}"


@dataclass(slots=True)
class Scenario:
    """Everything about one run."""

    seed: int
    #: One for each machine: ``dmqcache``, ``bus`` (no tables), ``older``, or one of ``cluster.VERSIONS``.
    kinds: list[str]
    tables: list[str]
    options: StoreOptions
    #: How many of the first machines are notification addresses.
    seeds: int
    skews_ms: list[int]
    #: Seconds after which all is healed and no client writes any more.
    until: float
    #: Whether the clocks are kept, so that the newest write is the one with the latest version.
    sane: bool
    events: list[Event] = field(default_factory=list)
    #: Whether Kamailio nodes write too.
    kamailios_write: bool = True
    #: ``udp`` or ``tcp``.
    transport: str = "udp"
    #: Machines that stay dead.
    dead: set[int] = field(default_factory=set)
    #: Machines whose node keeps its tables on disk.
    disks: set[int] = field(default_factory=set)
    #: Machines whose Kamailio calls itself by a name; those whose Kamailio sends from another address.
    named: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)
    #: Whether the bus has a key, of which listed Kamailio nodes know nothing.
    keyed: bool = False

    @property
    def pure(self) -> bool:
        """No Kamailio is there."""
        return not any(kind.startswith("kamailio") for kind in self.kinds)

    @property
    def patient(self) -> bool:
        """Whether only the comparison with Kamailio nodes now and then finds all that is wrong: they wrote
        while nobody heard them, removed something without a word, or had an old message again that the
        network had doubled; or whether the one notification address, when it has been away, must wait for
        their pings."""
        removed = any(event.what in ("k_flush", "k_reload") for event in self.events)
        return not self.pure and (self.kamailios_write or self.doubled or removed or self.seeds == 1)

    @property
    def doubled(self) -> bool:
        """Whether the network doubles messages."""
        return any(weather.duplicate for weather in self._weathers())

    @property
    def jittery(self) -> bool:
        """Whether messages overtook one another by so much that round trips said little."""
        return any(weather.reorder and weather.reorder_delay >= JITTER_S for weather in self._weathers())

    def _weathers(self) -> Iterator[Weather]:
        for event in self.events:
            yield from (argument for argument in event.args if isinstance(argument, Weather))


def draw(
    seed: int, size: int | None = None, kamailio: bool | None = None, disks: bool = False, keyed: bool = False
) -> Scenario:
    """The scenario of a seed; ``size`` and ``kamailio`` force what is otherwise drawn. ``disks``: some nodes
    keep their tables on disk, or all, and now and then all are gone at once. ``keyed``: the bus has a key."""
    scenario = _Draw(seed, size, kamailio).scenario
    if not scenario.pure:
        _draw_kamailios(scenario)
    scenario.keyed = keyed
    if disks:
        _draw_disks(scenario)
    return scenario


def _draw_kamailios(scenario: Scenario) -> None:
    """How Kamailio nodes are beside each other: of several versions, without tables, with a name, sending
    from another address; and what is removed there of which nobody is told. Half of the runs are without."""
    chance = random.Random(f"dmqcache kamailios {scenario.seed}")
    if chance.random() < 0.5:
        return
    numbers = [number for number, kind in enumerate(scenario.kinds) if kind.startswith("kamailio")]
    for number in numbers:
        if chance.random() < 0.3:
            scenario.kinds[number] = "kamailio61"
    if len(numbers) > 1 and chance.random() < 0.3:
        scenario.kinds[chance.choice(numbers)] = "bare"
    for number in numbers:
        drawn = chance.random()
        if drawn < 0.2:
            scenario.named.add(number)
        elif drawn < 0.4:
            scenario.elsewhere.add(number)
    holders = [number for number in numbers if scenario.kinds[number] != "bare"]
    # What is removed without a word comes back, so that in the end all hold the same.
    scenario.tables = [*scenario.tables, "loaded=>removals=refill"]
    for step in range(chance.choice((0, 4, 8))):
        at, number = chance.uniform(START_S, scenario.until), chance.choice(holders)
        rows = {f"l{chance.randrange(6)}": f"row {step} {row}" for row in range(chance.randint(0, 4))}
        what: list[tuple[str, tuple[Any, ...]]] = [
            ("k_reload", (number, "loaded", rows)),
            ("k_flush", (number, "loaded")),
        ]
        if scenario.kamailios_write:
            what.append(("k_set", (number, "loaded", f"l{chance.randrange(6)}", f"set {step}", None)))
        scenario.events.append(Event(at, *chance.choice(what)))
    # Of a Kamailio without tables its script has nothing to write.
    bare = {number for number, kind in enumerate(scenario.kinds) if kind == "bare"}
    scenario.events = [
        event for event in scenario.events if not (event.what.startswith("k_") and event.args[0] in bare)
    ]
    scenario.events.sort(key=lambda event: event.at)


def _draw_disks(scenario: Scenario) -> None:
    """Beside all else that happens, which is the same as without disks."""
    chance = random.Random(f"dmqcache disks {scenario.seed}")
    caches = [number for number, kind in enumerate(scenario.kinds) if kind == "dmqcache"]
    scenario.disks = set(caches if chance.random() < 0.5 else chance.sample(caches, (len(caches) + 1) // 2))
    for _ in range(chance.choice((0, 1, 1, 2))):
        at = chance.uniform(START_S, scenario.until - 1.0)
        for number in chance.sample(caches, len(caches)):
            end = chance.choice(("crash", "crash", "leave"))
            scenario.events.append(Event(at + chance.uniform(0.0, 0.5), end, (number,)))
            back = at + 2.0 + chance.choice((0.1, 2.0, 10.0)) * chance.random()
            if back < scenario.until:
                scenario.events.append(Event(back, "start", (number,)))
    scenario.events.sort(key=lambda event: event.at)


class _Draw:
    def __init__(self, seed: int, size: int | None, kamailio: bool | None) -> None:
        self.chance = chance = random.Random(f"dmqcache scenario {seed}")
        size = size or self._size()
        kinds = self._kinds(size, kamailio)
        large = size > 10
        # A Kamailio's times are Unix times: it needs a clock that is right.
        kamailios = "kamailio5" in kinds or "kamailio62" in kinds
        sane = kamailios or chance.random() < 0.9
        self.scenario = scenario = Scenario(
            seed,
            kinds,
            self._tables(),
            self._options(kamailios),
            seeds=min(size, chance.choice((1, 2, 2, 3))),
            skews_ms=self._skews(size, sane),
            until=chance.uniform(8.0, 20.0) if large else chance.uniform(8.0, 60.0),
            sane=sane,
            kamailios_write=chance.random() < 0.6,
            transport="tcp" if not kamailios and chance.random() < 0.2 else "udp",
        )
        self._start()
        self._weather(0.0)
        for _ in range(chance.choice((0, 1, 2, 3, 3, 4, 5, 6, 8))):
            self._fault()
        self._older()
        Operations(scenario, chance, self._add).draw(60 if large else 150)
        scenario.events.sort(key=lambda event: event.at)

    def _add(self, at: float, what: str, *args: Any) -> None:
        if at < self.scenario.until:
            self.scenario.events.append(Event(at, what, args))

    # -- the cluster -------------------------------------------------------------------------------------

    def _size(self) -> int:
        if self.chance.random() < 0.02:
            return self.chance.randint(12, 50)
        return self.chance.choice((2, 2, 3, 3, 3, 3, 4, 4, 5, 6))

    def _kinds(self, size: int, kamailio: bool | None) -> list[str]:
        chance = self.chance
        kinds = ["dmqcache"] * size
        wanted = chance.random() < 0.3 and size <= 12
        if wanted if kamailio is None else kamailio:
            kind = chance.choice(("kamailio5", "kamailio5", "kamailio62"))
            for number in chance.sample(range(size), chance.randint(1, max(1, size - 1))):
                kinds[number] = kind
        elif size > 2 and chance.random() < 0.1:
            kinds[chance.randrange(size)] = chance.choice(("bus", "older"))
        return kinds

    def _tables(self) -> list[str]:
        chance = self.chance
        update = chance.choice(("", "", ";updateexpire=0"))
        return ["plain", f"timed=>autoexpire={chance.choice((20, 60, 600))}{update}", "flushed"]

    def _options(self, kamailio: bool) -> StoreOptions:
        chance = self.chance
        return store_options(
            outbox_limit=chance.choice((200_000, 200_000, 10, 100)),
            # With Kamailio nodes they must outlive the routine comparison, which is made every 300 s.
            tombstone_ttl=900.0 if kamailio else chance.choice((900.0, 900.0, 60.0)),
            tombstone_limit=chance.choice((100_000, 100_000, 100_000, 40, 5)),
            join_wait=JOIN_WAIT_S,
        )

    def _skews(self, size: int, sane: bool) -> list[int]:
        chance = self.chance
        # Only clocks that agree to the millisecond give two writes the same version.
        most = chance.choice((0, SANE_SKEW_MS))
        skews = [chance.randint(-most, most) for _ in range(size)]
        if not sane:
            skews[chance.randrange(size)] += chance.choice((-1, 1)) * chance.randint(5_000, INSANE_SKEW_MS)
        return skews

    def _start(self) -> None:
        chance, scenario = self.chance, self.scenario
        together = chance.random() < 0.5
        for number in range(len(scenario.kinds)):
            at = 0.0 if together else chance.uniform(0.0, START_S)
            if number and chance.random() < 0.1:
                at = chance.uniform(START_S, scenario.until - 1.0)
            self._add(at, "start", number)

    # -- the faults --------------------------------------------------------------------------------------

    def _draw_weather(self) -> Weather:
        chance = self.chance
        good = chance.random() < 0.25
        # Dozens of nodes fill a list with two fragments: at a third lost, little is left of them.
        losses = (0.0, 0.02, 0.1, 0.2, 0.3) if len(self.scenario.kinds) <= 10 else (0.0, 0.02, 0.05)
        return Weather(
            loss=0.0 if good else chance.choice(losses),
            duplicate=chance.choice((0.0, 0.0, 0.02, 0.2)),
            duplicate_delay=chance.choice((0.01, 0.2, 3.0)),
            delay=chance.choice((0.0002, 0.0005, 0.005, 0.04)),
            jitter=chance.choice((0.0001, 0.001, 0.01)),
            reorder=chance.choice((0.0, 0.0, 0.05, 0.2)),
            reorder_delay=chance.choice((0.01, 0.1, 0.5)),
        )

    def _weather(self, at: float) -> None:
        self._add(at, "weather", self._draw_weather())

    def _fault(self) -> None:
        chance, scenario = self.chance, self.scenario
        at = chance.uniform(START_S / 2, scenario.until - 1.0)
        number = chance.randrange(len(scenario.kinds))
        seconds = chance.choice((0.3, 1.0, 3.0, 8.0, 20.0)) * chance.uniform(0.5, 1.5)
        faults = (
            ("weather", 2),
            ("link", 1),
            ("partition", 4),
            ("one_way", 2),
            ("crash", 3),
            ("stop", 2),
            ("leave", 1),
            ("slow", 1),
            ("jump", 1),
            ("restarts", 0.3),
            ("lies", 0.7),
            ("apart", 1),
        )
        names, weights = zip(*faults, strict=True)
        name = chance.choices(names, weights)[0]
        getattr(self, f"_fault_{name}")(at, number, seconds)

    def _other(self, number: int) -> int:
        return self.chance.choice([other for other in range(len(self.scenario.kinds)) if other != number])

    def _fault_weather(self, at: float, number: int, seconds: float) -> None:
        self._weather(at)

    def _fault_link(self, at: float, number: int, seconds: float) -> None:
        self._add(at, "link", number, self._other(number), self._draw_weather())

    def _fault_partition(self, at: float, number: int, seconds: float) -> None:
        everybody = list(range(len(self.scenario.kinds)))
        self.chance.shuffle(everybody)
        middle = self.chance.randint(1, len(everybody) - 1)
        groups = (tuple(sorted(everybody[:middle])), tuple(sorted(everybody[middle:])))
        self._add(at, "partition", *groups)
        self._add(at + seconds, "join", *groups)

    def _fault_one_way(self, at: float, number: int, seconds: float) -> None:
        other = self._other(number)
        self._add(at, "cut", number, other)
        self._add(at + seconds, "uncut", number, other)

    def _fault_apart(self, at: float, number: int, seconds: float) -> None:
        """Two nodes hear nothing of each other, and a third one, which hears both, is started anew."""
        other = self._other(number)
        thirds = [third for third in range(len(self.scenario.kinds)) if third not in (number, other)]
        if not thirds:
            return
        third, seconds = self.chance.choice(thirds), max(seconds, APART_S)
        for one, two in ((number, other), (other, number)):
            self._add(at, "cut", one, two)
            self._add(at + seconds, "uncut", one, two)
        self._add(at + self.chance.uniform(0.1, 0.4) * seconds, "crash", third)
        self._add(at + self.chance.uniform(0.4, 0.7) * seconds, "start", third)

    def _fault_crash(self, at: float, number: int, seconds: float) -> None:
        self._add(at, "crash", number)
        # Who joins later must find somebody, so notification addresses come back.
        if self.chance.random() < 0.2 and number >= self.scenario.seeds and not self.scenario.dead:
            self.scenario.dead.add(number)
        else:
            self._add(at + seconds, "start", number)

    def _fault_stop(self, at: float, number: int, seconds: float) -> None:
        full = self.chance.random() < 0.3
        if full:
            # Its socket takes little, and is full soon.
            self._add(at, "slow", number, 0.0, self.chance.choice((5_000, 20_000)))
        self._add(at, "stop", number)
        self._add(at + seconds, "go_on", number)
        if full:
            self._add(at + seconds + 0.1, "slow", number, 0.0, 2_000_000)

    def _fault_leave(self, at: float, number: int, seconds: float) -> None:
        for key in LAST_WORDS if self.scenario.kinds[number] == "dmqcache" else ():
            self._add(at - LAST_WORDS_S, "set", number, "plain", key, f"last words {number} {at:.3f}", None)
        self._add(at, "leave", number)
        self._add(at + 1.2 + seconds, "start", number)

    def _fault_slow(self, at: float, number: int, seconds: float) -> None:
        limit = self.chance.choice((20_000, 100_000, 2_000_000))
        self._add(at, "slow", number, self.chance.choice((0.002, 0.01, 0.04)), limit)
        self._add(at + seconds, "slow", number, 0.0, 2_000_000)

    def _fault_restarts(self, at: float, number: int, seconds: float) -> None:
        """Again and again, as a service does that finds its machine wrong."""
        count = self.chance.choice((10, 10, 40, 150))
        left = self.scenario.until - 0.5 - at
        for step in range(count):
            self._add(at + left * step / count, "crash", number)
            self._add(at + left * (step + 0.5) / count, "start", number)

    def _fault_lies(self, at: float, number: int, seconds: float) -> None:
        """One node tells others what no node may, or may not so."""
        chance = self.chance
        for _ in range(chance.choice((1, 4, 20))):
            key = f"{chance.choice('kkcr')}{chance.randrange(4)}"
            moment = at + chance.uniform(0.0, seconds)
            self._add(moment, "lie", number, self._other(number), chance.choice(NAMES), key)

    def _older(self) -> None:
        """What nodes of an older wire say."""
        chance = self.chance
        for number, kind in enumerate(self.scenario.kinds):
            for _ in range(chance.randint(1, 6) if kind == "older" else 0):
                key = f"{chance.choice('kkcr')}{chance.randrange(4)}"
                self._add(chance.uniform(START_S, self.scenario.until), "older", number, key)

    def _fault_jump(self, at: float, number: int, seconds: float) -> None:
        most = SANE_SKEW_MS if self.scenario.sane else INSANE_SKEW_MS
        self._add(at, "jump", number, self.chance.randint(-most, most))
