"""Flushes among dmqcache nodes: a floor is told at once, with every batch, and found by every comparison."""

from __future__ import annotations

from collections.abc import Iterable

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.native_message import NativeMessage, encode
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.clock import MAX_AHEAD_MS
from dmqcache.store.table.table import Table


class Floors:
    """What dmqcache nodes tell each other of flushes."""

    def __init__(self, ground: Ground, outboxes: Outboxes, channel: Channel) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel

    def of(self, names: Iterable[str]) -> dict[str, int]:
        """The floors of those tables that have one."""
        return {name: floor for name in names if (floor := self._ground.tables[name].floor)}

    def hear(self, name: str, floor: int) -> None:
        """A dmqcache node knows of a flush."""
        if self._ground.is_replicated(name):
            latest = self._ground.clock.wall_ms() + MAX_AHEAD_MS - 1
            self._ground.tables[name].raise_floor(min(floor, latest))

    def tell(self, table: Table, node: NodeURI) -> None:
        """Tell a dmqcache node of a flush. Lost, it is found again by the next comparison."""
        if table.floor:
            message = NativeMessage(now=self._ground.clock.raw_ms(), floors={table.name: table.floor})
            self._channel.send(node, encode(message), fast=True)

    def tell_all(self, table: Table) -> None:
        """A table was flushed here. Nodes that are away are asked as well: they may not be."""
        for outbox in self._outboxes.values():
            if outbox.native:
                self.tell(table, outbox.node)
