"""What one dmqcache node knows from Kamailio nodes alone, and another knows better: is it news all the same?

A node that starts beside Kamailio nodes takes what they have, with the least version of all. Who was cut off
from them meanwhile holds something else with a real version, which wins. But if all of these Kamailio nodes
had heard of that before they were lost, what they show now was written after it.

Owns both sides of that question: who has only hearsay shows it to the other before it is overwritten, and the
other decides. Rows come in by ``native/replica.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import copy

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.outbox.batch import Transfer
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import PROVISIONAL
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table


class Hearsay:
    """The hearsay of one node."""

    def __init__(self, outboxes: Outboxes) -> None:
        self._outboxes = outboxes

    def show(self, table: Table, rows: Iterable[Row], node: NodeURI) -> None:
        """``node`` tells rows of a repair: what they overwrite that we know from Kamailio nodes alone, it is
        to see."""
        outbox = self._outboxes.get(node)
        if outbox is None or not self._outboxes.of_kamailios():
            return
        lost = deque(
            copy(cell)
            for row in rows
            if (cell := table.cells.get(row.key)) is not None
            and cell.stamp == table.floor + 1 < row.stamp
            and _is_hearsay(cell.flags, cell.value)
            and cell.value != row.value
        )
        if lost:
            outbox.add_transfer(Transfer(table, lost, lambda: None))
            self._outboxes.pump(outbox)

    def take(self, table: Table, row: Row) -> None:
        """A dmqcache node told a row that is older than what we hold."""
        if row.stamp != table.floor + 1 or not _is_hearsay(row.flags, row.value):
            return
        held = table.cells.get(row.key)
        if held is None or held.counts is not None or held.value == row.value:
            return
        left = row.left / 1000 if row.ttl else None
        if left == 0 or row.value is None or not table.takes(row.value):
            return
        if self._all_had(ms_of(held.last_modified()) + held.ttl):
            with table.by_itself():
                table.set(row.key, row.value, left)

    def _all_had(self, written: int) -> bool:
        """Whether Kamailio nodes were lost, and all of them after a write (Unix ms): they had heard of it."""
        lost = [box.lost_at for box in self._outboxes.of_kamailios() if box.lost_at is not None]
        return bool(lost) and min(lost) >= written


def _is_hearsay(flags: int, value: str | int | None) -> bool:
    """Whether it can be a text that a Kamailio showed. A number may be the shadow of a counter."""
    return bool(flags & PROVISIONAL) and isinstance(value, str)
