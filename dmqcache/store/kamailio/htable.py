"""The ``htable`` channel: what Kamailio nodes say of their tables.

Reads every action and batch, and passes each on to the part that it concerns. Nothing that arrives is sent
on, but what a 6.2 says to older ones (``relay.py``). What Kamailio nodes are told of changes here is
``kamailio_courier.py``'s business; when a Kamailio's whole table is asked for, ``compare.py``'s; who gets
all of ours, ``sync_requests.py``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from dmqcache.bus.node import other_wire
from dmqcache.bus.peer import Later, Message, Peer, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.compare import KamailioCompare
from dmqcache.store.kamailio.dialect import Dialects
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.in_turn import AT_ONCE, InTurn, Work, at_once
from dmqcache.store.kamailio.overtaking import SendingOrder, Sent
from dmqcache.store.kamailio.relay import Relay
from dmqcache.store.kamailio.removing import Removals
from dmqcache.store.kamailio.sync_requests import SyncRequests
from dmqcache.store.kamailio.wire_read import read
from dmqcache.store.kamailio.wire_types import (
    CellBatch,
    Delete,
    NoPattern,
    Remove,
    Set,
    SetExpire,
    SyncRequest,
    WireError,
)
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.table.merge import is_key
from dmqcache.store.table.patterns import PatternError

log = logging.getLogger("dmqcache.store")

CHANNEL: Final = "htable"
#: Bytes of what somebody says who is no node; all that it may is ask for the cells, in a few words.
STRANGER_BYTES: Final = 1024
#: Bytes that each message with a Kamailio's cells has at least, but for the last of an answer: it sends them
#: when they are 60,000, without the commas and escapes.
FULL_BYTES: Final = 59_000
#: How much of a pattern from the wire is logged.
SHOWN_CHARACTERS: Final = 80


class Htable(Peer):
    """The peer of Kamailio nodes."""

    def __init__(
        self,
        ground: Ground,
        arrivals: Mapping[str, KamailioArrivals],
        dialects: Dialects,
        held_back: HeldBack,
        collisions: Collisions,
        compare: KamailioCompare,
        in_turn: InTurn,
        requests: SyncRequests,
        relay: Relay,
    ) -> None:
        """``arrivals``: the way into each table."""
        super().__init__(CHANNEL)
        self._ground = ground
        self._arrivals = arrivals
        self._dialects = dialects
        self._held_back = held_back
        self._collisions = collisions
        self._compare = compare
        self._in_turn = in_turn
        self._requests = requests
        self._relay = relay
        self._removals = Removals(ground, relay, collisions)
        self._order = SendingOrder()
        #: Tables of which a pattern was not read.
        self._misread: set[str] = set()

    # -- what comes --------------------------------------------------------------------------------------

    def handle(self, message: Message) -> Reply | Later:
        """Apply one message. 400: it cannot be read; 403: no Kamailio of the bus; 500: no such table here."""
        counters = self._ground.counters
        if other_wire(message.supported):
            # It takes us for a Kamailio.
            counters.refused["", "other_wire"] += 1
            return Reply(403, "Upgrade dmqcache")
        if message.node is not None and message.node.ours:
            # Those tell each other nothing here. So it is forged, and a pattern would empty a table.
            counters.refused["", "not_a_kamailio"] += 1
            return Reply(403, "Not a Kamailio")
        if message.node is None and len(message.body) > STRANGER_BYTES:
            counters.refused["", "unknown_node"] += 1
            return Reply(403, "Unknown Node")
        try:
            came = read(message.body)
        except WireError as error:
            counters.refused["", error.reason] += 1
            if isinstance(error, NoPattern) and error.htname in self._arrivals:
                self._told_nothing(error.htname, message.sender)
            return Reply(400)
        if isinstance(came, SyncRequest):
            if message.node is not None:
                self._compare.began_anew(message.node.uri)
            return self._requests.asked(message, came.htname)
        if message.node is None:
            counters.refused["", "unknown_node"] += 1
            return Reply(403, "Unknown Node")
        node, sent = message.node.uri, self._order.sent(message.call_id, self._ground.clock.now())
        if isinstance(came, CellBatch):
            pieces = self._compare.cells_came(node, came, sent, len(message.body) < FULL_BYTES)
            return self._taken(message, len(came.cells), self._take_cells(node, came, pieces))
        if self._in_turn.busy(node):
            return self._taken(message, 1, self._take(node, came, sent))
        return self._act(node, came, sent)

    def _taken(self, message: Message, cells: int, work: Work) -> Reply | Later:
        """Take in a message behind what its node said before: at once if it is small, and nothing waits."""
        assert message.node is not None
        if cells > AT_ONCE or self._in_turn.busy(message.node.uri):
            return self._in_turn.take(message.node.uri, cells, work, message.source.transport == "udp")
        return at_once(work)

    def _take_cells(self, node: NodeURI, came: CellBatch, pieces: Iterator[None]) -> Work:
        for reason in came.bad:
            self._ground.counters.refused["", reason] += 1
        for name in {cell.htname for cell in came.cells}:
            self._held_back.took(node, name)
        for _ in pieces:
            self._collisions.collect()
            yield
        self._collisions.collect()
        return Reply(200)

    def _take(self, node: NodeURI, came: Set | SetExpire | Delete | Remove, sent: Sent | None) -> Work:
        yield from ()
        return self._act(node, came, sent)

    def _act(
        self, node: NodeURI, came: Set | SetExpire | Delete | Remove, sent: Sent | None
    ) -> Reply | Later:
        self._held_back.took(node, came.htname)
        reply = self._apply(came, node, sent)
        self._collisions.collect()
        return reply

    def _apply(
        self, came: Set | SetExpire | Delete | Remove, node: NodeURI, sent: Sent | None
    ) -> Reply | Later:
        sender = str(node)
        refused = self._ground.counters.refused
        arrivals = self._arrivals.get(came.htname)
        if arrivals is None:
            refused["", "unknown_table"] += 1
            return Reply(500)
        if not isinstance(came, Remove) and not is_key(came.cname):
            refused[came.htname, "bad_key"] += 1
            return Reply(400)
        if isinstance(came, Remove):
            return self._remove(arrivals, came, node, sent)
        if isinstance(came, Set):
            arrivals.arrive_set(came.cname, came.value, came.last_modified, sender, None, sent)
        elif isinstance(came, SetExpire):
            arrivals.arrive_expire(came.cname, came.seconds, sender, sent)
        else:
            arrivals.arrive_delete(came.cname, sender, sent)
        self._relay.told(arrivals.table, [came.cname], node)
        return Reply(200)

    def _remove(
        self, arrivals: KamailioArrivals, came: Remove, node: NodeURI, sent: Sent | None
    ) -> Reply | Later:
        try:
            return self._removals.start(arrivals, came, node, sent)
        except PatternError as error:
            self._ground.counters.refused[came.htname, "bad_pattern"] += 1
            self._cannot_read(came, error)
            return Reply(500)

    def _cannot_read(self, came: Remove, error: PatternError) -> None:
        """Its keys stay here and are gone there: said once for each table, as a script repeats itself."""
        if came.htname not in self._misread:
            self._misread.add(came.htname)
            shown = repr(came.pattern[:SHOWN_CHARACTERS])
            log.warning("table %s: a removal by the pattern %s is not done: %s", came.htname, shown, error)

    def _told_nothing(self, table: str, sender: NodeURI) -> None:
        """The same of a removal that no other node can do, Kamailio nodes neither."""
        if table not in self._misread:
            self._misread.add(table)
            words = "table %s: %s removes keys without saying which (sht_rm_name, sht_rm_value: ew, in)"
            log.warning(words, table, sender)

    # -- who is there ------------------------------------------------------------------------------------

    def node_up(self, node: NodeURI, names: Iterable[NodeURI]) -> None:
        """A Kamailio that has an outbox answers: new, or back. ``names``: other forms of its address."""
        self._dialects.forget(node)
        self._held_back.forget(node)
        self._requests.node_up(node, names)
        self._compare.node_up(node)

    def node_down(self, node: NodeURI) -> None:
        """A node stopped answering."""
        self._requests.node_down(node)
        self._compare.forget(node)

    def node_left(self, node: NodeURI) -> None:
        """A node is gone for good."""
        self._requests.node_left(node)
        self._dialects.forget(node)
        self._held_back.forget(node)

    def stop(self) -> None:
        """Ask and serve nobody any more."""
        self._requests.stop()
        self._compare.stop()
