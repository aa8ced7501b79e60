"""What was written while clocks were wrong, far ahead, gets a version that other nodes believe.

Where this node's clock was set back, by as much less as it was: so what is dated anew stays below all that
was written since, here and elsewhere, and keeps its order; nodes that were set back together agree on it.
Where that is not known, as after a start, it is dated as written now.

A large table is gone through in pieces. What is needed meanwhile, as other nodes' rows come for it or it is
written here, is brought down before that: so nobody can tell that not all was dated anew in one moment.

Owns the new versions and keeps the books right. When that is due, and who is told, ``local_writes.py`` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from dmqcache.store.table.cell import Cell, cell_digest
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import dated
from dmqcache.store.table.order import walk
from dmqcache.store.table.tombstones import walk_dead

#: By so much more a clock may seem to have been set back than it was.
TOO_MANY: Final = version_at(2_000)
#: Cells that are looked at in one piece: half a millisecond if all of them are dated anew.
PIECE: Final = 100


class Redating:
    """Gives what has a version above what may be one that is not above that of its beginning; the floor
    first, and at once."""

    def __init__(self, table: Cells) -> None:
        self._table = table
        #: The floor was among it: all nodes have to hear of it.
        self.lowered = False
        #: How often it has begun.
        self._begun = 0
        self._begin()

    def _begin(self) -> None:
        table = self._table
        self._begun += 1
        self._limit = table.clock.limit()
        self._now = table.clock.version()
        self._less = version_at(table.clock.set_back_by())
        if table.floor > self._limit:
            self.lowered = True
            table.floor = self._anew(table.floor, self._now - 1)

    def pieces(self) -> Iterator[list[Cell]]:
        """Go through the table, so many cells at a time; yields those that were dated anew."""
        begun = 0
        while begun != self._begun:
            begun = self._begun
            for keys in chain(walk(self._table, PIECE), walk_dead(self._table, PIECE)):
                limit, cells = self._looked_at_clock(), map(self._table.cells.get, keys)
                ahead = [cell for cell in cells if cell and (cell.stamp > limit or cell.counts is not None)]
                yield [cell for cell in ahead if self.date(cell)]
                if begun != self._begun:
                    break

    def date(self, cell: Cell) -> bool:
        """Date a cell anew, or bury it: False: it does not lie ahead."""
        return self._bury(cell) or self.bring_down(cell)

    def _bury(self, cell: Cell) -> bool:
        """Whether a flush killed it that was heard of while it lay ahead, as shows only with the version that
        it would have had."""
        table, limit, last = self._table, self._looked_at_clock(), cell.last_modified()
        if not self._less or last <= limit or last - self._less + TOO_MANY > table.floor:
            return False
        table._delete_cell(cell, last - self._less)
        table.tombstones.remove(cell.key)
        del table.cells[cell.key]
        return True

    def bring_down(self, cell: Cell) -> bool:
        """Date a cell anew that lives; False: it does not lie ahead."""
        table, limit = self._table, self._looked_at_clock()
        if cell.last_modified() <= limit:
            return False
        # A cell always stands above the floor.
        least = table.floor + 1
        now = max(self._now, least)

        def anew(version: int) -> int:
            return max(least, self._anew(version, now))

        table.touch(cell.key)
        if cell.counts is not None:
            cell.counts.shares = dated(cell.counts.shares, limit, anew)
        if cell.stamp > limit:
            cell.stamp = anew(cell.stamp)
        if cell.value is not None:
            before, cell.digest = cell.digest, cell_digest(cell)
            table.digest.change(cell.hash, before, cell.digest)
        table.note(cell.key, cell.stamp)
        return True

    def _looked_at_clock(self) -> int:
        """The greatest version that may be. Where the clock was set back meanwhile, all begins anew."""
        limit = self._table.clock.limit()
        if limit < self._limit:
            self._begin()
        return limit

    def _anew(self, version: int, now: int) -> int:
        return version - self._less if self._less and version - self._less < now else now
