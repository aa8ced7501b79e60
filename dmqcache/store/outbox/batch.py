"""What an outbox has on its way: a batch, and the cells of a sync or a repair that batches take from.

Which keys and cells go into one, and when, is ``outbox.py``'s; who carries it, a courier's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dmqcache.bus.peer import Sending
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells


@dataclass(slots=True, eq=False)
class Transfer:
    """Cells that a sync or a repair sends beside the changes, and what to do when all are acknowledged."""

    table: Cells
    cells: deque[Cell]
    on_done: Callable[[], None]
    #: Cells taken and not acknowledged yet.
    flying: int = 0

    def finished(self) -> bool:
        return not self.cells and not self.flying


@dataclass(slots=True, eq=False)
class Batch:
    """What goes to a node at once and is acknowledged as one."""

    #: Keys by table with the number of the change that named each.
    names: dict[str, dict[str, int]] = field(default_factory=dict)
    #: The cells themselves, table by table.
    by_table: list[tuple[Cells, list[Cell]]] = field(default_factory=list)
    transfer: Transfer | None = None
    #: How many names or cells, and their bytes as far as can be foreseen.
    count: int = 0
    bytes: int = 0
    #: Monotonic seconds at which the oldest change in it was made.
    since: float = 0.0
    #: Bytes that it turned out to have, where the courier tells.
    size: int = 0
    sending: Sending | None = None
    #: It waits for an answer that does not come: others go meanwhile, as if it were not on its way.
    stuck: bool = False

    @property
    def cells(self) -> list[tuple[Cells, Cell]]:
        """Each cell with its table; fewer than ``count`` where a flush took cells away and left names."""
        return [(table, cell) for table, cells in self.by_table for cell in cells]
