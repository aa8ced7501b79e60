"""Rows that show that what is held here lies ahead: clocks were set back, and who wrote them knows it.

Owns when that is so. What is done about it, ``redating.py`` says.
"""

from __future__ import annotations

from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table


def date_anew(table: Table, rows: list[Row]) -> int:
    """Where one of these rows, of a version that may be, meets one here that may not, only if that is brought
    down as far as our clock was set back can the two be compared. That is done at once, and all else that
    lies ahead follows. Returns how many cells were brought down at once."""
    limit, cells = table.clock.limit(), table.cells
    sunk = table.floor > limit and any(row.stamp <= limit for row in rows)
    ahead = [
        cell
        for row in rows
        if (cell := cells.get(row.key)) is not None and cell.last_modified() > limit >= _latest(row)
    ]
    return table.redate_first(ahead) if ahead or sunk else 0


def _latest(row: Row) -> int:
    return max(row.stamp, *(share.stamp for share in row.shares.values())) if row.shares else row.stamp
