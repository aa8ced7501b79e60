"""What other dmqcache nodes say of the time, and what follows for the versions that are here."""

from __future__ import annotations

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.clock import MAX_AHEAD_MS


class ClockSamples:
    """Passes the others' wall clocks on to ours."""

    def __init__(self, ground: Ground, outboxes: Outboxes) -> None:
        self._ground = ground
        self._outboxes = outboxes

    def heard(self, node: NodeURI, wall_ms: int) -> None:
        """A dmqcache node told its wall clock. Of a node that is away nothing is kept."""
        if node in self._outboxes and self._ground.clock.heard(str(node), wall_ms):
            self._corrected()

    def forget(self, node: NodeURI) -> None:
        """A node is gone; its clock counts no more."""
        if self._ground.clock.forget(str(node)):
            self._corrected()

    def _corrected(self) -> None:
        """Our time is another now: what seemed to be in order may lie far ahead."""
        limit = self._ground.clock.wall_ms() + MAX_AHEAD_MS
        for table in self._ground.tables.values():
            self._ground.counters.clamped[table.name] += table.clamp(limit)
