"""Removals by pattern that a Kamailio asks for, in steps: a large table holds nobody up.

Owns the pace. What a removal does to a cell, and that it does nothing to what was written after it came, is
``writes.py``'s. A small table is done with at once, before the next message is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from dmqcache.bus.loop_steps import step
from dmqcache.bus.peer import Later, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.overtaking import Sent
from dmqcache.store.kamailio.relay import Relay
from dmqcache.store.kamailio.wire_types import Remove
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.table.table import Table

#: Cells of a table that is looked through at once: a millisecond or two.
AT_ONCE: Final = 2_000


class Removals:
    """The removals of one node."""

    def __init__(self, ground: Ground, relay: Relay, collisions: Collisions) -> None:
        self._runtime = ground.runtime
        self._relay = relay
        self._collisions = collisions

    def start(
        self, arrivals: KamailioArrivals, came: Remove, node: NodeURI, sent: Sent | None
    ) -> Reply | Later:
        """Remove what matches; the answer comes when that is done. PatternError if the pattern is none."""
        table = arrivals.table
        large = table.live > AT_ONCE
        removed = arrivals.remove_in_steps(came.kind, came.pattern, came.on, str(node), sent)
        pieces = self._told(removed, table, node)
        if not large:
            for _ in pieces:
                pass
            return Reply(200)
        later = Later()
        self._go_on(pieces, later)
        return later

    def _told(self, removed: Iterator[list[str]], table: Table, node: NodeURI) -> Iterator[None]:
        for keys in removed:
            self._relay.told(table, keys, node)
            yield

    def _go_on(self, pieces: Iterator[None], later: Later) -> None:
        try:
            step(pieces, self._runtime.now)
        except StopIteration:
            self._collisions.collect()
            later.give(Reply(200))
        else:
            self._collisions.collect()
            self._runtime.call_later(0.0, partial(self._go_on, pieces, later))
