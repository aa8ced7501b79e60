"""What a node shows of itself to metrics, pages and clients: :class:`NodeView`, and the rows that it gives.

``CacheNode`` is a :class:`NodeView`; so are the stand-ins of the tests. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node, NodeStatus, Trouble
from dmqcache.bus.peer import Peer
from dmqcache.disk.keeper import DiskStatus
from dmqcache.store.store import Store
from dmqcache.store.table.evicting import Policy
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table

#: The statuses of a node that has answered before and does not any more.
LOST: Final = (NodeStatus.TIMEOUT, NodeStatus.PENDING)
#: The status of somebody who wants to be a node and has not got the bus's key. No node has it.
TURNED_AWAY: Final = "refused"


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node of the bus as this node sees it, for lists and metrics."""

    uri: str
    status: str
    local: bool
    #: What it says of itself, e.g. ``kamailio (5.6.3 (x86_64/linux))``.
    software: str
    last_seen_s: float | None
    rtt_ms: float | None
    #: ``yes``, ``behind`` (something is not acknowledged), ``repair`` (it must be compared with), ``-``.
    in_sync: str
    #: Changed keys that it has not acknowledged.
    backlog: int
    #: Seconds since it was given up, while it neither answers nor has said goodbye; None: it is not lost.
    lost_s: float | None = None
    #: What it is not told now, as ``too_large 3, lacks maint``: keys by reason, and tables; what was removed
    #: there alone, and what it declares otherwise; empty: nothing.
    withheld: str = ""
    #: Tables that it declares otherwise than this node.
    otherwise: int = 0
    #: How it stands to the bus's key: see :meth:`dmqcache.bus.bus.Bus.key_standing`.
    key: str = "-"
    #: Messages to it in a row that were not answered.
    unanswered: int = 0
    #: What is wrong with it one way, though it answers: kind -> words.
    troubles: Mapping[Trouble, str] = field(default_factory=dict)
    #: What is to be said of its memory, of this node alone: others do not tell.
    memory: str = ""

    @property
    def trouble(self) -> str:
        """All of that in words; empty: nothing."""
        return "; ".join(filter(None, [*self.troubles.values(), self.memory]))


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far the initial sync is."""

    state: str
    cells: int
    donor: str


class BusView(Protocol):
    """The bus, as far as figures go."""

    @property
    def counters(self) -> BusCounters: ...


class MemoryView(Protocol):
    """The bound on what cells take, as far as servers and figures go."""

    #: Bytes; 0: there is none.
    limit: int
    policy: Policy

    @property
    def full(self) -> bool:
        """Clients' writes are refused."""

    @property
    def used(self) -> int:
        """Bytes that all live cells take."""

    @property
    def remembered(self) -> int:
        """Bytes that remembered deletes take, which no bound counts."""

    @property
    def words(self) -> str:
        """What an operator must know of it; empty: nothing."""

    def listen(self, told: Callable[[], None]) -> None:
        """Call this whenever ``full`` has changed."""

    def bound(self, limit: int, policy: Policy) -> None:
        """From now on cells may take so many bytes, and this is done about it."""


class NodeView(Protocol):
    """A node that can be looked at."""

    @property
    def memory(self) -> MemoryView: ...

    @property
    def tables(self) -> Mapping[str, Table]:
        """In the order of their declaration: the order of Redis' database numbers."""

    @property
    def bus(self) -> BusView:
        """Only to read its counters."""

    @property
    def counters(self) -> StoreCounters:
        """What replication counts."""

    @property
    def ready(self) -> bool:
        """Whether the initial sync is done."""

    @property
    def disk(self) -> DiskStatus | None:
        """How it stands with the disk; None: there is none."""

    @property
    def peers(self) -> Mapping[str, Peer]:
        """What ``--peer`` has loaded, by channel."""

    def sync_progress(self) -> SyncProgress:
        """How far the initial sync is."""

    def node_rows(self) -> Sequence[NodeRow]:
        """All nodes of the bus, this one among them."""


def sync_progress(store: Store) -> SyncProgress:
    """How far a store's initial sync is."""
    cells = store.counters.sync_cells["in"] + store.counters.repair_cells["in"]
    return SyncProgress(str(store.initial_sync.state), cells, str(store.initial_sync.donor or ""))


def node_rows(store: Store, software: str) -> list[NodeRow]:
    """All nodes of a store's bus, this one first, those that are lost and off its list, and who was turned
    away. ``software``: what this node says of itself."""
    lost = {node.uri: node for node in store.bus.lost_nodes()}
    gone = [node for uri, node in lost.items() if uri not in store.bus.nodes]
    since = {uri: node.since for uri, node in lost.items()}
    rows = [_row(store, node, software, since.get(node.uri)) for node in [*store.bus.nodes, *gone]]
    now = store.clock.now()
    for uri, standing, seen in store.bus.turned_away():
        age = max(0.0, now - seen)
        rows.append(NodeRow(str(uri), TURNED_AWAY, False, "", age, None, "-", 0, key=standing))
    return rows


def _row(store: Store, node: Node, software: str, lost_at: float | None) -> NodeRow:
    outbox = store.outboxes.get(node.uri)
    waiting = outbox.waiting() if outbox is not None else 0
    in_sync = "-"
    if outbox is not None and outbox.open:
        in_sync = "repair" if outbox.overflowed else "behind" if waiting else "yes"
    now = store.clock.now()
    unseen = node.last_seen is None or node.local
    if node.confirmed and not node.local and node.status in LOST:
        lost_at = node.since
    return NodeRow(
        uri=str(node.uri),
        status=str(node.status),
        local=node.local,
        software=software if node.local else node.user_agent,
        last_seen_s=None if unseen else max(0.0, now - (node.last_seen or 0.0)),
        rtt_ms=None if node.rtt.srtt is None else node.rtt.srtt * 1000,
        in_sync=in_sync,
        backlog=waiting,
        lost_s=None if lost_at is None else max(0.0, now - lost_at),
        withheld=_withheld(store, node),
        otherwise=len(store.compare.otherwise(node.uri)),
        unanswered=node.unanswered,
        troubles=dict(node.trouble),
        memory=store.memory.words if node.local else "",
        key=store.bus.key_standing(node),
    )


def _withheld(store: Store, node: Node) -> str:
    words = [f"{reason} {keys}" for reason, keys in store.held_back.reasons(node.uri).items()]
    words += [f"lacks {table}" for table in store.held_back.missing_tables(node.uri)]
    words += [f"{cells} of {table} removed there" for table, cells in store.compare.left(node.uri).items()]
    words += [f"{table}: {what}" for table, what in store.compare.otherwise(node.uri).items()]
    return ", ".join(words)
