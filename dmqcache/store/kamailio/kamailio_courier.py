"""Carrying batches to Kamailio nodes: each change in the form and order that its version keeps right.

Messages of one round are on their way together; a key never has two. What a message says is read from the
table when it is sent (``wording.py``); if the cell has changed until its 200, the key is named again, so
that the last word is always the right one. What has changed before it was answered is not repeated: it would
undo what another node has told meanwhile. Which messages a batch becomes, ``rounds.py`` says; what is not
told at all, and how long a message may be, ``held_back.py``; what copies of messages may have undone,
``late_copies.py``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from dmqcache.bus.peer import Response
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.dialect import Dialects
from dmqcache.store.kamailio.doubles import Doubles
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.kamailio_delivery import Delivery
from dmqcache.store.kamailio.late_copies import LateCopies
from dmqcache.store.kamailio.rounds import Message, Rounds, singly
from dmqcache.store.kamailio.said import Said, what_is
from dmqcache.store.kamailio.wording import Wording
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.batch import Batch
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import UNDATED
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.merge import Collision

#: Bytes of a batch: below what Kamailio itself sends (60,000), so that a lost fragment costs less.
BATCH_BYTES: Final = 16_000
#: Keys of one batch: each may be a message of its own.
BATCH_KEYS: Final = 200
#: Messages of one batch on their way at once: a lost one is repeated after T1 (0.5 s), and must not hold up
#: all others meanwhile.
MESSAGE_WINDOW: Final = 32
#: Seconds without an answer after which cells that went together go one by one: three transmissions.
TOGETHER_TIMEOUT_S: Final = 2.0
#: Seconds without an answer after which one key is set aside: six transmissions.
SINGLE_TIMEOUT_S: Final = 16.0
#: Seconds between two looks at what is unanswered: less than T1, after which it would be sent again.
LOOK_S: Final = 0.4
#: Batches with such keys that leave their place to others meanwhile.
MAX_STUCK: Final = 16


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
        held_back: HeldBack,
        doubles: Doubles,
    ) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._arrivals = arrivals
        self._dialects = dialects
        self._collisions = collisions
        self._late_copies = LateCopies(ground, outboxes, arrivals, collisions)
        self._held_back = held_back
        self._rounds = Rounds(ground, outboxes, held_back, doubles)
        self._wording = Wording(ground.clock, arrivals, dialects, held_back)

    def carry(self, outbox: Outbox, batch: Batch) -> bool:
        """Send a batch; with the last 200 it is acknowledged."""
        rounds = self._rounds.of(outbox, batch)
        delivery = Delivery(outbox, batch, deque(deque(messages) for messages in rounds))
        batch.sending = delivery
        if any(
            self._held_back.was_unanswered(outbox.node, name, key)
            for name, keys in batch.names.items()
            for key in keys
        ):
            self._give_way(delivery)
        self._go_on(delivery)
        if outbox.node.transport == "udp":
            self._look_later(delivery)
        return True

    # -- saying it ---------------------------------------------------------------------------------------

    def _go_on(self, delivery: Delivery) -> None:
        """Send what may be on its way now; at the end, the batch is delivered."""
        while delivery.rounds and delivery.batch in delivery.outbox.flying:
            messages = delivery.rounds[0]
            most = BATCH_KEYS if delivery.batch.stuck else MESSAGE_WINDOW
            while messages and len(delivery.flying) < most:
                self._send(delivery, messages.popleft())
            if messages or delivery.flying:
                return
            if delivery.rounds and not delivery.rounds[0]:
                delivery.rounds.popleft()
        if delivery.batch in delivery.outbox.flying and not delivery.flying:
            self._delivered(delivery)

    def _send(self, delivery: Delivery, message: Message) -> None:
        body = self._wording.of(delivery, message)
        if body is None:
            return
        delivery.flying.append(message)
        now = self._ground.clock.now()
        timeout = TOGETHER_TIMEOUT_S if len(message.names) > 1 else SINGLE_TIMEOUT_S
        if message.since is None:
            message.since = now
        message.undated = self._wording.is_undated(delivery, message)
        said = self._late_copies.saying(delivery, message)
        message.sending = self._channel.send(
            delivery.outbox.node,
            body,
            lambda response: self._answered(delivery, message, response),
            timeout=max(LOOK_S, message.since + timeout - now),
            on_late=lambda: self._late_copies.came(delivery.outbox, message, said),
        )

    # -- what is not true any more -----------------------------------------------------------------------

    def _look_later(self, delivery: Delivery) -> None:
        self._ground.runtime.call_later(LOOK_S, lambda: self._look(delivery))

    def _look(self, delivery: Delivery) -> None:
        """Give up messages that say what is not so any more, and say what is."""
        if self._ground.stopped or delivery.batch not in delivery.outbox.flying:
            return
        for message in list(delivery.flying):
            if delivery.is_outdated(message):
                self._replace(delivery, message)
        self._go_on(delivery)
        self._look_later(delivery)

    def _replace(self, delivery: Delivery, message: Message) -> None:
        delivery.flying.remove(message)
        if message.sending is not None:
            message.sending.cancel()
        self._late_copies.given_up(message)
        if not message.time:
            delivery.rounds[0].appendleft(Message(message.names, since=message.since))

    # -- what comes back ---------------------------------------------------------------------------------

    def _answered(self, delivery: Delivery, message: Message, response: Response) -> None:
        if message not in delivery.flying:
            return
        delivery.flying.remove(message)
        if response.retransmissions:
            self._late_copies.repeated(delivery, message)
        if response.status in (200, 202):
            delivery.outbox.proven = True
            self._taken(delivery, message)
        elif response.status == 400:
            self._refused(delivery, message)
        elif response.status in (404, 500):
            delivery.outbox.holds_nothing |= response.status == 404
            self._lacking(delivery, message, response.status)
        elif response.status == 408:
            self._unanswered(delivery, message)
        else:
            delivery.cancel()
            delivery.outbox.failed(delivery.batch)
            self._outboxes.pump(delivery.outbox)
            return
        if not message.time and self._dialects.of(delivery.outbox.node).last_modified:
            self._undated(message)
        self._go_on(delivery)

    def _undated(self, message: Message) -> None:
        """Keys that were told without a time, and are not written any more, get a version that has one: what
        was sent before them and comes late must not win."""
        wall = self._ground.clock.wall_ms()
        found = False
        for table, key in message.names:
            cell = table.cells.get(key)
            if cell is not None and cell.flags & UNDATED and ms_of(cell.last_modified()) <= wall:
                self._arrivals[table.name].collided(cell, Collision.TIE)
                found = True
        if found:
            self._collisions.collect()

    def _taken(self, delivery: Delivery, message: Message) -> None:
        node = delivery.outbox.node
        if (len(message.names) == 1 and delivery.batch.transfer is None) or message.deletes:
            self._held_back.took(node, message.names[0][0].name)
        for table, key in message.names:
            cell = table.cells.get(key)
            if cell is None or cell.value is None or self._held_back.reason(node, cell) is None:
                self._held_back.told(node, table.name, key)
            if delivery.batch.stuck:
                self._settle(delivery, table.name, key)

    def _refused(self, delivery: Delivery, message: Message) -> None:
        """400: the node is stricter than it said, or one cell of a batch is at fault: those go one by one."""
        node = delivery.outbox.node
        if not self._dialects.refused(node) and len(message.names) <= 1:
            for table, key in message.names:
                self._held_back.keep(node, table, key, "answered_400")
            return
        delivery.rounds[0].extendleft(singly(message))

    def _lacking(self, delivery: Delivery, message: Message, status: int) -> None:
        """404, 500: no htable there, or not this table."""
        for name, keys in Counter(table.name for table, _ in message.names).items():
            delivery.lacking.add(name)
            self._held_back.refused(delivery.outbox.node, name, status, keys)

    def _unanswered(self, delivery: Delivery, message: Message) -> None:
        """The node is there and does not answer this. It may be too long for something on the way, or one of
        its cells hurts the node: each goes by itself, and what then stays without an answer is set aside."""
        self._give_way(delivery)
        if len(message.names) > 1:
            delivery.rounds[0].extend(singly(message))
            return
        for table, key in message.names:
            said = delivery.said.pop((table.name, key), None)
            delivery.outbox.settled(delivery.batch, table.name, key)
            self._held_back.left_unanswered(delivery.outbox.node, table, key, said)

    def _give_way(self, delivery: Delivery) -> None:
        """Others must not wait for this batch, neither batches nor the next changes of its other keys."""
        outbox = delivery.outbox
        if delivery.batch.stuck or outbox.stuck() >= MAX_STUCK:
            return
        delivery.batch.stuck = True
        for name, key in list(delivery.said):
            self._settle(delivery, name, key)

    def _settle(self, delivery: Delivery, name: str, key: str) -> None:
        """What was said of a key has been acknowledged, unless a message with it is still to be answered."""
        if delivery.is_open(name, key):
            return
        outbox = delivery.outbox
        outbox.settled(delivery.batch, name, key)
        self._say_again(outbox, name, key, delivery.said.pop((name, key), None))

    def _say_again(self, outbox: Outbox, name: str, key: str, said: Said) -> None:
        """Name a key once more if it has changed since that was said of it."""
        table = outbox.tables.get(name)
        cell = table.cells.get(key) if table is not None else None
        if table is not None and what_is(cell) != said:
            self._outboxes.name_keys(self._ground.tables[name], [key], [outbox])

    def _delivered(self, delivery: Delivery) -> None:
        ground, outbox = self._ground, delivery.outbox
        if delivery.batch.transfer is None:
            ground.counters.delay.observe(ground.clock.now() - delivery.batch.since, delivery.batch.count)
        outbox.delivered(delivery.batch)
        for (name, key), said in delivery.said.items():
            self._say_again(outbox, name, key, said)
        ground.runtime.call_later(0, lambda: self._outboxes.pump(outbox))
