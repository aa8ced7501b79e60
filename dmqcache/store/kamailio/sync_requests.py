"""Kamailio nodes that ask for all cells: who gets them, and when.

One that has not answered us yet may be anybody under a forged address. It gets nothing but the bus's one
question; when it has answered that, it gets the cells, and its next copy only the 200.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.peer import SILENCE, Message, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.batch import Transfer
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.order import walk
from dmqcache.store.table.table import Table

#: Seconds between a question for all cells and its next copy, at most: RFC 3261's T2.
COPY_S: Final = 4.0
#: Nodes remembered that asked for cells before they had answered us; anybody can claim to be one.
MAX_UNPROVEN: Final = 64
#: Keys of one piece.
PIECE: Final = 500


class SyncRequests:
    """Serves the Kamailio nodes that ask for all cells."""

    def __init__(self, ground: Ground, outboxes: Outboxes) -> None:
        self._ground = ground
        self._outboxes = outboxes
        #: Who asked before having answered us, and for which table (None: all).
        self._unproven: Bounded[NodeURI, str | None] = Bounded(MAX_UNPROVEN)
        #: When those were served whose question got no answer at first: monotonic seconds.
        self._served: dict[NodeURI, float] = {}
        #: For whom cells of which table are being gathered, and what is still to do for that.
        self._gathering: dict[tuple[NodeURI, str], Iterator[None]] = {}

    def asked(self, message: Message, only: str | None) -> Reply:
        """A Kamailio asks for one table, or for all: 200 at once, then the cells, to nobody but the asker."""
        outbox = self._outboxes.get(message.node.uri) if message.node is not None else None
        if outbox is not None:
            # It has begun anew: what it shows now it did not write while it was away, it is told by others.
            outbox.lost_at = None
        if outbox is None or not outbox.open:
            self._unproven[message.sender] = only
            return Reply(SILENCE)
        if self._served.pop(outbox.node, -COPY_S) + COPY_S < self._ground.clock.now():
            self._serve(outbox, only)
        return Reply(200)

    def node_up(self, node: NodeURI, names: Iterable[NodeURI]) -> None:
        """A Kamailio has answered: what it asked for before is due, and a copy of its question under way.
        ``names``: other forms of its address."""
        for name in (node, *names):
            if name in self._unproven:
                only = self._unproven.pop(name)
                self._served[node] = self._ground.clock.now()
                self._serve(self._outboxes[node], only)

    def node_down(self, node: NodeURI) -> None:
        """It answers no more: when it is back it asks anew."""
        self._unproven.pop(node, None)
        for place in [place for place in self._gathering if place[0] == node]:
            del self._gathering[place]

    def node_left(self, node: NodeURI) -> None:
        """It is gone for good."""
        self._served.pop(node, None)

    def stop(self) -> None:
        """Serve nobody any more."""
        self._unproven.clear()

    def waiting(self) -> int:
        """How many have asked and not answered."""
        return len(self._unproven)

    def _serve(self, outbox: Outbox, only: str | None) -> None:
        """Put all cells of one table, or of all, into a node's outbox; not twice at once."""
        under_way = {transfer.table.name for transfer in outbox.transfers}
        for table in self._ground.replicated():
            place = outbox.node, table.name
            if only in (None, table.name) and table.name not in under_way and place not in self._gathering:
                self._gather(outbox, table)

    def _gather(self, outbox: Outbox, table: Table) -> None:
        place, cells = (outbox.node, table.name), deque[Cell]()
        pieces = self._gathering[place] = _living(table, cells)

        def then() -> None:
            del self._gathering[place]
            self._give(outbox, table, cells)

        in_steps(self._ground.runtime, pieces, then, lambda: self._gathering.get(place) is not pieces)

    def _give(self, outbox: Outbox, table: Table, cells: deque[Cell]) -> None:
        if self._ground.stopped or self._outboxes.get(outbox.node) is not outbox:
            return
        if cells:
            self._ground.counters.sync_cells["out"] += len(cells)
            outbox.add_transfer(Transfer(table, cells, lambda: None))
        self._outboxes.pump(outbox)


def _living(table: Table, cells: deque[Cell]) -> Iterator[None]:
    """Gather the cells of a table that hold a value, piece by piece."""
    for keys in walk(table, PIECE):
        found = (table.cells.get(key) for key in keys)
        cells.extend(cell for cell in found if cell is not None and cell.value is not None)
        yield
