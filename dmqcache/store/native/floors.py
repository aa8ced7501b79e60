"""Flushes among dmqcache nodes: a floor goes with every batch of its table, is acknowledged with it, and is
found by every comparison."""

from __future__ import annotations

from collections.abc import Iterable

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.native_message import NativeMessage, encode
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.table import Table


class Floors:
    """What dmqcache nodes tell each other of flushes."""

    def __init__(self, ground: Ground, outboxes: Outboxes, channel: Channel, answers: AnswerReader) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._answers = answers

    def of(self, names: Iterable[str]) -> dict[str, int]:
        """The floors of those tables that have one."""
        return {name: floor for name in names if (floor := self._ground.tables[name].floor)}

    def hear(self, name: str, floor: int) -> bool:
        """A dmqcache node knows of a flush. False: it lies too far ahead and is not believed."""
        if not self._ground.is_replicated(name):
            return True
        if floor > self._ground.clock.limit():
            self._ground.counters.refused[name, "future"] += 1
            self._ground.counters.clamped[name] += 1
            return False
        self._ground.tables[name].raise_floor(floor)
        return True

    def tell(self, table: Table, node: NodeURI) -> None:
        """Tell a dmqcache node of a flush. Lost, it is found again by the next comparison."""
        if table.floor:
            message = NativeMessage(floors={table.name: table.floor})
            self._channel.send(node, encode(message), self._answers.heard, fast=True)

    def tell_all(self, table: Table) -> None:
        """A table was flushed here. Nodes that are away are told as well: they may not be."""
        self._outboxes.name_flush(table)
        for outbox in self._outboxes.values():
            if outbox.native and not outbox.open:
                self.tell(table, outbox.node)
