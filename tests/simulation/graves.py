"""Which deletes, and ends of times to live, nodes need not remember any more: there are newer ones enough.

Owns how many there were in each table since a write was made, which is told it by ``oracle.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.cluster import Machine
from tests.simulation.history import Write


@dataclass(slots=True)
class Graves:
    """Those of one run."""

    #: Deletes that a node remembers of a table at most.
    limit: int
    #: True seconds.
    now: Callable[[], float]
    made: Counter[str] = field(default_factory=Counter)
    #: How many there were in its table when a write was made that is one, or becomes one.
    before: dict[Write, int] = field(default_factory=dict)
    #: Table -> key -> when what was written there last with an end comes to it (true seconds).
    ends: dict[str, dict[str, float]] = field(default_factory=dict)
    #: The key of a write that comes to an end, and when it does.
    died: dict[Write, tuple[str, float]] = field(default_factory=dict)
    #: Flushes of which some node heard late, and what no process knows any more, which others may
    #: have from Kamailio nodes alone: what was before may come back.
    undone: set[Write | None] = field(default_factory=set)

    def add(self, table: str, key: str, at: float) -> None:
        """Somebody made a tombstone, or something that becomes one at ``at`` (true seconds)."""
        self.made[table] += 1
        self.ends.setdefault(table, {})[key] = at

    def bury(self, table: str, key: str, write: Write, at: float) -> None:
        """A judged write is one."""
        self.add(table, key, at)
        self.before[write] = self.made[table]
        self.died[write] = (key, at)

    def forgets(self, table: str, write: Write | None) -> bool:
        """Whether a node may know nothing of the end any more: newer ones were made, or what had been written
        before came to its end later."""
        if write in self.undone:
            return True
        if write is None or write not in self.before:
            return False
        newer = self.made[table] - self.before[write]
        return max(newer, self._later(table, write)) >= self.limit

    def _later(self, table: str, write: Write) -> int:
        """How many keys of a table came to their end later than a write, and have by now."""
        key, died = self.died[write]
        now = self.now()
        return sum(other != key and died < at <= now for other, at in self.ends[table].items())

    def may_give_up(self, machine: Machine, table: str) -> bool:
        """Whether a node that starts may be without what was on its disk until it has what others hold: they
        may have forgotten deletes of which it never heard."""
        return machine.shelf is not None and not machine.store.ready and self.made[table] >= self.limit
