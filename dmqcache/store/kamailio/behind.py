"""What this node told Kamailio nodes for all while it was behind: once it hears better, so do they.

Who looks after the Kamailio nodes tells them what they lack. While it is cut off from another dmqcache node,
that may be older than what they had from the other one before; and as the other one lost them too, it would
take what they show for a write of theirs, and have it win. So what comes late, and replaces something, is
told them before the other one asks them for their cells.

Owns who has looked after them, and which keys that concerns. When they are told, is ``collisions.py``'s.
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

    def replaced(self, table: Table, rows: Iterable[Row]) -> list[str]:
        """Which keys these rows of a dmqcache node make something else than Kamailio nodes were told. They
        are not merged yet."""
        if not self._may_have_told():
            return []
        clock, cells = table.clock, table.cells
        late = version_at(clock.wall_ms() - LATE_MS)
        return [
            row.key
            for row in rows
            if row.stamp < late
            and row.shares is None
            and (cell := cells.get(row.key)) is not None
            and cell.value is not None
            and cell.stamp < row.stamp
            and cell.value != row.value
        ]

    def _may_have_told(self) -> bool:
        """Whether this node looks after Kamailio nodes, or did until a moment ago. One that has just started
        has told nobody anything."""
        boxes = self._outboxes
        if not self._ground.ready or not boxes.of_kamailios():
            return False
        return boxes.designated or self._ground.clock.now() - boxes.designated_until < HEARS_S
