"""What a Kamailio 6.2 writes, told on to older ones: those refuse its sets, which carry a time (400).

The only changes that are told on, and by the designated node alone. Its deletes and times are told on too,
as the set of the same key is told by us and may come after them.
"""

from __future__ import annotations

from collections.abc import Iterable

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.dialect import Dialects
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.table import Table


class Relay:
    """Tells older Kamailio nodes what newer ones say."""

    def __init__(self, outboxes: Outboxes, dialects: Dialects) -> None:
        self._outboxes = outboxes
        self._dialects = dialects

    def told(self, table: Table, keys: Iterable[str], node: NodeURI) -> None:
        """``node`` wrote these keys; they are merged."""
        if not table.settings.dmqreplicate or not self._dialects.of(node).last_modified:
            return
        if not self._outboxes.designated:
            return
        older = [
            outbox
            for outbox in self._outboxes.of_kamailios()
            if not self._dialects.of(outbox.node).last_modified
        ]
        if older:
            self._outboxes.name_keys(table, keys, older)
