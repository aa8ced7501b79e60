"""What the client protocols need of a table and of a node, and no more.

``Table`` and ``CacheNode`` fit these; so do the small stand-ins of the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.store.table.patterns import MatchKind, MatchOn
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import TableCounters


class TableLike(Protocol):
    """A table as a client sees it. Keys and string values are ``str`` with ``surrogateescape``."""

    @property
    def settings(self) -> TableSettings:
        """How it was declared."""

    @property
    def counters(self) -> TableCounters:
        """Hits, misses and so on."""

    @property
    def bytes(self) -> int:
        """What keys and values take."""

    def __len__(self) -> int:
        """How many keys."""

    def __contains__(self, key: object, /) -> bool:
        """Whether a key is there, without counting a hit."""

    def get(self, key: str) -> str | int | None:
        """The value or None."""

    def ttl(self, key: str) -> float | None:
        """Seconds left; None: never expires. KeyError where there is no such key."""

    def set(self, key: str, value: str | int, ttl: float | None = None, keep_ttl: bool = False) -> None:
        """``ttl`` None: the table's autoexpire; 0: never expires. ValueError with a clear text."""

    def expire(self, key: str, ttl: float) -> bool:
        """``ttl`` 0: never expires. False where there is no such key."""

    def delete(self, key: str) -> bool:
        """False where there was no such key."""

    def incr(self, key: str, by: int = 1) -> int:
        """ValueError with Redis' text."""

    def scan(self, after: str | None = None, prefix: str = "", count: int | None = None) -> list[str]:
        """Keys in order."""

    def match(self, kind: MatchKind, pattern: str, on: MatchOn = MatchOn.NAME) -> list[str]:
        """Keys in order. ValueError where the pattern is none."""

    def delete_matching(self, kind: MatchKind, pattern: str, on: MatchOn = MatchOn.NAME) -> int:
        """How many were deleted."""

    def flush(self) -> int:
        """How many were deleted."""


class NodeRowLike(Protocol):
    """One node of the bus, as this node sees it."""

    @property
    def uri(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def local(self) -> bool: ...
    @property
    def software(self) -> str: ...
    @property
    def last_seen_s(self) -> float | None: ...
    @property
    def rtt_ms(self) -> float | None: ...
    @property
    def in_sync(self) -> str: ...
    @property
    def backlog(self) -> int: ...


class SyncProgressLike(Protocol):
    """How far the initial sync is."""

    @property
    def state(self) -> str: ...
    @property
    def cells(self) -> int: ...
    @property
    def donor(self) -> str: ...


class BusLike(Protocol):
    """The bus, as far as figures go."""

    @property
    def counters(self) -> BusCounters: ...


class NodeLike(Protocol):
    """The node behind a server."""

    @property
    def tables(self) -> Mapping[str, TableLike]:
        """In order of declaration: the order of Redis' database numbers."""

    @property
    def bus(self) -> BusLike:
        """Only to read its counters."""

    @property
    def ready(self) -> bool:
        """Whether the initial sync is done."""

    def sync_progress(self) -> SyncProgressLike:
        """How far the initial sync is."""

    def node_rows(self) -> Sequence[NodeRowLike]:
        """All nodes of the bus, this one among them."""

    async def wait_replicated(self, nodes: int | None, timeout: float | None) -> int:
        """Wait until ``nodes`` active nodes (None: all) have acknowledged every write made here so far, or
        ``timeout`` seconds (None: for ever). Returns how many have."""

    def congested(self) -> bool:
        """True while so much waits to be sent to other nodes that clients should be read more slowly."""
