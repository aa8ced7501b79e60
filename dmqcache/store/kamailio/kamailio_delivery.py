"""A batch on its way to a Kamailio: what is still to be sent of it, what was said, and what is unanswered.

Owns no rule of what is said or when: that is ``kamailio_courier.py``'s.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field

from dmqcache.store.kamailio.rounds import Message
from dmqcache.store.kamailio.said import Said, what_is
from dmqcache.store.outbox.batch import Batch
from dmqcache.store.outbox.outbox import Outbox


@dataclass(slots=True, eq=False)
class Delivery:
    """A batch on its way."""

    outbox: Outbox
    batch: Batch
    #: What is still to be sent: values and deletes, then times.
    rounds: deque[deque[Message]]
    #: What was said of each key.
    said: dict[tuple[str, str], Said] = field(default_factory=dict)
    #: Tables that turned out to be missing there.
    lacking: set[str] = field(default_factory=set)
    flying: list[Message] = field(default_factory=list)

    def cancel(self) -> None:
        """See :class:`dmqcache.bus.peer.Sending`."""
        for message in self.flying:
            if message.sending is not None:
                message.sending.cancel()
        self.flying.clear()
        self.rounds.clear()

    def is_open(self, table: str, key: str) -> bool:
        """Whether a message with this key is still to be sent or answered."""
        messages = itertools.chain(self.flying, *self.rounds)
        return any(one.name == table and key == other for message in messages for one, other in message.names)

    def is_outdated(self, message: Message) -> bool:
        """Whether a key holds something else by now than was said of it."""
        for table, key in message.names:
            cell = table.cells.get(key)
            now = what_is(cell)
            if self.said.get((table.name, key), now) != now:
                return True
        return False
