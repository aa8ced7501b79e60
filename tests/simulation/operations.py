"""What clients do in a scenario: sets, deletes, increments, times to live, patterns and flushes, at any node.

Keys are named by what is done to them, so that the oracle knows what each must hold in the end:

- ``k``: written by dmqcache nodes alone: the newest write must win, and its time counts;
- ``h``: the same, with thousands of sets a second;
- ``g`` (table ``flushed``): the same, with flushes;
- ``c``: only incremented, by dmqcache nodes alone: every increment must count;
- ``r``: the same, and set and deleted in between;
- ``z``: set and deleted by the script of one Kamailio, which waits until all have a change before the next:
  the last one must win;
- ``w``: whatever any node does; all must agree on it;
- ``t`` (table ``timed``) and ``f`` (table ``flushed``): the same, with times and flushes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario

Add = Callable[..., None]
#: Values that have broken something somewhere before.
ODD = ("", "0", "-1", 'quo"te\\', "línea\n", "\udcff\udc80", "nul\0nul", "x" * 3_000, "\t\r\x01")
#: Characters of a key that no table takes.
TOO_LONG = 5_000
#: Integers from here on are written once only, so that they tell which write a node shows.
ONCE = 10_000


class Operations:
    """Draws the operations of one scenario."""

    def __init__(self, scenario: Scenario, chance: random.Random, add: Add) -> None:
        self._scenario = scenario
        self._chance = chance
        self._add = add
        kinds = scenario.kinds
        self._caches = [number for number, kind in enumerate(kinds) if kind == "dmqcache"]
        self._kamailios = [number for number, kind in enumerate(kinds) if kind.startswith("kamailio")]
        self._number = 0
        self._keys = chance.choice((2, 6, 20))

    def draw(self, most: int) -> None:
        """Add up to so many operations, some of them as near to each other as milliseconds."""
        chance = self._chance
        for _ in range(chance.randint(10, most)):
            at = chance.uniform(1.0, self._scenario.until)
            self._one(at)
        if chance.random() < 0.3:
            self._bulk(chance.uniform(1.0, 6.0), chance.choice((50, 300, 1_500)))
        if chance.random() < 0.3:
            self._crowd(chance.uniform(1.0, self._scenario.until), chance.randint(5, 40))
        if chance.random() < 0.08:
            self._heat(chance.uniform(1.0, self._scenario.until - 2.0))

    def _one(self, at: float) -> None:
        chance = self._chance
        if self._kamailios and self._scenario.kamailios_write and chance.random() < 0.3:
            self._by_kamailio(at, chance.choice(self._kamailios))
            return
        if not self._caches:
            return
        number = chance.choice(self._caches)
        kind = chance.choices("kgcrwtf", (6, 2, 2, 3, 2, 3, 2))[0]
        key = f"{kind}{chance.randrange(self._keys)}"
        again = chance.random() < 0.25
        getattr(self, f"_{kind}")(at, number, key)
        if chance.random() < 0.08:
            self._wait(at + chance.choice((0.0, 0.0, 0.1)), number)
        if again:
            later = at + chance.choice((0.0, 0.0, 0.001, 0.02, 0.3))
            getattr(self, f"_{kind}")(later, chance.choice(self._caches), key)

    def _wait(self, at: float, number: int) -> None:
        """WAIT for what was written there until then."""
        chance = self._chance
        nodes = chance.choice((None, 1, 2, 3))
        stays = chance.choice((None, None, 0.0, 0.2))
        self._add(at, "wait", number, nodes, chance.choice((None, 0.05, 0.5, 3.0)), stays)

    def _value(self) -> str | int:
        chance = self._chance
        self._number += 1
        drawn = chance.random()
        if drawn < 0.05:
            return chance.choice(ODD)
        if drawn < 0.2:
            return chance.randint(-50, 50)
        return f"v{self._number}"

    def _value_once(self) -> str | int:
        """A value that nobody else writes."""
        chance = self._chance
        self._number += 1
        drawn = chance.random()
        if drawn < 0.05:
            return f"{chance.choice(ODD)}#{self._number}".replace("\0", "0")
        if drawn < 0.2:
            return chance.choice((1, -1)) * (ONCE + self._number)
        return f"v{self._number}"

    def _k(self, at: float, number: int, key: str) -> None:
        chance = self._chance
        drawn = chance.random()
        if drawn < 0.03:
            self._add(at, "remove", number, "plain", f"^k{chance.randrange(3)}")
        elif drawn < 0.25:
            self._add(at, "delete", number, "plain", key)
        elif drawn < 0.29:
            self._add(at, "expire", number, "plain", key, chance.choice((0.5, 5.0, 30.0, 100.0)))
        elif drawn < 0.33:
            self._add(at, "getex", number, key, chance.choice((0, 3, 20, 200)))
        elif drawn < 0.38:
            pairs = [(name, self._text()) for name in self._some(key)]
            if chance.random() < 0.2:
                # No table holds such a key: nothing of it may be done.
                pairs.append(("k" * TOO_LONG, self._text()))
            self._add(at, "mset", number, tuple(pairs))
        elif drawn < 0.43:
            first, *others = self._some(key)
            self._add(at, "multi", number, ((first, self._text()),), tuple(others))
        else:
            ttl = chance.choice((None, None, None, None, 3.0, 20.0, 200.0))
            self._add(at, "set", number, "plain", key, self._value_once(), ttl)

    def _some(self, key: str) -> list[str]:
        """This key and a few others."""
        names = [f"k{number}" for number in range(self._keys) if f"k{number}" != key]
        return [key, *self._chance.sample(names, self._chance.randint(0, min(3, len(names))))]

    def _text(self) -> str:
        self._number += 1
        return f"v{self._number}"

    def _g(self, at: float, number: int, key: str) -> None:
        drawn = self._chance.random()
        if drawn < 0.08:
            self._add(at, "flush", number, "flushed")
            if self._chance.random() < 0.5:
                self._wait(at, number)
        elif drawn < 0.3:
            self._add(at, "delete", number, "flushed", key)
        else:
            self._add(at, "set", number, "flushed", key, self._value_once(), None)

    def _c(self, at: float, number: int, key: str) -> None:
        self._add(at, "incr", number, "plain", key, self._chance.choice((1, 1, 1, -1)))

    def _r(self, at: float, number: int, key: str) -> None:
        drawn = self._chance.random()
        if drawn < 0.12:
            self._add(at, "delete", number, "plain", key)
        elif drawn < 0.24:
            self._add(at, "set_sum", number, key)
        else:
            self._c(at, number, key)

    def _w(self, at: float, number: int, key: str) -> None:
        self._any(at, number, "plain", key)

    def _t(self, at: float, number: int, key: str) -> None:
        self._any(at, number, "timed", key)

    def _f(self, at: float, number: int, key: str) -> None:
        if self._chance.random() < 0.1:
            self._add(at, "flush", number, "flushed")
        else:
            self._any(at, number, "flushed", key)

    def _any(self, at: float, number: int, table: str, key: str) -> None:
        chance = self._chance
        drawn = chance.random()
        if drawn < 0.15:
            self._add(at, "delete", number, table, key)
        elif drawn < 0.3:
            self._add(at, "incr", number, table, key, chance.choice((1, 2, -3)))
        elif drawn < 0.45:
            self._add(at, "expire", number, table, key, self._ttl(table) or 30.0)
        else:
            self._add(at, "set", number, table, key, self._value(), self._ttl(table))

    def _ttl(self, table: str) -> float | None:
        # A Kamailio never shows a cell that lives for ever where others have times, so nobody could know of
        # one that came to it late from another Kamailio.
        hidden = table == "timed" and bool(self._kamailios)
        return self._chance.choice((None, None, None if hidden else 0.0, 0.5, 3.0, 15.0, 100.0, 1_000.0))

    def _by_kamailio(self, at: float, number: int) -> None:
        chance = self._chance
        kind = chance.choice("wtfz")
        if kind == "z":
            value = None if chance.random() < 0.4 else f"z{self._value()}".partition("\0")[0]
            self._add(at, "k_careful", number, value)
            return
        table = {"w": "plain", "t": "timed", "f": "flushed"}[kind]
        key = f"{kind}{chance.randrange(self._keys)}"
        drawn = chance.random()
        if drawn < 0.15:
            self._add(at, "k_delete", number, table, key)
        elif drawn < 0.25:
            self._add(at, "k_incr", number, table, key, 1)
        elif drawn < 0.35:
            self._add(at, "k_expire", number, table, key, chance.choice((2, 3, 40, 1_000)))
        elif drawn < 0.38:
            self._add(at, "k_remove", number, table, f"^{kind}{chance.randrange(3)}")
        else:
            value = self._value()
            if isinstance(value, str):
                value = value.partition("\0")[0]
            seconds = chance.choice((None, None, 5, 50)) if kind == "t" else None
            self._add(at, "k_set", number, table, key, value, seconds)

    def _bulk(self, at: float, count: int) -> None:
        """Many keys at once, as a script would."""
        chance = self._chance
        if self._caches:
            self._add(at, "bulk", chance.choice(self._caches), "plain", count)

    def _crowd(self, at: float, count: int) -> None:
        """Everybody writes the same few keys at once."""
        chance = self._chance
        for _ in range(count if self._caches else 0):
            kind = chance.choice("kcr")
            moment = at + chance.uniform(0.0, 0.2)
            getattr(self, f"_{kind}")(moment, chance.choice(self._caches), f"{kind}{chance.randrange(2)}")

    def _heat(self, at: float) -> None:
        """Thousands of sets a second of one key, and then a few at other nodes."""
        chance = self._chance
        if not self._caches:
            return
        for _ in range(chance.choice((1, 1, 2))):
            milliseconds = chance.choice((50, 300, 800))
            self._add(at, "hot", chance.choice(self._caches), "h0", chance.choice((1, 2, 5)), milliseconds)
        for _ in range(chance.randint(1, 4)):
            later, number = at + chance.uniform(0.0, 10.0), chance.choice(self._caches)
            if chance.random() < 0.3:
                self._add(later, "delete", number, "plain", "h0")
            else:
                self._add(later, "set", number, "plain", "h0", self._value_once(), None)
