"""What this node told Kamailio nodes while it was behind: once it hears better, so do they.

Each node tells its own writes, also those that others have overwritten while it was cut off from them. Who
looks after the Kamailio nodes tells them what they lack; that may be older than what they had from another
dmqcache node before. The other one would take what they show for a write of theirs, if it lost them too, and
what they lack for something that was removed there. So what comes late, and replaces something, is told them
before the other one asks them for their cells.

Owns which keys that concerns. When they are told, is ``collisions.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dmqcache.store.ground import Ground
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.merge import LATE_MS
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table

#: Seconds for which a node that no longer looks after the Kamailio nodes hears what it had not heard.
HEARS_S: Final = 60.0


class Behind:
    """What one node has told that was behind."""

    def __init__(self, ground: Ground, outboxes: Outboxes) -> None:
        self._ground = ground
        self._outboxes = outboxes
        #: What is older was read from disk, and told by nobody here.
        self._began = version_at(ground.clock.wall_ms())

    def replaced(self, table: Table, rows: Iterable[Row]) -> list[str]:
        """Which keys these rows of a dmqcache node make something else than Kamailio nodes were told. They
        are not merged yet."""
        if not self._outboxes.of_kamailios():
            return []
        for_all = self._ground.ready and self._looks_after()
        clock, cells = table.clock, table.cells
        late = version_at(clock.wall_ms() - LATE_MS)
        return [
            row.key
            for row in rows
            if row.stamp < late
            and row.shares is None
            and (cell := cells.get(row.key)) is not None
            and cell.stamp < row.stamp
            and cell.value != row.value
            and (for_all or (not cell.writer and cell.stamp >= self._began))
        ]

    def _looks_after(self) -> bool:
        """Whether this node looks after Kamailio nodes, or did until a moment ago."""
        boxes = self._outboxes
        return boxes.designated or self._ground.clock.now() - boxes.designated_until < HEARS_S
