"""What was said of a key to a Kamailio, to know later whether it holds something else by now.

Imports the cell alone. Who says what, and when, is ``kamailio_courier.py``'s.
"""

from __future__ import annotations

from typing import TypeAlias

from dmqcache.store.table.cell import Cell, Value

#: Version and value: two nodes may give the same version to different values. None: that the key is gone.
Said: TypeAlias = tuple[int, Value | None] | None


def what_is(cell: Cell | None) -> Said:
    """What is to be said of a key now."""
    return None if cell is None else (cell.last_modified(), cell.value)
