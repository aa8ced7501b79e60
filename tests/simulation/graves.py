"""Which deletes, and ends of times to live, nodes need not remember any more: there are newer ones enough.

Owns how many there were in each table since a write was made, which is told it by ``oracle.py``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.cluster import Machine
from tests.simulation.history import Write


@dataclass(slots=True)
class Graves:
    """Those of one run."""

    #: Deletes that a node remembers of a table at most.
    limit: int
    made: Counter[str] = field(default_factory=Counter)
    #: How many there were in its table when a write was made that is one, or becomes one.
    before: dict[Write, int] = field(default_factory=dict)
    #: Flushes of which some node heard late, and what no process knows any more, which others may
    #: have from Kamailio nodes alone: what was before may come back.
    undone: set[Write | None] = field(default_factory=set)

    def add(self, table: str) -> None:
        """Somebody made a tombstone, or something that becomes one."""
        self.made[table] += 1

    def bury(self, table: str, write: Write) -> None:
        """A judged write is one."""
        self.add(table)
        self.before[write] = self.made[table]

    def forgets(self, table: str, write: Write | None) -> bool:
        """Whether a node may know nothing of the end any more."""
        if write in self.undone:
            return True
        before = self.before.get(write) if write is not None else None
        return before is not None and self.made[table] - before >= self.limit

    def may_give_up(self, machine: Machine, table: str) -> bool:
        """Whether a node that starts may be without what was on its disk until it has what others hold: they
        may have forgotten deletes of which it never heard."""
        return machine.shelf is not None and not machine.store.ready and self.made[table] >= self.limit
