"""The ``htable`` channel: what Kamailio nodes say of their tables, and who of them gets all of ours.

Reads every action and batch. Nothing that arrives is sent on. What Kamailio nodes are told of changes here is
``kamailio_courier.py``'s business; when a Kamailio's whole table is asked for, and what follows from it,
``compare.py``'s; how bytes look, ``wire_read.py`` and ``wire_write.py``'s.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from dmqcache.bus.peer import SILENCE, Message, Peer, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.courier import KamailioCourier
from dmqcache.store.kamailio.dialect import Dialect
from dmqcache.store.kamailio.overtaking import SendingOrder
from dmqcache.store.kamailio.wire_read import read
from dmqcache.store.kamailio.wire_types import (
    Action,
    CellBatch,
    Delete,
    Remove,
    Set,
    SetExpire,
    SyncRequest,
    WireError,
)
from dmqcache.store.outbox.outbox import Outbox, Portion
from dmqcache.store.table.merge import is_key
from dmqcache.store.table.patterns import PatternError

if TYPE_CHECKING:
    from dmqcache.store.store import Store

log = logging.getLogger("dmqcache.store")

CHANNEL: Final = "htable"
#: Seconds between a question for all cells and its next copy, at most: RFC 3261's T2.
COPY_S: Final = 4.0
#: How much of a pattern from the wire is logged.
SHOWN_CHARACTERS: Final = 80


class Htable(Peer):
    """The peer, and the courier of the outboxes of Kamailio nodes."""

    def __init__(self, store: Store) -> None:
        super().__init__(CHANNEL)
        self.store = store
        self._courier = KamailioCourier(store, self)
        self._order = SendingOrder()
        #: Tables of which a pattern was not read.
        self._misread: set[str] = set()
        #: When those were served whose question got no answer at first: monotonic seconds.
        self._served: dict[NodeURI, float] = {}

    # -- what comes --------------------------------------------------------------------------------------

    def handle(self, message: Message) -> Reply:
        """Apply one message. 400: it cannot be read; 403: no node of the bus; 500: no such table here."""
        store = self.store
        try:
            came = read(message.body)
        except WireError as error:
            store.counters.refused["", error.reason] += 1
            return Reply(400)
        if isinstance(came, SyncRequest):
            return self._serve(message, came)
        if message.node is None:
            store.counters.refused["", "unknown_node"] += 1
            return Reply(403, "Unknown Node")
        sender = str(message.node.uri)
        if isinstance(came, CellBatch):
            for reason in came.bad:
                store.counters.refused["", reason] += 1
            store.compare.cells_came(message.node.uri, came)
            store.collisions.collect()
            return Reply(200)
        sent_by = self._order.sent_by(message.call_id, store.clock.now())
        reply = self._apply(came, sender, sent_by)
        store.collisions.collect()
        return reply

    def _apply(self, came: Action, sender: str, sent_by: float | None) -> Reply:
        assert not isinstance(came, SyncRequest)
        arrivals = self.store.arrivals.get(came.htname)
        if arrivals is None:
            self.store.counters.refused["", "unknown_table"] += 1
            return Reply(500)
        if not isinstance(came, Remove) and not is_key(came.cname):
            self.store.counters.refused[came.htname, "bad_key"] += 1
            return Reply(400)
        if isinstance(came, Set):
            arrivals.arrive_set(came.cname, came.value, came.last_modified, sender, None, sent_by)
        elif isinstance(came, SetExpire):
            arrivals.arrive_expire(came.cname, came.seconds, sender, sent_by)
        elif isinstance(came, Delete):
            arrivals.arrive_delete(came.cname, sender, sent_by)
        elif isinstance(came, Remove):
            try:
                arrivals.arrive_remove(came.kind, came.pattern, came.on, sender, sent_by)
            except PatternError as error:
                self.store.counters.refused[came.htname, "bad_pattern"] += 1
                self._cannot_read(came, error)
                return Reply(500)
        return Reply(200)

    def _cannot_read(self, came: Remove, error: PatternError) -> None:
        """Its keys stay here and are gone there: said once for each table, as a script repeats itself."""
        if came.htname not in self._misread:
            self._misread.add(came.htname)
            shown = repr(came.pattern[:SHOWN_CHARACTERS])
            log.warning("table %s: a removal by the pattern %s is not done: %s", came.htname, shown, error)

    def _serve(self, message: Message, request: SyncRequest) -> Reply:
        """Send a Kamailio all that we have: 200 at once, then the cells, to nobody but the asker.

        One that has not answered us yet may be anybody under a forged address. It gets nothing but the
        bus's one question; when it has answered that, it gets the cells, and its next copy only the 200.
        """
        outbox = self.store.outboxes.get(message.node.uri) if message.node is not None else None
        if outbox is None or not outbox.open:
            self.store.compare.ask_later(message.sender, request.htname)
            return Reply(SILENCE)
        if self._served.pop(outbox.node, -COPY_S) + COPY_S < self.store.clock.now():
            self.serve(outbox, request.htname)
        return Reply(200)

    def serve_late(self, outbox: Outbox, only: str | None) -> None:
        """A node that asked before it had answered us has answered; a copy of its question is under way."""
        self._served[outbox.node] = self.store.clock.now()
        self.serve(outbox, only)

    def serve(self, outbox: Outbox, only: str | None) -> None:
        """Put all cells of one table, or of all, into a node's outbox; not twice at once."""
        under_way = {portion.table.name for portion in outbox.portions}
        for name, table in self.store.tables.items():
            if only in (None, name) and name not in under_way and table.settings.dmqreplicate:
                cells = deque(cell for cell in table.cells.values() if cell.value is not None)
                if cells:
                    self.store.counters.sync_cells["out"] += len(cells)
                    outbox.add_portion(Portion(table, cells, lambda: None))
        self.store.pump(outbox)

    # -- what goes ---------------------------------------------------------------------------------------

    def send(self, outbox: Outbox) -> bool:
        """Carry one parcel: see :class:`dmqcache.store.outbox.outbox.Courier`."""
        return self._courier.send(outbox)

    def dialect(self, outbox: Outbox) -> Dialect:
        """What the outbox's node understands."""
        return self._courier.dialect(outbox)

    def forget_dialect(self, name: str) -> None:
        """A node came (back): it may be another version now."""
        self._courier.forget_dialect(name)

    def forget(self, node: NodeURI) -> None:
        """A node is gone for good."""
        self._served.pop(node, None)
        self._courier.forget(str(node))
