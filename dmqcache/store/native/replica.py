"""The ``dmqcache`` channel: how dmqcache nodes tell each other of changes, ordered by versions alone.

This peer reads and answers messages and carries outboxes to dmqcache nodes. What two nodes hold
differently is found by ``repair.py`` and given by ``donor.py``; what a Kamailio is told is ``htable.py``'s.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from dmqcache.bus.peer import Message, Peer, Reply, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.native.message import NativeMessage, Summary, decode, encode, encode_rows
from dmqcache.store.outbox.outbox import Outbox, Parcel
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.row import RowError, escaped, grave_row, row_of

if TYPE_CHECKING:
    from dmqcache.bus.node import Node
    from dmqcache.store.store import Store

log = logging.getLogger("dmqcache.store")

CHANNEL: Final = "dmqcache"
CONTENT_TYPE: Final = "application/json"
#: Bytes of a parcel. The floor fits one Ethernet frame: on a bad network a fragment lost is all lost. The
#: ceilings are where larger parcels stopped paying (``make bench`` prints it anew).
FLOOR: Final = 1_000
CEILING: Final = {"udp": 24_000, "tcp": 60_000, "tls": 60_000}
#: Seconds after which a parcel is packed anew, smaller.
PARCEL_TIMEOUT_S: Final = 4.0
#: Bytes of a body: what a UDP datagram (65,507) takes beside the SIP head; over TCP what a node reads.
LARGEST: Final = {"udp": 64_000, "tcp": 4_000_000, "tls": 4_000_000}
#: Cells of a parcel, so that none holds a receiver's loop for more than some 10 ms.
MOST_CELLS: Final = 2_000


class Replica(Peer):
    """The peer, and the courier of the outboxes of dmqcache nodes."""

    def __init__(self, store: Store) -> None:
        super().__init__(CHANNEL)
        self.store = store

    def on_node_up(self, node: Node) -> None:
        self.store.node_up(node)

    def on_node_down(self, node: Node) -> None:
        self.store.node_down(node)

    def on_node_left(self, node: Node) -> None:
        self.store.node_left(node)

    # -- what comes --------------------------------------------------------------------------------------

    def handle(self, message: Message) -> Reply:
        """Merge, answer, or pass on to the repair what a dmqcache node says. Strangers get a 403."""
        store = self.store
        if message.node is None:
            store.counters.refused["", "unknown_node"] += 1
            return Reply(403, "Unknown Node")
        try:
            came = decode(message.body)
        except RowError as error:
            store.counters.refused["", error.reason] += 1
            return Reply(400)
        node = message.node.uri
        sender = str(node)
        store.heard_clock(node, came.now)
        if came.repair or came.done is not None:
            store.heard_from(node)
        for name, floor in came.floors.items():
            if store.shares(name):
                store.hear_floor(name, floor)
        for name, rows in came.rows.items():
            if not store.shares(name):
                reason = "not_replicated" if name in store.tables else "unknown_table"
                store.counters.refused["", reason] += len(rows)
                continue
            arrivals = store.arrivals[name]
            newer = arrivals.merge_rows(rows, sender)
            if came.repair:
                store.counters.repair_cells["in"] += len(rows)
                if newer:
                    store.tell_back(name, newer, node)
        if came.rows:
            store.merged()
        if came.want is not None and not store.donor.wanted(node, came.want):
            return Reply(503)
        if came.done is not None:
            store.repair.done(node, came.done)
        if came.ask is not None:
            return Reply(200, body=encode(self._answer(node, came)), content_type=CONTENT_TYPE)
        return Reply(200)

    def _answer(self, node: NodeURI, came: NativeMessage) -> NativeMessage:
        """The sums asked for."""
        assert came.ask is not None
        outbox = self.store.outboxes.get(node)
        waiting = outbox.waiting() if outbox is not None else 0
        sums: dict[str, Summary] = {}
        for name, parts in came.ask.items():
            if self.store.shares(name):
                sums[name] = summary_of(self.store.tables[name], parts)
        return NativeMessage(
            now=self.store.clock.raw_ms(), sums=sums, waiting=waiting, ready=self.store.ready
        )

    # -- what goes ---------------------------------------------------------------------------------------

    def send(self, outbox: Outbox) -> bool:
        """Carry one parcel; its 200 is the acknowledgement."""
        packed = self._next_parcel(outbox)
        if packed is None:
            return False
        parcel, body = packed
        assert self.bus is not None
        if parcel.portion is not None:
            self.store.counters.repair_cells["out"] += parcel.count
        parcel.sending = self.bus.send_message(
            self,
            body,
            outbox.node,
            content_type=CONTENT_TYPE,
            on_response=lambda response: self._answered(outbox, parcel, response),
            timeout=PARCEL_TIMEOUT_S,
            fast=True,
        )
        return True

    def _next_parcel(self, outbox: Outbox) -> tuple[Parcel, bytes] | None:
        """A parcel and its body, no larger than one message may be."""
        largest = LARGEST[outbox.node.transport]
        most = MOST_CELLS
        while True:
            parcel = outbox.take(outbox.budget, most)
            if parcel is None:
                return None
            body = self._pack(parcel)
            outbox.weighed(parcel, len(body))
            if len(body) <= largest:
                return parcel, body
            if parcel.count > 1:
                outbox.failed(parcel, wait=False)
                most = parcel.count // 2
            else:
                self._withhold(outbox, parcel)

    def _withhold(self, outbox: Outbox, parcel: Parcel) -> None:
        """One cell that no message to this node can hold: over UDP, a value of some 60,000 bytes."""
        for table, cell in parcel.cells:
            self.store.counters.withheld[table.name, "too_large"] += 1
            log.warning(
                "table %s: key %r is too large for %s: give the nodes ;transport=tcp addresses",
                table.name,
                cell.key[:80],
                outbox.node,
            )
        outbox.delivered(parcel)

    def _pack(self, parcel: Parcel) -> bytes:
        now = self.store.clock.now()
        graves = parcel.portion is not None
        rows = {
            table.name: [
                (cell.key, cell.value, cell.stamp)
                if not cell.flags
                and not cell.ttl
                and cell.counts is None
                and not (graves and cell.value is None)
                else _row(table, cell, now)
                for cell in cells
            ]
            for table, cells in parcel.batches
        }
        repair = parcel.portion is not None
        floors = self.store.floors(dict.fromkeys([*rows, *parcel.names]))
        wall = self.store.clock.raw_ms()
        try:
            return encode_rows(wall, rows, floors, repair)
        except UnicodeError:
            spelt = {name: [_safe(row) for row in some] for name, some in rows.items()}
            return encode_rows(wall, spelt, floors, repair)

    def _answered(self, outbox: Outbox, parcel: Parcel, response: Response) -> None:
        ceiling = CEILING[outbox.node.transport]
        if response.status == 200:
            if response.retransmissions:
                outbox.budget = max(FLOOR, outbox.budget // 2)
            else:
                outbox.budget = min(ceiling, outbox.budget * 2)
            if parcel.portion is None:
                self.store.counters.delay.observe(self.store.clock.now() - parcel.since, parcel.count)
            outbox.delivered(parcel)
        elif response.status == 400:
            # It will not be read better the second time; a repair finds what was lost with it.
            self.store.counters.refused["", "parcel_refused"] += parcel.count
            outbox.delivered(parcel)
            outbox.overflowed = True
        else:
            outbox.budget = FLOOR
            outbox.failed(parcel)
        self.store.pump(outbox)


def _row(table: Cells, cell: Cell, now: float) -> tuple[object, ...]:
    buried = table.graves.buried_at(cell.key) if cell.value is None else None
    return row_of(cell, now) if buried is None else grave_row(cell, now - buried)


def summary_of(table: Cells, parts: list[tuple[int, int]]) -> Summary:
    """A table's sums: of the whole, and of the 16 parts below each part asked for."""
    digest = table.digest
    sums = [digest.children(depth, index) if depth < digest.depth else [] for depth, index in parts]
    root = digest.node(0, 0) if not parts else 0
    return Summary(cells=table.live, floor=table.floor, depth=digest.depth, sums=sums, root=root)


def _safe(row: tuple[object, ...]) -> tuple[object, ...]:
    """The row, spelt byte by byte if UTF-8 cannot hold it."""
    for text in row[:2]:
        if isinstance(text, str):
            try:
                text.encode()
            except UnicodeError:
                return escaped(row)
    return row
