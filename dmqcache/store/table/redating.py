"""What was written while clocks were wrong, far ahead, gets a version that other nodes believe.

Where this node's clock was set back, by as much less as it was: so what is dated anew stays below all that
was written since, here and elsewhere, and keeps its order; nodes that were set back together agree on it.
Where that is not known, as after a start, it is dated as written now.

Owns the new versions and keeps the books right. When that is due, and who is told, ``local_writes.py`` says.
"""

from __future__ import annotations

from dmqcache.store.table.cell import Cell, cell_digest
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import dated


def pull_back(table: Cells, limit: int) -> list[Cell]:
    """Give what has a version above ``limit`` one that is not above now, the floor too; returns the cells."""
    now, less = table.clock.version(), version_at(table.clock.set_back_by())
    if table.floor > limit:
        table.floor = _anew(table.floor, less, now - 1)
    # A cell always stands above the floor.
    least, now = table.floor + 1, max(now, table.floor + 1)

    def anew(version: int) -> int:
        return max(least, _anew(version, less, now))

    late: list[Cell] = []
    for cell in table.cells.values():
        if cell.last_modified() <= limit:
            continue
        late.append(cell)
        table.touch(cell.key)
        if cell.counts is not None:
            cell.counts.shares = dated(cell.counts.shares, limit, anew)
        if cell.stamp > limit:
            cell.stamp = anew(cell.stamp)
        if cell.value is not None:
            before, cell.digest = cell.digest, cell_digest(cell)
            table.digest.change(cell.hash, before, cell.digest)
        table.note(cell.key, cell.stamp)
    return late


def _anew(version: int, less: int, now: int) -> int:
    return version - less if less and version - less < now else now
