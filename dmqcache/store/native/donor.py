"""The giving side of sync and repair: sends another node the cells that it lacks in the parts it names.

A donor keeps nothing of the asker but the cells of the parts that are on their way (a few thousand); who
asks for what, and how much at a time, is the asker's business (``repair_session.py``).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.native_message import Done, NativeMessage, Part, Want, encode
from dmqcache.store.outbox.outbox import Transfer
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import EXPIRED, Cell
from dmqcache.store.table.leaves import LeafIndex, LeafIndexes
from dmqcache.store.table.table import Table

#: Wants of one node that are served at once; an asker of ours has four.
MAX_TRANSFERS: Final = 16
#: Cells looked at for one want: some 20 ms. Parts beyond are left for the asker's next round.
MAX_LOOKED: Final = 100_000


class Donor:
    """Serves the wants of other nodes."""

    def __init__(self, ground: Ground, outboxes: Outboxes, channel: Channel, leaves: LeafIndexes) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._leaves = leaves
        #: Wants that wait for an index, by node.
        self._indexing: dict[NodeURI, int] = {}

    def wanted(self, node: NodeURI, want: Want) -> bool:
        """``node`` wants what it lacks in some parts of a table. False: not now, it may ask again."""
        outbox = self._outboxes.get(node)
        if outbox is None or not outbox.open:
            return False
        if len(outbox.transfers) + self._indexing.get(node, 0) >= MAX_TRANSFERS:
            return False
        if not self._ground.is_replicated(want.table):
            self._say_done(node, Done(want.id))
            return True
        table = self._ground.tables[want.table]
        self._indexing[node] = self._indexing.get(node, 0) + 1
        self._leaves.get(table, lambda index: self._give(node, table, want, index))
        return True

    def _give(self, node: NodeURI, table: Table, want: Want, index: LeafIndex) -> None:
        self._indexing[node] -= 1
        if not self._indexing[node]:
            del self._indexing[node]
        outbox = self._outboxes.get(node)
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

        if want.tombstones:
            cells.extend(worth_telling(table))

        def finish() -> None:
            self._ground.counters.sync_cells["out"] += count
            self._say_done(node, Done(want.id, lack))

        count = len(cells)
        if not cells:
            finish()
            return
        outbox.add_transfer(Transfer(table, cells, finish))
        self._outboxes.pump(outbox)

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
            if response.status != 200 and tries > 1 and node in self._outboxes:
                self._say_done(node, done, tries - 1)

        body = encode(NativeMessage(done=done))
        self._channel.send(node, body, answered, timeout=5.0, fast=True)


def worth_telling(table: Table) -> list[Cell]:
    """The tombstones that a starting node must know. Where all cells have times, those that nobody deleted
    die on every node by themselves."""
    everything = not table.settings.autoexpire
    dead = (table.cells[key] for key in table.tombstones)
    return [cell for cell in dead if everything or not cell.flags & EXPIRED]
