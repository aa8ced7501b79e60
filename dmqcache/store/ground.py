"""What every part of the store is handed: time, chance, timers, counters, the tables, and a way to send.

Owns no rule. Parts get one another by name, in ``store.py``: nothing here leads from one part to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dmqcache.bus.peer import OnResponse, Peer, PeerBus, Sending
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table

#: Of every body on the store's two channels.
CONTENT_TYPE: Final = "application/json"


@dataclass(slots=True)
class Ground:
    """What all parts stand on."""

    runtime: Runtime
    clock: Clock
    counters: StoreCounters
    tables: dict[str, Table]
    #: The initial sync is done. Set by it alone.
    ready: bool = False
    #: Nothing is sent any more. Set by the store alone.
    stopped: bool = False

    def is_replicated(self, name: str) -> bool:
        """Whether this is a table of ours that other nodes have as well."""
        table = self.tables.get(name)
        return table is not None and table.settings.dmqreplicate

    def replicated(self) -> list[Table]:
        """The tables that other nodes have as well."""
        return [table for table in self.tables.values() if table.settings.dmqreplicate]

    def counted(self, name: str, pieces: Iterator[int]) -> Iterator[int]:
        """The pieces of dating anew what lies ahead in a table, counted."""
        for count in pieces:
            self.counters.clamped[name] += count
            yield count


class Channel:
    """A way to send to the same channel of other nodes."""

    def __init__(self, bus: PeerBus, name: str) -> None:
        self.name = name
        self._bus = bus
        #: Stands for the channel where the bus asks who sends.
        self._sender = Peer(name)

    def send(
        self,
        node: NodeURI,
        body: bytes,
        answered: OnResponse | None = None,
        *,
        timeout: float | None = None,
        fast: bool = False,
        repeat: bool = True,
        on_late: Callable[[], None] | None = None,
    ) -> Sending:
        """See :meth:`dmqcache.bus.peer.PeerBus.send_message`."""
        return self._bus.send_message(
            self._sender,
            body,
            node,
            content_type=CONTENT_TYPE,
            on_response=answered,
            timeout=timeout,
            fast=fast,
            repeat=repeat,
            on_late=on_late,
        )
