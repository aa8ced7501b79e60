"""What was written while this node's clock was wrong, far ahead, gets a version that other nodes believe.

Owns the new versions and keeps the books right. When that is due, and who is told, ``table.py`` says.
"""

from __future__ import annotations

from dmqcache.store.table.cell import Cell, cell_digest
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.counts import dated


def pull_back(table: Cells, limit: int) -> list[Cell]:
    """Give what has a version above ``limit`` that of now, the floor too; returns the cells."""
    now = table.clock.version()
    if table.floor > limit:
        table.floor = now - 1
    # A cell always stands above the floor.
    now = max(now, table.floor + 1)
    late: list[Cell] = []
    for cell in table.cells.values():
        if cell.last_modified() <= limit:
            continue
        late.append(cell)
        table.touch(cell.key)
        if cell.counts is not None:
            cell.counts.shares = dated(cell.counts.shares, limit, now)
        if cell.stamp > limit:
            cell.stamp = now
        if cell.value is not None:
            before, cell.digest = cell.digest, cell_digest(cell)
            table.digest.change(cell.hash, before, cell.digest)
        table.note(cell.key, cell.stamp)
    return late
