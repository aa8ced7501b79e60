"""What each Kamailio node held when it was last compared with and nothing differed: its baseline.

A Kamailio says nothing of what ``htable.flush``, ``htable.reload``, ``sht_reset()`` and iterators remove, and
shows in no way when it came to a cell. So two questions are answered by what was seen before: a key that it
held then and lacks now was removed there, as nothing could be lost on its way; and a key that nobody here
knows is older than a flush unless the node has been seen without anything of before the flush.

Owns the memory of what was seen. What follows for the cells, ``lacking.py`` and ``shown_cells.py`` decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.shown_cells import Inquiry
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.settings import Removals
from dmqcache.store.table.table import Table

#: Milliseconds after which nothing of before is under way any more: Kamailio repeats a message for 30 s.
SETTLED_MS: Final = 32_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """One table of one node."""

    #: The keys that it showed, and those that were removed there before: about 40 bytes each, as the texts
    #: are the table's own.
    keys: Collection[str]
    left: Collection[str]
    #: Unix ms when it was asked for them.
    began_ms: int


class Baselines:
    """The baselines of all Kamailio nodes."""

    def __init__(self, ground: Ground, outboxes: Outboxes) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._tables: dict[NodeURI, dict[str, Baseline]] = {}
        #: Of each node, the floors of which it is known that it holds nothing from before them.
        self._floors: dict[NodeURI, dict[str, int]] = {}

    def of(self, node: NodeURI, table: Table) -> Baseline | None:
        """What a node was last seen to hold of a table, if it was there all the time since."""
        return self._tables.get(node, {}).get(table.name)

    def forget(self, node: NodeURI) -> None:
        """The node was lost, or began anew, or may have missed something."""
        self._tables.pop(node, None)
        self._floors.pop(node, None)

    def equal(
        self, inquiry: Inquiry, tables: list[Table], removed: Callable[[NodeURI, Table], Mapping[str, int]]
    ) -> None:
        """A comparison ended, and nothing differed in these tables but what was ``removed`` there."""
        seen = self._tables.setdefault(inquiry.node, {})
        floors = self._floors.setdefault(inquiry.node, {})
        for table in tables:
            if table.settings.removals is not Removals.REFILL:
                keys = inquiry.seen.get(table.name, set())
                seen[table.name] = Baseline(keys, removed(inquiry.node, table), inquiry.began_ms)
            if ms_of(table.floor) + SETTLED_MS < inquiry.began_ms:
                floors[table.name] = table.floor

    def is_news(self, node: NodeURI, table: Table, asked_ms: int | None) -> bool:
        """Whether a cell that nobody here knows, and that says of no time, came to the node after the last
        flush. ``asked_ms``: Unix ms when we asked for it; None: nobody did."""
        if not table.floor:
            return True
        flushed = ms_of(table.floor)
        if asked_ms is not None and asked_ms <= flushed:
            return False
        if flushed + table.limits.tombstone_ttl * 1000 < self._ground.clock.wall_ms():
            return True
        if node in self._floors:
            return self._floors[node].get(table.name) == table.floor
        # It has begun anew, and knows from others what it knows.
        others = [box.node for box in self._outboxes.of_kamailios() if box.node != node]
        return bool(others) and all(
            self._floors.get(other, {}).get(table.name) == table.floor for other in others
        )
