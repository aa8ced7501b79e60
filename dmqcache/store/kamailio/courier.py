"""Carrying an outbox to a Kamailio: each change in the form and order that its version keeps right.

A parcel becomes errands, one message each, in two rounds: first all values together and the deletes, then the
times to live of those cells whose time is not the table's own (before its set, a time is lost). Errands of
one round are on their way together; a key never has two. What an errand says is read from the table when it
is sent; if the cell has changed until its 200, the key is named again, so that the last word is always the
right one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dmqcache.bus.peer import Peer, Response, Sending
from dmqcache.store.kamailio.dialect import Dialect, dialect_of, stricter
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
from dmqcache.store.outbox.outbox import Outbox, Parcel
from dmqcache.store.table.cell import DEFAULT_TTL, NEVER, Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.merge import REPEATED

if TYPE_CHECKING:
    from dmqcache.store.store import Store

log = logging.getLogger("dmqcache.store")

CONTENT_TYPE: Final = "application/json"
#: Bytes of a batch: below what Kamailio itself sends (60,000), so that a lost fragment costs less.
BATCH_BYTES: Final = 16_000
#: Names of one parcel: each may be a message of its own.
PARCEL_NAMES: Final = 200
#: Messages of one parcel on their way at once: a lost one is repeated after T1 (0.5 s), and must not hold up
#: all others meanwhile.
FLIGHTS: Final = 32
#: Seconds by which a cell's time may differ from the table's own before it is told.
TIME_SLACK: Final = 2.0
#: Seconds without an answer after which a parcel is tried again: five of Kamailio's retransmissions.
PARCEL_TIMEOUT_S: Final = 16.0

Name = tuple[Cells, str]


@dataclass(slots=True, eq=False)
class _Errand:
    """One message: some cells together, or the value, the delete or the time of one."""

    names: list[Name]
    #: The time to live of one cell; else what it holds.
    time: bool = False
    sending: Sending | None = None


@dataclass(slots=True, eq=False)
class _Run:
    """A parcel on its way."""

    outbox: Outbox
    parcel: Parcel
    #: What is still to be sent: values and deletes, then times.
    rounds: deque[deque[_Errand]]
    #: What was said of each key: its version, None: that it is gone.
    said: dict[tuple[str, str], int | None] = field(default_factory=dict)
    flying: list[_Errand] = field(default_factory=list)

    def cancel(self) -> None:
        """See :class:`dmqcache.bus.peer.Sending`."""
        for errand in self.flying:
            if errand.sending is not None:
                errand.sending.cancel()
        self.flying.clear()
        self.rounds.clear()


class KamailioCourier:
    """The courier of the outboxes of Kamailio nodes."""

    def __init__(self, store: Store, peer: Peer) -> None:
        self._store = store
        self._peer = peer
        self._dialects: dict[str, Dialect] = {}
        self._told: set[tuple[str, str]] = set()

    def dialect(self, outbox: Outbox) -> Dialect:
        """What the outbox's node understands."""
        known = self._dialects.get(outbox.name)
        if known is not None:
            return known
        node = self._store.bus.nodes.get(outbox.node)
        if node is None:
            return dialect_of("")
        return dialect_of(node.user_agent)

    def forget_dialect(self, name: str) -> None:
        """A node came (back): it may be another version now."""
        self._dialects.pop(name, None)

    def forget(self, name: str) -> None:
        """A node is gone for good."""
        self._dialects.pop(name, None)
        self._told = {told for told in self._told if told[0] != name}

    def send(self, outbox: Outbox) -> bool:
        """Carry one parcel; with the last 200 it is acknowledged."""
        parcel = outbox.take(BATCH_BYTES, PARCEL_NAMES)
        if parcel is None:
            return False
        rounds = [self._portion(parcel)] if parcel.portion is not None else self._changes(outbox, parcel)
        run = _Run(outbox, parcel, deque(deque(errands) for errands in rounds))
        parcel.sending = run
        self._go_on(run)
        return True

    # -- what there is to say ----------------------------------------------------------------------------

    def _portion(self, parcel: Parcel) -> list[_Errand]:
        """Cells for a node that asked for all: in batches."""
        names = [
            (table, cell.key)
            for table, cell in parcel.cells
            if cell.value is not None and not self._withheld(table, cell)
        ]
        return [_Errand(names)] if names else []

    def _changes(self, outbox: Outbox, parcel: Parcel) -> list[list[_Errand]]:
        """Changed cells: values together and deletes one by one, then the times."""
        together: list[Name] = []
        singly: list[_Errand] = []
        times: list[_Errand] = []
        for name, keys in parcel.names.items():
            table = outbox.tables[name]
            for key in keys:
                cell = table.cells.get(key)
                if "\0" in key:
                    # To a Kamailio the key ends there: a delete would hit another one.
                    if cell is not None and cell.value is not None:
                        self._withheld(table, cell)
                elif cell is None or cell.value is None or self._withheld(table, cell):
                    singly.append(_Errand([(table, key)]))
                elif cell.counts is None or self._store.designated:
                    together.append((table, key))
                    if self._has_own_time(table, cell):
                        times.append(_Errand([(table, key)], time=True))
        return [[*([_Errand(together)] if together else []), *singly], times]

    def _has_own_time(self, table: Cells, cell: Cell) -> bool:
        """Whether a Kamailio must be told the cell's time. Without autoexpire it would not listen."""
        autoexpire = table.settings.autoexpire
        if not autoexpire:
            return False
        if not cell.flags & DEFAULT_TTL or not table.settings.updateexpire:
            # With updateexpire=0 a cell that is over and not yet swept there would keep its old time.
            return True
        return abs(cell.expires - self._store.clock.now() - autoexpire) > TIME_SLACK

    def _withheld(self, table: Cells, cell: Cell) -> bool:
        """Whether the node cannot hold the cell. What it has under the key is deleted there: it is wrong."""
        assert cell.value is not None
        reason = carriable(cell.key, cell.value)
        if reason is None:
            return False
        self._store.counters.withheld[table.name, reason] += 1
        if (table.name, reason) not in self._told:
            self._told.add((table.name, reason))
            log.warning("table %s: key %r is kept from Kamailio nodes: %s", table.name, cell.key[:80], reason)
        return True

    # -- saying it ---------------------------------------------------------------------------------------

    def _go_on(self, run: _Run) -> None:
        """Send what may be on its way now; at the end, the parcel is delivered."""
        while run.rounds and run.parcel in run.outbox.parcels:
            errands = run.rounds[0]
            while errands and len(run.flying) < FLIGHTS:
                self._send(run, errands.popleft())
            if errands or run.flying:
                return
            if run.rounds and not run.rounds[0]:
                run.rounds.popleft()
        if run.parcel in run.outbox.parcels and not run.flying:
            self._delivered(run)

    def _send(self, run: _Run, errand: _Errand) -> None:
        body = self._body(run, errand)
        if body is None:
            return
        assert self._peer.bus is not None
        run.flying.append(errand)
        errand.sending = self._peer.bus.send_message(
            self._peer,
            body,
            run.outbox.node,
            content_type=CONTENT_TYPE,
            on_response=lambda response: self._answered(run, errand, response),
            timeout=PARCEL_TIMEOUT_S,
        )

    def _body(self, run: _Run, errand: _Errand) -> bytes | None:
        """The message, from what the tables hold now; None if there is nothing to say any more."""
        dialect = self.dialect(run.outbox)
        if errand.time:
            return self._time(*errand.names[0])
        if len(errand.names) == 1 and run.parcel.portion is None:
            return self._single(run, *errand.names[0], dialect)
        bodies: list[bytes] = []
        size = BATCH_OVERHEAD_BYTES
        for number, (table, key) in enumerate(errand.names):
            cell = table.cells.get(key)
            if cell is None or cell.value is None:
                continue
            body = self._cell(run, table, cell, dialect)
            size += len(body) + 1
            if bodies and size > MAX_CELL_BYTES:
                run.rounds[0].appendleft(_Errand(errand.names[number:]))
                del errand.names[number:]
                break
            run.said[table.name, key] = cell.last_modified()
            bodies.append(body)
        return join_cells(bodies) if bodies else None

    def _cell(self, run: _Run, table: Cells, cell: Cell, dialect: Dialect) -> bytes:
        """A cell of a batch. Its time is in it only for a node that asked for all: in one that the node
        holds already, Kamailio 5 would lose it."""
        assert cell.value is not None
        expire = 0
        if run.parcel.portion is not None and cell.expires != NEVER:
            expire = round(self._store.clock.raw_ms() / 1000 + cell.expires - self._store.clock.now())
        return cell_bytes(table.name, cell.key, cell.value, expire, cell.last_modified(), dialect)

    def _single(self, run: _Run, table: Cells, key: str, dialect: Dialect) -> bytes:
        cell = table.cells.get(key)
        if cell is None or cell.value is None or carriable(key, cell.value) is not None:
            run.said[table.name, key] = None if cell is None else cell.last_modified()
            return write_delete(table.name, key)
        run.said[table.name, key] = cell.last_modified()
        return write_set(table.name, key, cell.value, cell.last_modified(), dialect)

    def _time(self, table: Cells, key: str) -> bytes | None:
        cell = table.cells.get(key)
        if cell is None or cell.value is None:
            return None
        left = cell.expires - self._store.clock.now()
        return write_expire(table.name, key, 0 if cell.expires == NEVER else max(1, round(left)))

    # -- what comes back ---------------------------------------------------------------------------------

    def _answered(self, run: _Run, errand: _Errand, response: Response) -> None:
        if errand not in run.flying:
            return
        run.flying.remove(errand)
        if response.status == 400:
            self._refused(run, errand)
        elif response.status in (404, 500):
            # No htable there, or not this table: trying again changes nothing.
            self._count_refusal(run.outbox, response.status, errand.names)
        elif response.status not in (200, 202):
            run.cancel()
            run.outbox.failed(run.parcel)
            self._store.pump(run.outbox)
            return
        if response.retransmissions:
            self._repeated(run, errand)
        self._go_on(run)

    def _repeated(self, run: _Run, errand: _Errand) -> None:
        """A message was sent more than once, and answered: a copy may come after what is told next. Keys that
        have changed meanwhile are told once more when they are quiet."""
        for table, key in errand.names:
            cell = table.cells.get(key)
            said = run.said.get((table.name, key))
            if cell is not None and cell.last_modified() != said:
                self._store.arrivals[table.name].collided(cell, REPEATED)
        self._store.collisions.collect()

    def _refused(self, run: _Run, errand: _Errand) -> None:
        """400: the node is stricter than it said, or one cell of a batch is at fault: those go one by one."""
        dialect = self.dialect(run.outbox)
        strict = stricter(dialect)
        if dialect != strict:
            self._dialects[run.outbox.name] = strict
        elif len(errand.names) <= 1:
            self._count_refusal(run.outbox, 400, errand.names)
            return
        singles: Iterable[_Errand] = (_Errand([name], errand.time) for name in errand.names)
        run.rounds[0].extendleft(singles)

    def _count_refusal(self, outbox: Outbox, status: int, names: Iterable[Name]) -> None:
        reason = f"answered_{status}"
        for table, _ in names:
            self._store.counters.withheld[table.name, reason] += 1
        if (outbox.name, reason) not in self._told:
            self._told.add((outbox.name, reason))
            log.warning("%s answers %d to changes: are its tables declared as here?", outbox.name, status)

    def _delivered(self, run: _Run) -> None:
        store, outbox = self._store, run.outbox
        if run.parcel.portion is None:
            store.counters.delay.observe(store.clock.now() - run.parcel.since, run.parcel.count)
        outbox.delivered(run.parcel)
        for (name, key), stamp in run.said.items():
            table = outbox.tables.get(name)
            cell = table.cells.get(key) if table is not None else None
            if table is not None and (None if cell is None else cell.last_modified()) != stamp:
                store.name_keys(store.tables[name], [key], [outbox])
        store.runtime.call_later(0, lambda: store.pump(outbox))
