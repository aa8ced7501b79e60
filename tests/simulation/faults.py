"""What happens in one run: a seed draws the cluster, the faults and what clients do, each with its moment.

Owns the mixture. A scenario is only a list of events, made before anything runs; ``run.py`` lives through it.
"""

from __future__ import annotations

import random
from typing import Any

from dmqcache.store.store import StoreOptions
from tests.simulation.draw_beside import draw_clocks, draw_disks, draw_kamailios
from tests.simulation.draw_usrloc import draw_usrloc, usrloc_size
from tests.simulation.hostile import NAMES
from tests.simulation.network import Weather
from tests.simulation.operations import Operations
from tests.simulation.scenario import START_S, Event, Scenario
from tests.store_options import store_options

#: Seconds that a node without notification addresses waits for others, as by default.
JOIN_WAIT_S = 3.0
#: Seconds for which two nodes are apart while a third one is started anew.
APART_S = 8.0
#: What a node is told just before it is told to leave, and how many seconds before.
LAST_WORDS = ("k0", "k1", "k2", "k3")
LAST_WORDS_S = 0.0
#: Milliseconds by which clocks that NTP keeps may differ.
SANE_SKEW_MS = 400
#: Milliseconds by which a clock that nobody keeps may be wrong.
INSANE_SKEW_MS = 4_000_000


def draw(
    seed: int,
    size: int | None = None,
    kamailio: bool | None = None,
    disks: bool = False,
    keyed: bool = False,
    usrloc: bool = False,
    clocks: bool = False,
) -> Scenario:
    """The scenario of a seed; ``size`` and ``kamailio`` force what is otherwise drawn. ``disks``: some nodes
    keep their tables on disk, or all, and now and then all are gone at once. ``keyed``: the bus has a key.
    ``usrloc``: there are Kamailio nodes, and phones register with them. ``clocks``: no Kamailio is there, and
    all clocks are set at once."""
    if clocks:
        kamailio = False
    if usrloc:
        size, kamailio = size or usrloc_size(seed), True
    scenario = _Draw(seed, size, kamailio).scenario
    if not scenario.pure:
        draw_kamailios(scenario)
    scenario.keyed = keyed
    if clocks:
        draw_clocks(scenario)
    if disks:
        draw_disks(scenario)
    if usrloc:
        draw_usrloc(scenario)
    return scenario


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
