"""Copies of messages that a Kamailio handles after later ones: what they undo is told once more.

A message that was repeated, or given up for a newer one, may lie in the queue of one of its workers (which
sends all its cells to somebody, or stands still) while the other workers take what is told next. What comes
last stays. Most copies are handled within a second; one that is handled later is answered then, and that
answer tells. Owns when keys are told again for such copies; how, ``collisions.py`` says, once they are quiet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.kamailio_delivery import Delivery
from dmqcache.store.kamailio.rounds import Message, Name, has_own_time
from dmqcache.store.kamailio.said import Said, what_is
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.merge import NOTHING_KNOWN, Collision

#: Seconds in which a copy of a message that was answered may still be handled by a busy Kamailio whose answer
#: to it is lost.
LATE_COPY_S: Final = 1.0
#: What a delete says that only makes room for a value: no key ever holds that.
_ROOM: Final = (0, None)

_Saying = tuple[Cells, str, Said]


class LateCopies:
    """Tells again what copies of messages may have undone."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        arrivals: Mapping[str, KamailioArrivals],
        collisions: Collisions,
    ) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._arrivals = arrivals
        self._collisions = collisions

    def given_up(self, message: Message) -> None:
        """A message gives its place to a newer one: a copy of it may come after that."""
        names = message.names
        self._ground.runtime.call_later(LATE_COPY_S, lambda: self._retell(names, message))

    def repeated(self, delivery: Delivery, message: Message) -> None:
        """A message was sent more than once, and answered: a copy may come after what is told next. Keys that
        have changed meanwhile, or do within a second, are told once more when they are quiet."""
        said = self.saying(delivery, message)
        self._retell_changed(message, said)
        self._ground.runtime.call_later(LATE_COPY_S, lambda: self._retell_changed(message, said))

    def saying(self, delivery: Delivery, message: Message) -> list[_Saying]:
        """What a message says of its keys."""
        return [
            (table, key, _ROOM if message.deletes else delivery.said.get((table.name, key)))
            for table, key in message.names
        ]

    def came(self, outbox: Outbox, message: Message, said: list[_Saying]) -> None:
        """A copy of a message that said so was handled there only now."""
        if self._ground.stopped:
            return
        now = self._ground.clock.now()
        undone: list[Name] = []
        for table, key, before in said:
            cell = table.cells.get(key)
            if cell is None:
                self._bury(outbox, table, key, before)
            elif what_is(cell) != before or has_own_time(table, cell, now):
                # A set renews the time, and the one that was told after it is gone.
                undone.append((table, key))
        self._retell(undone, message)

    def _bury(self, outbox: Outbox, table: Cells, key: str, before: Said) -> None:
        """A flush leaves nothing of a key: it is deleted there. What was evicted is to stay there."""
        if before is not None and before[0] <= table.floor and not outbox.names(table, key):
            self._outboxes.name_keys(self._ground.tables[table.name], [key], [outbox])

    def _retell_changed(self, message: Message, said: list[_Saying]) -> None:
        """See to the keys that hold something else than was said of them."""
        changed = [(table, key) for table, key, before in said if what_is(table.cells.get(key)) != before]
        self._retell(changed, message)

    def _retell(self, names: list[Name], message: Message) -> None:
        """Tell what these keys hold once more when they are quiet; to a node that dates a copy of the message
        when it comes, with a later time."""
        if self._ground.stopped:
            return
        kind = Collision.REPEATED | (Collision.SHOWN if message.undated else NOTHING_KNOWN)
        for table, key in names:
            cell = table.cells.get(key)
            if cell is not None:
                self._arrivals[table.name].collided(cell, kind)
        self._collisions.collect()
