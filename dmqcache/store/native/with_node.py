"""What the parts of one session have in common: the node, and the ways to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.floors import Floors
from dmqcache.store.native.native_message import NativeMessage, encode
from dmqcache.store.outbox.batch import Transfer
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.leaves import LeafIndexes

#: Seconds until a question that nobody answers counts as lost.
ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Ways:
    """What sessions with dmqcache nodes stand on, whichever node it is."""

    ground: Ground
    outboxes: Outboxes
    channel: Channel
    leaves: LeafIndexes
    floors: Floors
    answers: AnswerReader

    def to(self, node: NodeURI) -> WithNode:
        """The same for one node."""
        return WithNode(
            self.ground, self.outboxes, self.channel, self.leaves, self.floors, self.answers, node
        )


@dataclass(frozen=True, slots=True)
class WithNode(Ways):
    """Everything that a session with one node needs."""

    node: NodeURI

    def send(self, message: NativeMessage, answered: Callable[[Response], None]) -> None:
        """Ask the node something."""
        self.channel.send(self.node, encode(message), answered, timeout=ANSWER_TIMEOUT_S, fast=True)

    def outbox(self) -> Outbox | None:
        """The node's outbox, if it has one."""
        return self.outboxes.get(self.node)

    def give(self, transfer: Transfer) -> None:
        """Send it cells."""
        outbox = self.outbox()
        if outbox is not None:
            outbox.add_transfer(transfer)
            self.outboxes.pump(outbox)
