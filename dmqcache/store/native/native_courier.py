"""Carrying batches to dmqcache nodes: one message each, whose 200 is the acknowledgement.

Owns how a batch becomes rows, and how large batches may grow. What is in one, the outbox decides.
"""

from __future__ import annotations

import logging
from typing import Final

from dmqcache.bus.peer import Response
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.floors import Floors
from dmqcache.store.native.native_message import encode_rows
from dmqcache.store.outbox.batch import Batch
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.row import escaped, row_of, tombstone_row

log = logging.getLogger("dmqcache.store")

#: Bytes of a node's first batches.
FIRST_BUDGET: Final = 8_192
#: Bytes of a batch. The least fits one Ethernet frame: on a bad network a fragment lost is all lost. The
#: most is where larger batches stopped paying (``make bench`` prints it anew).
MIN_BATCH_BYTES: Final = 1_000
MAX_BATCH_BYTES: Final = {"udp": 24_000, "tcp": 60_000, "tls": 60_000}
#: Seconds after which a batch is packed anew, smaller.
BATCH_TIMEOUT_S: Final = 4.0
#: Bytes of a body: what a UDP datagram (65,507) takes beside the SIP head; over TCP what a node reads.
MAX_BODY_BYTES: Final = {"udp": 64_000, "tcp": 4_000_000, "tls": 4_000_000}
#: Cells of a batch, so that none holds a receiver's loop for more than some 10 ms.
MOST_CELLS: Final = 2_000


class NativeCourier:
    """The courier of the outboxes of dmqcache nodes: see :class:`~dmqcache.store.outbox.outbox.Courier`."""

    first_budget = FIRST_BUDGET
    most_cells = MOST_CELLS

    def __init__(
        self, ground: Ground, outboxes: Outboxes, channel: Channel, floors: Floors, answers: AnswerReader
    ) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._floors = floors
        self._answers = answers

    def carry(self, outbox: Outbox, batch: Batch) -> bool:
        """Send a batch as one message."""
        body = self._pack(batch)
        batch.size = len(body)
        if len(body) > MAX_BODY_BYTES[outbox.node.transport]:
            if batch.count > 1:
                return False
            self._withhold(outbox, batch)
            return True
        if batch.transfer is not None:
            self._ground.counters.repair_cells["out"] += batch.count
        batch.sending = self._channel.send(
            outbox.node,
            body,
            lambda response: self._answered(outbox, batch, response),
            timeout=BATCH_TIMEOUT_S,
            fast=True,
        )
        return True

    def _withhold(self, outbox: Outbox, batch: Batch) -> None:
        """One cell that no message to this node can hold: over UDP, a value of some 60,000 bytes."""
        for table, cell in batch.cells:
            self._ground.counters.withheld[table.name, "too_large"] += 1
            log.warning(
                "table %s: key %r is too large for %s: give the nodes ;transport=tcp addresses",
                table.name,
                cell.key[:80],
                outbox.node,
            )
        outbox.delivered(batch)

    def _pack(self, batch: Batch) -> bytes:
        now = self._ground.clock.now()
        repair = batch.transfer is not None
        rows = {
            table.name: [
                (cell.key, cell.value, cell.stamp)
                if not cell.flags
                and not cell.ttl
                and cell.counts is None
                and not (repair and cell.value is None)
                else _row(table, cell, now)
                for cell in cells
            ]
            for table, cells in batch.by_table
        }
        floors = self._floors.of(dict.fromkeys([*rows, *batch.names]))
        try:
            return encode_rows(rows, floors, repair)
        except UnicodeError:
            spelt = {name: [_safe(row) for row in some] for name, some in rows.items()}
            return encode_rows(spelt, floors, repair)

    def _answered(self, outbox: Outbox, batch: Batch, response: Response) -> None:
        counters = self._ground.counters
        if response.status == 200:
            if response.retransmissions:
                outbox.budget = max(MIN_BATCH_BYTES, outbox.budget // 2)
            else:
                outbox.budget = min(MAX_BATCH_BYTES[outbox.node.transport], outbox.budget * 2)
            if batch.transfer is None:
                counters.delay.observe(self._ground.clock.now() - batch.since, batch.count)
            outbox.delivered(batch)
            self._answers.read(response)
        elif response.status == 400:
            # It will not be read better the second time; a repair finds what was lost with it.
            counters.refused["", "batch_refused"] += batch.count
            outbox.delivered(batch)
            outbox.overflowed = True
        else:
            outbox.budget = MIN_BATCH_BYTES
            outbox.failed(batch)
        self._outboxes.pump(outbox)


def _row(table: Cells, cell: Cell, now: float) -> tuple[object, ...]:
    died = table.tombstones.died_at(cell.key) if cell.value is None else None
    return row_of(cell, now) if died is None else tombstone_row(cell, now - died)


def _safe(row: tuple[object, ...]) -> tuple[object, ...]:
    """The row, spelt byte by byte if UTF-8 cannot hold it."""
    for text in row[:2]:
        if isinstance(text, str):
            try:
                text.encode()
            except UnicodeError:
                return escaped(row)
    return row
