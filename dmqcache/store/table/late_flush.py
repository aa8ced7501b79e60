"""A flush that this node hears of late: the table is looked through in steps, then all is gone in one moment.

Owns the search for what such a flush leaves, and the books on that, which are kept right whatever is written
meanwhile. A table of a million cells takes a second or two, in which others have their turns, and the flush
counts as not yet heard. A flush that comes in time needs none of this: ``flushing.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.digest import Digest
from dmqcache.store.table.new_books import Entry, NewBooks
from dmqcache.store.table.order import KeyOrder
from dmqcache.store.table.tombstones import Tombstones

#: Keys that are looked at in one piece, and cells that are entered in one: a fraction of a millisecond.
LOOKED_AT: Final = 500
ENTERED: Final = 100
#: Where no more than so many die, they are taken out of the books one by one.
FEW_DEAD: Final = 1_000
#: Dictionaries of what was entered.
APART: Final = 64


class Flushed(Protocol):
    """What a flush needs of its table."""

    cells: dict[str, Cell]
    order: KeyOrder
    tombstones: Tombstones
    digest: Digest

    def note_all(self, changed: dict[str, int]) -> None:
        """These were noted by the flush instead of the table; what changes now goes to ``changed`` anew."""


class LateFlush:
    """One flush of one table, until it happens."""

    def __init__(self, table: Flushed, floor: int) -> None:
        self.floor = floor
        #: What changed since it was last looked at: the table notes each key here.
        self.changed: dict[str, int] = {}
        #: Whether all is found.
        self.ready = False
        #: It has happened, or another one, or it is given up: nothing is noted here any more.
        self.over = False
        #: What the table will hold; None: nearly all of what it does, and the dead are ``dead``.
        self.books: NewBooks | None = None
        self.dead: dict[str, None] = {}
        self._table = table
        self._kept: list[str] = []
        #: What was entered, apart by the keys' hashes: one dictionary that outgrows its memory takes long.
        self._entered: tuple[dict[str, Entry], ...] = tuple({} for _ in range(APART))

    def steps(self) -> Iterator[None]:
        """Look through the table, a piece at a time. Ends early where another flush came first."""
        for keys in self._keys():
            self._look_at(keys)
            yield
            if not self._goes_on():
                return
        if len(self.dead) > FEW_DEAD:
            self.books = NewBooks(self._table.digest.depth)
            for start in range(0, len(self._kept), ENTERED):
                for key in self._kept[start : start + ENTERED]:
                    self._enter(key)
                yield
                if not self._goes_on():
                    return
        self.ready = True

    def catch_up(self) -> None:
        """Look again at what changed meanwhile."""
        changed, self.changed = self.changed, {}
        self._table.note_all(changed)
        for key in changed:
            if self.books is None:
                cell = self._table.cells.get(key)
                if cell is None:
                    continue
                if self.stays(cell):
                    self._kept.append(key)
                else:
                    self.dead[key] = None
                continue
            entry = self._entered[hash(key) % APART].pop(key, None)
            if entry is not None:
                self.books.leave(key, entry)
            self._enter(key)

    def end(self) -> None:
        """It happens now, or not at all. The table has let go of it already."""
        self.catch_up()
        self.over = True

    def emptied(self, count: int) -> Iterator[None]:
        """Give the memory back, so much at a time: the table has the books."""
        for entered in self._entered:
            while entered:
                for _ in range(min(count, len(entered))):
                    entered.popitem()
                yield
        while self._kept:
            del self._kept[-count:]
            yield

    def stays(self, cell: Cell) -> bool:
        """Whether the table will hold a cell."""
        return cell.stamp > self.floor

    def _goes_on(self) -> bool:
        if not self.over:
            self.catch_up()
        return not self.over

    def _keys(self) -> Iterator[list[str]]:
        yield from self._table.order.walk(LOOKED_AT)
        yield from self._table.tombstones.walk(LOOKED_AT)

    def _look_at(self, keys: list[str]) -> None:
        cells, stays, dead, kept = self._table.cells, self.stays, self.dead, self._kept
        for key in keys:
            cell = cells.get(key)
            if cell is None:
                continue
            if stays(cell):
                kept.append(key)
            elif len(dead) <= FEW_DEAD:
                dead[key] = None

    def _enter(self, key: str) -> None:
        assert self.books is not None
        cell = self._table.cells.get(key)
        entered = self._entered[hash(key) % APART]
        if cell is not None and self.stays(cell) and key not in entered:
            entered[key] = self.books.enter(cell, self._table.tombstones)
