"""What a scenario has beside what its seed has always drawn, each from a random source of its own.

So no run changes when another kind is added. Registrations are ``draw_usrloc.py``'s.
"""

from __future__ import annotations

import random
from typing import Any

from tests.simulation.scenario import START_S, Event, Scenario


def draw_kamailios(scenario: Scenario) -> None:
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


def draw_clocks(scenario: Scenario) -> None:
    """The clocks of all nodes are set at once: those of odd seeds are ahead until then and are set back,
    those of even seeds leap forward. Not where that promises nothing: the times of a Kamailio are Unix times,
    and clocks that are wrong anyhow do not say which write wins."""
    if not scenario.pure or not scenario.sane:
        return
    chance = random.Random(f"dmqcache clocks {scenario.seed}")
    by = chance.choice((5_000, 60_000, 7_200_000))
    when = chance.uniform(0.3, 0.8) * scenario.until
    back = scenario.seed % 2 > 0
    if back:
        scenario.ahead_ms = by
    scenario.events.append(Event(when, "jump_all", (-by if back else by,)))
    scenario.events.sort(key=lambda event: event.at)


def draw_disks(scenario: Scenario) -> None:
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
