"""A flush that takes no longer the more cells there are: what it leaves, and taking apart what it kills.

A flush is about a moment, and nearly all cells of a table are older. Their keys need not be looked through to
find the few that are not: ``Recent`` notes what was written within the last second or so. For a moment that
lies further back, as after a partition, the table is looked through in steps beforehand: ``late_flush.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from math import inf
from typing import Final, NamedTuple

from dmqcache.store.table.cell import Cell

#: Seconds of one part, a little less than from sweep to sweep, and how many there are: a flush made elsewhere
#: comes within a few round trips. One part is looked through, and given up, at once: some 3 ms where 130,000
#: cells are written in a second.
PART_S: Final = 3 / 32
PARTS: Final = 16
#: Cells that are taken apart at once: less than a millisecond.
APART: Final = 1_000


class _Part(NamedTuple):
    """What was written within one of the parts that are over."""

    #: The version of when it began, and the greatest that was noted.
    begun: int
    latest: int
    keys: dict[str, int]


class Recent:
    """The keys of all cells with a version above :attr:`horizon`, some others, and some that are gone."""

    def __init__(self, version: int) -> None:
        """``version``: that of now; what has an earlier one is not noted."""
        self.horizon = version
        #: Keys that are written now go here, each with its version.
        self.keys: dict[str, int] = {}
        self._begun = version
        #: Those before, the oldest first.
        self._parts: deque[_Part] = deque()
        self._turned = float("-inf")

    def turn(self, now: float, version: int, cells: Mapping[str, Cell]) -> None:
        """Now and then: begin a new part, and forget the oldest but for what is still above the others.
        ``now``: monotonic seconds; ``version``: that of now, whatever the clock did."""
        if now - self._turned < PART_S:
            return
        self._turned = now
        if self.keys or self._begun < version:
            self._parts.append(_Part(self._begun, max(self.keys.values(), default=0), self.keys))
            self.keys, self._begun = {}, max(version, self._begun)
        if len(self._parts) >= PARTS:
            oldest = self._parts.popleft()
            self.horizon = self._parts[0].begun
            # Only if a clock is wrong: else no key is looked at, however many were written.
            if oldest.latest > self.horizon:
                for key, stamp in oldest.keys.items():
                    if stamp > self.horizon and key in cells:
                        self.keys[key] = max(stamp, self.keys.get(key, 0))

    def above(self, version: int, cells: Mapping[str, Cell]) -> list[Cell]:
        """The cells with a version above this one."""
        if version < self.horizon:
            return [cell for cell in cells.values() if cell.stamp > version]
        noted = (cells.get(key) for key in self.noted_above(version))
        return [cell for cell in noted if cell is not None and cell.stamp > version]

    def noted_above(self, version: int, enough: float = inf) -> set[str]:
        """The keys that were noted with a version above this one; of more than ``enough``, some."""
        # For speed: of many keys nearly all are told by what was noted of them.
        found = {key for key, stamp in self.keys.items() if stamp > version}
        for part in reversed(self._parts):
            if len(found) > enough:
                break
            if part.latest > version:
                found.update([key for key, stamp in part.keys.items() if stamp > version])
        return found


def take_apart(
    former: dict[str, Cell],
    floor: int,
    held: Callable[[], Mapping[str, Cell]],
    told: Callable[[str], None],
    *books: Iterator[None],
) -> Iterator[list[str]]:
    """Give back the memory of the cells up to version ``floor``, which a flush killed: all at once would take
    tenths of a second. ``held``: the cells of the table now. Yields the keys of those that lived, some at a
    time; ``told`` is told of each. ``books`` on them go then."""
    while former:
        cells, lived = held(), list[str]()
        for _ in range(min(APART, len(former))):
            key, cell = former.popitem()
            # What lay ahead and was dated anew since may stand below the floor, and lives.
            if cell.stamp > floor or cells.get(key) is cell:
                continue
            if cell.value is not None:
                lived.append(key)
                told(key)
            # Whoever holds one, as an index of leaves does, must see that it is dead.
            cell.value = None
            cell.digest = 0
        yield lived
    for _ in chain.from_iterable(books):
        yield []
