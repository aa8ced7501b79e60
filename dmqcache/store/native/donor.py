"""The giving side of sync and repair: sends another node the cells that it lacks in the parts it names.

A donor keeps nothing of the asker but the cells of the parts that are on their way (a few thousand); who
asks for what, and how much at a time, is the asker's business (``repair_session.py``).

A short want can be answered with a whole table, and its sender's address can be forged. So a want shows a
token, which only the answer to a question for the sums tells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.native_message import Done, NativeMessage, Want, encode
from dmqcache.store.outbox.batch import Transfer
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import EXPIRED, Cell
from dmqcache.store.table.leaves import LeafIndex, LeafIndexes
from dmqcache.store.table.table import Table
from dmqcache.store.table.tombstones import walk_dead

#: Wants of one node that are served at once; an asker of ours has four.
MAX_TRANSFERS: Final = 16
#: Cells looked at for one want. Parts beyond are left for the asker's next round.
MAX_LOOKED: Final = 100_000
#: Bytes of a token.
TOKEN_BYTES: Final = 8
#: Cells of one piece.
PIECE: Final = 500


class Donor:
    """Serves the wants of other nodes."""

    def __init__(self, ground: Ground, outboxes: Outboxes, channel: Channel, leaves: LeafIndexes) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._leaves = leaves
        self._secret = ground.runtime.token().encode()
        #: Wants that wait for an index, by node.
        self._indexing: dict[NodeURI, int] = {}

    def token(self, node: NodeURI) -> str:
        """What a want of ``node`` shows, for this life of ours."""
        return blake2b(str(node).encode(), key=self._secret[:64], digest_size=TOKEN_BYTES).hexdigest()

    def told(self, node: NodeURI, want: Want) -> bool:
        """Whether who wants that has seen our answer to ``node``."""
        return want.token == self.token(node)

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
        cells: deque[Cell] = deque()
        lack: list[int] = []
        in_steps(
            self._ground.runtime,
            _sort_out(table, want, index, cells, lack),
            lambda: self._send(node, table, want, cells, lack),
        )

    def _send(self, node: NodeURI, table: Table, want: Want, cells: deque[Cell], lack: list[int]) -> None:
        self._indexing[node] -= 1
        if not self._indexing[node]:
            del self._indexing[node]
        outbox = self._outboxes.get(node)
        if outbox is None or not outbox.open or self._ground.stopped:
            return

        def finish() -> None:
            self._ground.counters.sync_cells["out"] += count
            self._say_done(node, Done(want.id, lack))

        count = len(cells)
        if not cells:
            finish()
            return
        outbox.add_transfer(Transfer(table, cells, finish))
        self._outboxes.pump(outbox)

    def _say_done(self, node: NodeURI, done: Done, tries: int = 3) -> None:
        def answered(response: Response) -> None:
            if response.status != 200 and tries > 1 and node in self._outboxes:
                self._say_done(node, done, tries - 1)

        body = encode(NativeMessage(done=done))
        self._channel.send(node, body, answered, timeout=5.0, fast=True)


def _sort_out(
    table: Table, want: Want, index: LeafIndex, cells: deque[Cell], lack: list[int]
) -> Iterator[None]:
    """Find what to send and what they have and we lack, piece by piece."""
    parts = {(part.depth, part.index): part for part in want.parts}
    looked = 0
    for part in parts.values():
        theirs = set(part.held)
        below = index.below(part.depth, part.index)
        while some := list(islice(below, PIECE)):
            looked += len(some)
            if theirs:
                cells.extend([cell for cell in some if cell.digest not in theirs])
                theirs.difference_update([cell.digest for cell in some])
            else:
                cells.extend(some)
            yield
        lack.extend(theirs)
        if looked > MAX_LOOKED:
            break
    if want.tombstones:
        for keys in walk_dead(table, PIECE):
            cells.extend(worth_telling(table, keys))
            yield


def worth_telling(table: Table, keys: Iterable[str]) -> list[Cell]:
    """Which of these tombstones a starting node must know. Where all cells have times, those that nobody
    deleted die on every node by themselves."""
    everything = not table.settings.autoexpire
    dead = [cell for key in keys if (cell := table.cells.get(key)) is not None and cell.value is None]
    return [cell for cell in dead if everything or not cell.flags & EXPIRED]
