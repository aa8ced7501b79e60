"""What a message to a Kamailio says of its keys: what the tables hold now, in the node's dialect.

Owns the choice of words (a set, a delete, a time to live, many cells together) and whether a cell is told
with its time. Notes in the delivery what was said of each key. How the words are written is
``wire_write.py``'s, which keys a message is about ``rounds.py``'s, when it is sent
``kamailio_courier.py``'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from dmqcache.store.kamailio.dialect import Dialect, Dialects
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.kamailio_delivery import Delivery
from dmqcache.store.kamailio.rounds import Message
from dmqcache.store.kamailio.said import what_is
from dmqcache.store.kamailio.wire_write import (
    BATCH_OVERHEAD_BYTES,
    cell_bytes,
    join_cells,
    write_delete,
    write_expire,
    write_set,
)
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.table.cell import NEVER, UNDATED, Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import Clock, ms_of


class Wording:
    """How a node's Kamailio nodes are told what its tables hold."""

    def __init__(
        self,
        clock: Clock,
        arrivals: Mapping[str, KamailioArrivals],
        dialects: Dialects,
        held_back: HeldBack,
    ) -> None:
        self._clock = clock
        self._arrivals = arrivals
        self._dialects = dialects
        self._held_back = held_back

    def of(self, delivery: Delivery, message: Message) -> bytes | None:
        """The message, from what the tables hold now; None if there is nothing to say any more."""
        node = delivery.outbox.node
        dialect, most = self._dialects.of(node), self._held_back.body_bytes(node)
        message.names = [name for name in message.names if name[0].name not in delivery.lacking]
        if not message.names:
            return None
        if message.deletes:
            table, key = message.names[0]
            return write_delete(table.name, key)
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
            if bodies and size > most:
                delivery.rounds[0].appendleft(Message(message.names[number:]))
                del message.names[number:]
                break
            delivery.said[table.name, key] = what_is(cell)
            bodies.append(body)
        return join_cells(bodies) if bodies else None

    def _cell(self, delivery: Delivery, table: Cells, cell: Cell, dialect: Dialect) -> bytes:
        """A cell of a batch. Its time is in it only for a node that asked for all: in one that the node
        holds already, Kamailio 5 would lose it."""
        assert cell.value is not None
        expire = 0
        if delivery.batch.transfer is not None and cell.expires != NEVER:
            expire = round(self._clock.raw_ms() / 1000 + cell.expires - self._clock.now())
        return cell_bytes(table.name, cell.key, cell.value, expire, self._time_of(table, cell), dialect)

    def is_undated(self, delivery: Delivery, message: Message) -> bool:
        if message.time or not self._dialects.of(delivery.outbox.node).last_modified:
            return False
        cells = [(table, table.cells.get(key)) for table, key in message.names]
        return any(
            cell is not None and cell.value is not None and self._time_of(table, cell) is None
            for table, cell in cells
        )

    def _time_of(self, table: Cells, cell: Cell) -> int | None:
        """The ``last_modified`` of a cell; None where a 6.2 may hold one as late, and would keep its own."""
        ms = ms_of(cell.last_modified())
        late = cell.flags & UNDATED or ms <= self._arrivals[table.name].undated_until
        return None if late else ms

    def _single(self, delivery: Delivery, table: Cells, key: str, dialect: Dialect) -> bytes:
        cell = table.cells.get(key)
        node = delivery.outbox.node
        if cell is None or cell.value is None or self._held_back.reason(node, cell) is not None:
            delivery.said[table.name, key] = what_is(cell)
            return write_delete(table.name, key)
        delivery.said[table.name, key] = what_is(cell)
        return write_set(table.name, key, cell.value, self._time_of(table, cell), dialect)

    def _time(self, table: Cells, key: str) -> bytes | None:
        cell = table.cells.get(key)
        if cell is None or cell.value is None:
            return None
        left = cell.expires - self._clock.now()
        return write_expire(table.name, key, 0 if cell.expires == NEVER else max(1, round(left)))
