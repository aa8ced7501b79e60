"""What a batch says to a Kamailio: its messages, in rounds, each to be sent when the one before is answered.

First, of each table that the node is not known to have, one key alone: inside cells a Kamailio skips a table
that it lacks, and answers 200. Then the values and the deletes; then the times to live of those cells whose
time is not the table's own (before its set, a time is lost).

Many values go together, few of them one by one: cells are taken without a lock (``doubles.py``), single sets
with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dmqcache.bus.peer import Sending
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.doubles import Doubles
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.outbox.batch import Batch
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import DEFAULT_TTL, UNDATED, Cell
from dmqcache.store.table.cells import Cells

#: Seconds by which a cell's time may differ from the table's own before it is told.
TIME_SLACK: Final = 2.0
#: So many values go one by one: they are on their way at once, and take no longer than together.
FEW: Final = 32

Name = tuple[Cells, str]


@dataclass(slots=True, eq=False)
class Message:
    """Some cells together, or the value, the delete or the time of one."""

    names: list[Name]
    #: The time to live of one cell; else what it holds, or, with ``deletes``, nothing.
    time: bool = False
    deletes: bool = False
    sending: Sending | None = None
    #: It says something without its time to a node that keeps times: there it counts as written on arrival.
    undated: bool = False
    #: Monotonic seconds when it was sent, or the first of those whose place it took.
    since: float | None = None


def singly(message: Message) -> list[Message]:
    """The same, key by key."""
    return [Message([name], message.time, message.deletes) for name in message.names]


def has_own_time(table: Cells, cell: Cell, now: float) -> bool:
    """Whether a Kamailio must be told the cell's time. Without autoexpire it would not listen. ``now``:
    monotonic seconds."""
    autoexpire = table.settings.autoexpire
    if not autoexpire or cell.value is None:
        return False
    if not cell.flags & DEFAULT_TTL or not table.settings.updateexpire:
        # With updateexpire=0 a cell that has expired and is not yet swept there would keep its old time.
        return True
    return abs(cell.expires - now - autoexpire) > TIME_SLACK


class Rounds:
    """Makes the rounds of a batch."""

    def __init__(self, ground: Ground, outboxes: Outboxes, held_back: HeldBack, doubles: Doubles) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._held_back = held_back
        self._doubles = doubles

    def of(self, outbox: Outbox, batch: Batch) -> list[list[Message]]:
        """The rounds of a batch; some may be empty."""
        return self._transfer(outbox, batch) if batch.transfer is not None else self._changes(outbox, batch)

    def _transfer(self, outbox: Outbox, batch: Batch) -> list[list[Message]]:
        """Cells for a node that asked for all: in batches."""
        names: list[Name] = []
        for table, cell in batch.cells:
            if cell.value is not None and not self._held_back.skip(outbox.node, table.name, 1):
                reason = self._held_back.reason(outbox.node, cell)
                if reason is None:
                    names.append((table, cell.key))
                else:
                    self._held_back.keep(outbox.node, table, cell.key, reason)
        first = [Message([(table, key)], deletes=True) for table, key in self._firsts(outbox, names)]
        return [first, [Message(names)] if names else []]

    def _changes(self, outbox: Outbox, batch: Batch) -> list[list[Message]]:
        """Changed cells: values and deletes, then the times."""
        together: list[Name] = []
        doubled: list[Message] = []
        alone: list[Message] = []
        times: list[Message] = []
        for name, keys in batch.names.items():
            table = outbox.tables[name]
            if self._held_back.skip(outbox.node, name, len(keys)):
                continue
            for key in keys:
                cell = table.cells.get(key)
                if self._held_back.is_set_aside(outbox.node, name, cell, key):
                    continue
                kept = self._is_kept(outbox, table, key, cell)
                if "\0" in key:
                    continue  # To a Kamailio the key ends there: a delete would hit another one.
                if cell is None or cell.value is None or kept:
                    alone.append(Message([(table, key)]))
                    continue
                if self._outboxes.tells(cell):
                    # In a batch a field that is missing may come from the cell before.
                    if self._doubles.take(outbox.node, name, key):
                        doubled.append(Message([(table, key)], deletes=True))
                        alone.append(Message([(table, key)]))
                    elif cell.flags & UNDATED or self._held_back.was_unanswered(outbox.node, name, key):
                        alone.append(Message([(table, key)]))
                    else:
                        together.append((table, key))
                    if has_own_time(table, cell, self._ground.clock.now()):
                        times.append(Message([(table, key)], time=True))
        firsts = self._firsts(outbox, together)
        together = [name for name in together if name not in firsts]
        first = [*doubled, *(Message([name]) for name in firsts)]
        values = [Message(together)] if together else []
        if len(together) <= FEW:
            values = [Message([name]) for name in together]
        return [first, [*values, *alone], times]

    def _firsts(self, outbox: Outbox, names: list[Name]) -> list[Name]:
        """One key of each table that the node is not known to have."""
        if len(names) <= 1:
            return []
        firsts = {table.name: (table, key) for table, key in reversed(names)}
        return [name for table, name in firsts.items() if not self._held_back.has_table(outbox.node, table)]

    def _is_kept(self, outbox: Outbox, table: Cells, key: str, cell: Cell | None) -> bool:
        """Whether the node cannot be told the value. What it has instead is wrong, and deleted there."""
        if cell is None or cell.value is None:
            return False
        reason = self._held_back.reason(outbox.node, cell)
        if reason is not None:
            self._held_back.keep(outbox.node, table, key, reason)
        return reason is not None
