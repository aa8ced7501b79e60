"""When a cell was used last: looking at one without using it, and for how long it was not.

Owns what counts as no use: asking whether a key is there, what it is, how long it lives, and listing, as in
Redis. Reading and writing count (``Cells.live_cell``, ``Table.get``). Who moves :attr:`Cells.tick` is
``outbox/memory_bound.py``.
"""

from __future__ import annotations

from typing import Final

from dmqcache.store.table.cell import NEVER, Cell
from dmqcache.store.table.cells import Cells

#: Steps of :attr:`Cells.tick` in a second.
TICKS_S: Final = 10
#: Seconds without use that a cell may be given: as many as Redis counts, half a year.
MAX_IDLE_S: Final = (1 << 24) - 1


def peek(table: Cells, key: str) -> Cell | None:
    """As ``live_cell``, and it counts as no use."""
    cell = table.cells.get(key)
    if cell is None or cell.value is None or (cell.expires != NEVER and table._has_expired(cell)):
        return None
    return cell


def idle_s(table: Cells, cell: Cell) -> int:
    """Whole seconds for which a cell was neither read nor written on this node."""
    return max(0, table.tick - cell.used) // TICKS_S


def set_idle(table: Cells, cell: Cell, seconds: int) -> None:
    """From now on it is as if it was used last so long ago, or :data:`MAX_IDLE_S`."""
    cell.used = table.tick - min(seconds, MAX_IDLE_S) * TICKS_S
