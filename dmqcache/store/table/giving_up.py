"""A table that was read from disk gives up what it read: others may have deleted it and remember no more.

Owns what is given up, and that a million cells are in one moment, as in a flush. A large table is looked
through in steps before, as for a flush of which a node hears late (``late_flush.py``), and the memory is
given back in steps. Whether it is due is ``native/absence.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.floor_raising import AT_ONCE, FEW_KEPT, unprepare
from dmqcache.store.table.flushing import APART, take_apart
from dmqcache.store.table.happenings import GONE, NOTHING
from dmqcache.store.table.late_flush import LateFlush
from dmqcache.store.table.new_books import NewBooks


class LateGivingUp(LateFlush):
    """What will be given up of a table, until it is."""

    def __init__(self, table: Cells) -> None:
        super().__init__(table, 0)
        self.known = table.known

    def stays(self, cell: Cell) -> bool:
        return _stays(cell, self.known)


def _stays(cell: Cell, known: int) -> bool:
    return cell.value is None or cell.last_modified() > known


def prepared(table: Cells) -> Iterator[None]:
    """Who runs through this, some pieces at a time, and then calls :func:`give_up` in the same turn of the
    loop, holds nobody up. Until then nothing is given up, nor if this is let go."""
    if len(table.cells) <= AT_ONCE:
        return
    unprepare(table)
    table.late = late = LateGivingUp(table)
    table.use_recent()
    try:
        yield from late.steps()
    finally:
        if table.late is late and not late.ready:
            unprepare(table)


def keep(table: Cells) -> None:
    """What was looked through is not given up after all."""
    if isinstance(table.late, LateGivingUp) and table.late.ready:
        unprepare(table)


def give_up(table: Cells) -> int:
    """Forget without a trace the live cells that nobody wrote since the table was read from disk. Returns how
    many."""
    late, known = unprepare(table), table.known
    if isinstance(late, LateGivingUp) and late.ready and late.known == known:
        if late.books is None:
            count = _forget(table, [table.cells[key] for key in late.dead if key in table.cells])
        else:
            count = _leave(table, late.books, late.emptied(APART))
    else:
        kept = [cell for cell in table.cells.values() if _stays(cell, known)]
        if len(kept) * FEW_KEPT <= len(table.cells):
            count = _leave(table, NewBooks(table.digest.depth).with_all(kept, table.tombstones))
        else:
            count = _forget(table, list(table.cells.values()))
    table.known = table.forgot = 0
    return count


def _forget(table: Cells, cells: Iterable[Cell]) -> int:
    """Take those of these cells that are given up out of the table's books, one by one."""
    gone = [cell for cell in cells if not _stays(cell, table.known)]
    table.forget(gone)
    return len(gone)


def _leave(table: Cells, books: NewBooks, *memory: Iterator[None]) -> int:
    """Take these books; the other cells are taken apart in steps."""
    former, partial, evicted = table.cells, table.partial, table.evicted
    order, expiry, digest, tombstones = table.order, table.expiry, table.digest, table.tombstones
    emptied = (part.emptied(APART) for part in (order, expiry, digest, tombstones))
    table.adopt(books)
    # A flush ends what was evicted as well, this does not.
    table.partial, table.evicted = partial, evicted
    count = len(former) - len(table.cells)

    def told(key: str) -> None:
        table.tell(key, NOTHING if key in table.cells else GONE)

    table.listener.buried(take_apart(former, table.known, lambda: table.cells, told, *emptied, *memory))
    return count
