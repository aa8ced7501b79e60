"""A table that was read from disk gives up what it read: others may have deleted it and remember no more.

Owns what is given up, and that a million cells are in one moment, as in a flush; their memory is given back
in steps. Whether it is due is ``native/absence.py``'s.
"""

from __future__ import annotations

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.floor_raising import FEW_KEPT, unprepare
from dmqcache.store.table.flushing import APART, take_apart
from dmqcache.store.table.happenings import GONE, NOTHING
from dmqcache.store.table.new_books import NewBooks


def give_up(table: Cells) -> int:
    """Forget without a trace the live cells that nobody wrote since the table was read from disk. Returns how
    many."""
    known = table.known
    kept = [cell for cell in table.cells.values() if cell.value is None or cell.last_modified() > known]
    count = len(table.cells) - len(kept)
    if len(kept) * FEW_KEPT <= len(table.cells):
        _leave(table, kept)
    else:
        cells = [cell for cell in table.cells.values() if cell.value is not None]
        table.forget([cell for cell in cells if cell.last_modified() <= known])
    table.known = table.forgot = 0
    return count


def _leave(table: Cells, kept: list[Cell]) -> None:
    """Take new books for these cells; the others are taken apart in steps."""
    unprepare(table)
    former, partial, evicted = table.cells, table.partial, table.evicted
    emptied = table.order.emptied(APART), table.expiry.emptied(APART), table.digest.emptied(APART)
    table.adopt(NewBooks(table.digest.depth).with_all(kept, table.tombstones))
    # A flush ends what was evicted as well, this does not.
    table.partial, table.evicted = partial, evicted

    def told(key: str) -> None:
        table.tell(key, NOTHING if key in table.cells else GONE)

    table.listener.buried(take_apart(former, table.known, lambda: table.cells, told, *emptied))
