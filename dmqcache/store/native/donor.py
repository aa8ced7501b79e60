"""The giving side of sync and repair: sends another node the cells that it lacks in the parts it names.

A donor keeps nothing of the asker but the cells of the parts that are on their way (a few thousand); who
asks for what, and how much at a time, is the asker's business (``repair.py``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.native.message import Done, NativeMessage, Part, Want, encode
from dmqcache.store.native.replica import CONTENT_TYPE
from dmqcache.store.outbox.outbox import Portion
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.leaves import LeafIndex

if TYPE_CHECKING:
    from dmqcache.store.store import Store
    from dmqcache.store.table.table import Table

#: Wants of one node that are served at once; an asker of ours has four.
MAX_PORTIONS: Final = 16
#: Cells looked at for one want: some 20 ms. Parts beyond are left for the asker's next round.
MAX_LOOKED: Final = 100_000


class Donor:
    """Serves the wants of other nodes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        #: Wants that wait for an index, by node.
        self._indexing: dict[NodeURI, int] = {}

    def wanted(self, node: NodeURI, want: Want) -> bool:
        """``node`` wants what it lacks in some parts of a table. False: not now, it may ask again."""
        table = self.store.tables.get(want.table)
        outbox = self.store.outboxes.get(node)
        if outbox is None or not outbox.open:
            return False
        if len(outbox.portions) + self._indexing.get(node, 0) >= MAX_PORTIONS:
            return False
        if table is None or not table.settings.dmqreplicate:
            self._say_done(node, Done(want.id))
            return True
        self._indexing[node] = self._indexing.get(node, 0) + 1
        self.store.leaves.get(table, lambda index: self._give(node, table, want, index))
        return True

    def _give(self, node: NodeURI, table: Table, want: Want, index: LeafIndex) -> None:
        self._indexing[node] -= 1
        if not self._indexing[node]:
            del self._indexing[node]
        outbox = self.store.outboxes.get(node)
        if outbox is None:
            return
        cells: deque[Cell] = deque()
        lack: list[int] = []
        parts = {(part.depth, part.index): part for part in want.parts}
        looked = 0
        for part in parts.values():
            looked += self._compare(part, index, cells, lack)
            if looked > MAX_LOOKED:
                break

        if want.graves:
            cells.extend(table.worth_telling())

        def finish() -> None:
            self.store.counters.sync_cells["out"] += count
            self._say_done(node, Done(want.id, lack))

        count = len(cells)
        if not cells:
            finish()
            return
        outbox.add_portion(Portion(table, cells, finish))
        self.store.pump(outbox)

    @staticmethod
    def _compare(part: Part, index: LeafIndex, cells: deque[Cell], lack: list[int]) -> int:
        """Sort out what to send and what they have and we lack; returns how many cells it looked at."""
        theirs = set(part.held)
        looked = 0
        for cell in index.below(part.depth, part.index):
            looked += 1
            if cell.digest in theirs:
                theirs.discard(cell.digest)
            else:
                cells.append(cell)
        lack.extend(theirs)
        return looked

    def _say_done(self, node: NodeURI, done: Done, tries: int = 3) -> None:
        def answered(response: Response) -> None:
            if response.status != 200 and tries > 1 and node in self.store.outboxes:
                self._say_done(node, done, tries - 1)

        body = encode(NativeMessage(now=self.store.clock.raw_ms(), done=done))
        self.store.bus.send_message(
            self.store.replica,
            body,
            node,
            content_type=CONTENT_TYPE,
            on_response=answered,
            timeout=5.0,
            fast=True,
        )
