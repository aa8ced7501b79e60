"""Draws registrations beside all else that happens in a run: phones, their registrars, and who is cut off.

From a random source of its own, so that no other run changes. What is left out of such a run is what no
release of dmq_usrloc, and so no mirror of it, gets over: clocks that jump while contacts are ordered by them,
and registrars that hear each other not, or one way only, while dmqcache nodes hear both.
"""

from __future__ import annotations

import random

from tests.simulation.scenario import Event, Scenario

#: Seconds that such a run takes at least and at most.
LEAST_S, MOST_S = 30.0, 120.0
#: Seconds for which a phone registers.
EXPIRES_S = (20, 60, 600, 3_600, 3_600, 0)
#: What does not happen beside registrations.
LEFT_OUT = frozenset({"cut", "uncut", "partition", "join", "slow", "jump"})


def draw_usrloc(scenario: Scenario) -> None:
    """Have phones register with the Kamailio nodes of a scenario, in the middle of everything."""
    draw = _Registrations(scenario)
    scenario.usrloc = True
    scenario.events = [event for event in scenario.events if event.what not in LEFT_OUT]
    scenario.until = max(scenario.until, draw.chance.uniform(LEAST_S, MOST_S))
    draw.phones()
    draw.faults()
    scenario.events.sort(key=lambda event: event.at)


def usrloc_size(seed: int) -> int:
    """How many machines such a run has: more would do nothing else."""
    return random.Random(f"dmqcache usrloc size {seed}").choice((2, 3, 3, 4, 4, 5))


class _Registrations:
    def __init__(self, scenario: Scenario) -> None:
        self.chance = random.Random(f"dmqcache usrloc {scenario.seed}")
        self._scenario = scenario
        kinds = list(enumerate(scenario.kinds))
        self._registrars = [number for number, kind in kinds if kind.startswith("kamailio")]

    def _add(self, at: float, what: str, *args: object) -> None:
        if at < self._scenario.until:
            self._scenario.events.append(Event(at, what, args))

    def phones(self) -> None:
        """Each has a registrar."""
        chance = self.chance
        for number in range(chance.choice((2, 5, 12))):
            registrar, phone = chance.choice(self._registrars), f"phone{number}"
            for _ in range(chance.choice((1, 2, 4, 8))):
                at = chance.uniform(1.0, self._scenario.until)
                self._add(at, "phone_registers", registrar, phone, chance.choice(EXPIRES_S))
                if chance.random() < 0.3:
                    later = at + chance.choice((0.5, 5.0, 20.0)) * chance.random()
                    self._add(later, "phone_unregisters", registrar, phone)

    def faults(self) -> None:
        """One after the other: two halves that hear nothing of each other; registrars that are started
        again, all of them now and then; dmqcache nodes that are."""
        chance, scenario = self.chance, self._scenario
        at = chance.uniform(3.0, 10.0)
        while at < scenario.until and chance.random() < 0.85:
            seconds = chance.choice((1.0, 8.0, 25.0, 45.0)) * chance.uniform(0.6, 1.2)
            what = chance.choice((self._halves, self._halves, self._restart, self._restart_all))
            what(at, seconds)
            at += seconds + chance.choice((0.0, 5.0, 20.0)) * chance.random()

    def _halves(self, at: float, seconds: float) -> None:
        everybody = list(range(len(self._scenario.kinds)))
        self.chance.shuffle(everybody)
        middle = self.chance.randint(1, len(everybody) - 1)
        groups = (tuple(sorted(everybody[:middle])), tuple(sorted(everybody[middle:])))
        self._add(at, "partition", *groups)
        self._add(at + seconds, "join", *groups)

    def _restart(self, at: float, seconds: float) -> None:
        number = self.chance.randrange(len(self._scenario.kinds))
        self._add(at, self.chance.choice(("crash", "leave")), number)
        self._add(at + min(seconds, 1.5), "start", number)

    def _restart_all(self, at: float, seconds: float) -> None:
        for number in self._registrars:
            self._add(at + self.chance.uniform(0.0, 0.5), "crash", number)
            self._add(at + seconds / 2 + self.chance.uniform(0.6, 1.5), "start", number)
