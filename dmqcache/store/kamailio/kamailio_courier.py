"""Carrying batches to Kamailio nodes: each change in the form and order that its version keeps right.

A batch becomes several messages in two rounds: first all values together and the deletes, then the times to
live of those cells whose time is not the table's own (before its set, a time is lost). Messages of one round
are on their way together; a key never has two. What a message says is read from the table when it is sent;
if the cell has changed until its 200, the key is named again, so that the last word is always the right one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dmqcache.bus.peer import Response, Sending
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.dialect import Dialect, Dialects
from dmqcache.store.kamailio.wire_write import (
    BATCH_OVERHEAD_BYTES,
    MAX_CELL_BYTES,
    carriable,
    cell_bytes,
    join_cells,
    write_delete,
    write_expire,
    write_set,
)
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outbox import Batch, Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import DEFAULT_TTL, NEVER, Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.merge import REPEATED

log = logging.getLogger("dmqcache.store")

#: Bytes of a batch: below what Kamailio itself sends (60,000), so that a lost fragment costs less.
BATCH_BYTES: Final = 16_000
#: Keys of one batch: each may be a message of its own.
BATCH_KEYS: Final = 200
#: Messages of one batch on their way at once: a lost one is repeated after T1 (0.5 s), and must not hold up
#: all others meanwhile.
MESSAGE_WINDOW: Final = 32
#: Seconds by which a cell's time may differ from the table's own before it is told.
TIME_SLACK: Final = 2.0
#: Seconds without an answer after which a batch is tried again: five of Kamailio's retransmissions.
BATCH_TIMEOUT_S: Final = 16.0

Name = tuple[Cells, str]


@dataclass(slots=True, eq=False)
class _Message:
    """Some cells together, or the value, the delete or the time of one."""

    names: list[Name]
    #: The time to live of one cell; else what it holds.
    time: bool = False
    sending: Sending | None = None


@dataclass(slots=True, eq=False)
class _Delivery:
    """A batch on its way."""

    outbox: Outbox
    batch: Batch
    #: What is still to be sent: values and deletes, then times.
    rounds: deque[deque[_Message]]
    #: What was said of each key: its version, None: that it is gone.
    said: dict[tuple[str, str], int | None] = field(default_factory=dict)
    flying: list[_Message] = field(default_factory=list)

    def cancel(self) -> None:
        """See :class:`dmqcache.bus.peer.Sending`."""
        for message in self.flying:
            if message.sending is not None:
                message.sending.cancel()
        self.flying.clear()
        self.rounds.clear()


class KamailioCourier:
    """The courier of the outboxes of Kamailio nodes: see :class:`~dmqcache.store.outbox.outbox.Courier`."""

    first_budget = BATCH_BYTES
    most_cells = BATCH_KEYS

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        channel: Channel,
        arrivals: Mapping[str, KamailioArrivals],
        dialects: Dialects,
        collisions: Collisions,
    ) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._arrivals = arrivals
        self._dialects = dialects
        self._collisions = collisions
        #: Of what a warning was given: table or node, and reason.
        self._told: set[tuple[str, str]] = set()

    def forget(self, name: str) -> None:
        """A node is gone for good."""
        self._told = {told for told in self._told if told[0] != name}

    def carry(self, outbox: Outbox, batch: Batch) -> bool:
        """Send a batch; with the last 200 it is acknowledged."""
        rounds = [self._transfer(batch)] if batch.transfer is not None else self._changes(outbox, batch)
        delivery = _Delivery(outbox, batch, deque(deque(messages) for messages in rounds))
        batch.sending = delivery
        self._go_on(delivery)
        return True

    # -- what there is to say ----------------------------------------------------------------------------

    def _transfer(self, batch: Batch) -> list[_Message]:
        """Cells for a node that asked for all: in batches."""
        names = [
            (table, cell.key)
            for table, cell in batch.cells
            if cell.value is not None and not self._withheld(table, cell)
        ]
        return [_Message(names)] if names else []

    def _changes(self, outbox: Outbox, batch: Batch) -> list[list[_Message]]:
        """Changed cells: values together and deletes one by one, then the times."""
        together: list[Name] = []
        singly: list[_Message] = []
        times: list[_Message] = []
        for name, keys in batch.names.items():
            table = outbox.tables[name]
            for key in keys:
                cell = table.cells.get(key)
                if "\0" in key:
                    # To a Kamailio the key ends there: a delete would hit another one.
                    if cell is not None and cell.value is not None:
                        self._withheld(table, cell)
                elif cell is None or cell.value is None or self._withheld(table, cell):
                    singly.append(_Message([(table, key)]))
                elif cell.counts is None or self._outboxes.designated:
                    together.append((table, key))
                    if self._has_own_time(table, cell):
                        times.append(_Message([(table, key)], time=True))
        return [[*([_Message(together)] if together else []), *singly], times]

    def _has_own_time(self, table: Cells, cell: Cell) -> bool:
        """Whether a Kamailio must be told the cell's time. Without autoexpire it would not listen."""
        autoexpire = table.settings.autoexpire
        if not autoexpire:
            return False
        if not cell.flags & DEFAULT_TTL or not table.settings.updateexpire:
            # With updateexpire=0 a cell that is over and not yet swept there would keep its old time.
            return True
        return abs(cell.expires - self._ground.clock.now() - autoexpire) > TIME_SLACK

    def _withheld(self, table: Cells, cell: Cell) -> bool:
        """Whether the node cannot hold the cell. What it has under the key is deleted there: it is wrong."""
        assert cell.value is not None
        reason = carriable(cell.key, cell.value)
        if reason is None:
            return False
        self._ground.counters.withheld[table.name, reason] += 1
        if (table.name, reason) not in self._told:
            self._told.add((table.name, reason))
            log.warning("table %s: key %r is kept from Kamailio nodes: %s", table.name, cell.key[:80], reason)
        return True

    # -- saying it ---------------------------------------------------------------------------------------

    def _go_on(self, delivery: _Delivery) -> None:
        """Send what may be on its way now; at the end, the batch is delivered."""
        while delivery.rounds and delivery.batch in delivery.outbox.flying:
            messages = delivery.rounds[0]
            while messages and len(delivery.flying) < MESSAGE_WINDOW:
                self._send(delivery, messages.popleft())
            if messages or delivery.flying:
                return
            if delivery.rounds and not delivery.rounds[0]:
                delivery.rounds.popleft()
        if delivery.batch in delivery.outbox.flying and not delivery.flying:
            self._delivered(delivery)

    def _send(self, delivery: _Delivery, message: _Message) -> None:
        body = self._body(delivery, message)
        if body is None:
            return
        delivery.flying.append(message)
        message.sending = self._channel.send(
            delivery.outbox.node,
            body,
            lambda response: self._answered(delivery, message, response),
            timeout=BATCH_TIMEOUT_S,
        )

    def _body(self, delivery: _Delivery, message: _Message) -> bytes | None:
        """The message, from what the tables hold now; None if there is nothing to say any more."""
        dialect = self._dialects.of(delivery.outbox.node)
        if message.time:
            return self._time(*message.names[0])
        if len(message.names) == 1 and delivery.batch.transfer is None:
            return self._single(delivery, *message.names[0], dialect)
        bodies: list[bytes] = []
        size = BATCH_OVERHEAD_BYTES
        for number, (table, key) in enumerate(message.names):
            cell = table.cells.get(key)
            if cell is None or cell.value is None:
                continue
            body = self._cell(delivery, table, cell, dialect)
            size += len(body) + 1
            if bodies and size > MAX_CELL_BYTES:
                delivery.rounds[0].appendleft(_Message(message.names[number:]))
                del message.names[number:]
                break
            delivery.said[table.name, key] = cell.last_modified()
            bodies.append(body)
        return join_cells(bodies) if bodies else None

    def _cell(self, delivery: _Delivery, table: Cells, cell: Cell, dialect: Dialect) -> bytes:
        """A cell of a batch. Its time is in it only for a node that asked for all: in one that the node
        holds already, Kamailio 5 would lose it."""
        assert cell.value is not None
        expire = 0
        if delivery.batch.transfer is not None and cell.expires != NEVER:
            expire = round(self._ground.clock.raw_ms() / 1000 + cell.expires - self._ground.clock.now())
        return cell_bytes(table.name, cell.key, cell.value, expire, cell.last_modified(), dialect)

    def _single(self, delivery: _Delivery, table: Cells, key: str, dialect: Dialect) -> bytes:
        cell = table.cells.get(key)
        if cell is None or cell.value is None or carriable(key, cell.value) is not None:
            delivery.said[table.name, key] = None if cell is None else cell.last_modified()
            return write_delete(table.name, key)
        delivery.said[table.name, key] = cell.last_modified()
        return write_set(table.name, key, cell.value, cell.last_modified(), dialect)

    def _time(self, table: Cells, key: str) -> bytes | None:
        cell = table.cells.get(key)
        if cell is None or cell.value is None:
            return None
        left = cell.expires - self._ground.clock.now()
        return write_expire(table.name, key, 0 if cell.expires == NEVER else max(1, round(left)))

    # -- what comes back ---------------------------------------------------------------------------------

    def _answered(self, delivery: _Delivery, message: _Message, response: Response) -> None:
        if message not in delivery.flying:
            return
        delivery.flying.remove(message)
        if response.status == 400:
            self._refused(delivery, message)
        elif response.status in (404, 500):
            # No htable there, or not this table: trying again changes nothing.
            delivery.outbox.holds_nothing |= response.status == 404
            self._count_refusal(delivery.outbox, response.status, message.names)
        elif response.status not in (200, 202):
            delivery.cancel()
            delivery.outbox.failed(delivery.batch)
            self._outboxes.pump(delivery.outbox)
            return
        if response.retransmissions:
            self._repeated(delivery, message)
        self._go_on(delivery)

    def _repeated(self, delivery: _Delivery, message: _Message) -> None:
        """A message was sent more than once, and answered: a copy may come after what is told next. Keys that
        have changed meanwhile are told once more when they are quiet."""
        for table, key in message.names:
            cell = table.cells.get(key)
            said = delivery.said.get((table.name, key))
            if cell is not None and cell.last_modified() != said:
                self._arrivals[table.name].collided(cell, REPEATED)
        self._collisions.collect()

    def _refused(self, delivery: _Delivery, message: _Message) -> None:
        """400: the node is stricter than it said, or one cell of a batch is at fault: those go one by one."""
        if not self._dialects.refused(delivery.outbox.node) and len(message.names) <= 1:
            self._count_refusal(delivery.outbox, 400, message.names)
            return
        singles: Iterable[_Message] = (_Message([name], message.time) for name in message.names)
        delivery.rounds[0].extendleft(singles)

    def _count_refusal(self, outbox: Outbox, status: int, names: Iterable[Name]) -> None:
        reason = f"answered_{status}"
        for table, _ in names:
            self._ground.counters.withheld[table.name, reason] += 1
        if (outbox.name, reason) not in self._told:
            self._told.add((outbox.name, reason))
            log.warning("%s answers %d to changes: are its tables declared as here?", outbox.name, status)

    def _delivered(self, delivery: _Delivery) -> None:
        ground, outbox = self._ground, delivery.outbox
        if delivery.batch.transfer is None:
            ground.counters.delay.observe(ground.clock.now() - delivery.batch.since, delivery.batch.count)
        outbox.delivered(delivery.batch)
        for (name, key), stamp in delivery.said.items():
            table = outbox.tables.get(name)
            cell = table.cells.get(key) if table is not None else None
            if table is not None and (None if cell is None else cell.last_modified()) != stamp:
                self._outboxes.name_keys(ground.tables[name], [key], [outbox])
        ground.runtime.call_later(0, lambda: self._outboxes.pump(outbox))
