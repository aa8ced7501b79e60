"""A node for the tests of metrics and HTTP: real tables and counters, a bus that only writes down."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import NodeStatus, Trouble
from dmqcache.bus.peer import Peer
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.database.link import DatabaseError
from dmqcache.disk.keeper import DiskStatus
from dmqcache.metrics.node_view import NodeRow, SyncProgress
from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.mirror import Mirror
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from tests.peers.recordings import bodies
from tests.server.fakes import FakeMemory


@dataclass(frozen=True, slots=True)
class Row(NodeRow):
    """A row of which a test says what matters to it."""

    status: str = "active"
    local: bool = False
    software: str = "dmqcache (0.1.0)"
    last_seen_s: float | None = 1.5
    rtt_ms: float | None = 0.7
    in_sync: str = "yes"
    backlog: int = 0


@dataclass(frozen=True, slots=True)
class Progress(SyncProgress):
    """The same."""

    state: str = "done"
    cells: int = 0
    donor: str = ""


@dataclass
class Bus:
    counters: BusCounters = field(default_factory=BusCounters)
    calls: list[tuple[object, ...]] = field(default_factory=list)

    def add_node(self, uri: NodeURI, /) -> None:
        self.calls.append(("add", uri))

    def remove_node(self, uri: NodeURI, /) -> None:
        self._check(uri)
        self.calls.append(("remove", uri))

    def set_status(self, uri: NodeURI, status: NodeStatus, /) -> None:
        self._check(uri)
        self.calls.append(("set_status", uri, status))

    def _check(self, uri: NodeURI) -> None:
        """As the real bus."""
        if uri.host == "127.0.0.11":
            raise ValueError("a node cannot remove itself from its own list")
        if uri.host != "127.0.0.12":
            raise LookupError(f"{uri} is not in the node list")


@dataclass
class Database:
    tables: Mapping[str, Table]
    done: list[tuple[str, str]] = field(default_factory=list)

    async def reload(self, table: str, /) -> int:
        return self._do("reload", table)

    async def store(self, table: str, /) -> int:
        return self._do("store", table)

    def _do(self, what: str, table: str) -> int:
        if self.tables[table].settings.db is None:
            raise LookupError(table)
        if table == "broken":
            raise DatabaseError("the database is down")
        self.done.append((what, table))
        return 1


class ServedNode:
    """A ``NodeView`` as the servers want it."""

    def __init__(self, *declared: str) -> None:
        clock = Clock(time.monotonic, lambda: time.time_ns() // 1_000_000)
        settings = [TableSettings.parse(text) for text in declared or ("users=>autoexpire=3600", "plain")]
        self.tables = {each.name: Table(each, clock) for each in settings}
        self.bus = Bus()
        self.counters = StoreCounters()
        self.memory = FakeMemory()
        self.ready = True
        self.disk: DiskStatus | None = None
        self.peers: dict[str, Peer] = {}
        self.compared = 0
        self.database = Database(self.tables)
        self.progress: SyncProgress = Progress()
        self.rows: list[Row] = [
            Row("sip:127.0.0.11:5060", local=True, last_seen_s=None, rtt_ms=None),
            Row("sip:127.0.0.12:5060", software="kamailio (5.6.3 (x86_64/linux))", backlog=3),
        ]

    def node_rows(self) -> Sequence[Row]:
        return self.rows

    def sync_progress(self) -> SyncProgress:
        return self.progress

    async def wait_replicated(self, nodes: int | None, timeout: float | None) -> int:
        return 0

    def compare_all(self) -> None:
        self.compared += 1

    async def wait_on_disk(self, timeout: float | None) -> bool:
        return self.disk is not None

    def acknowledged(self) -> int:
        return 0

    def congested(self) -> bool:
        return False


def mirrors() -> dict[str, Peer]:
    """Calls, a publication and contacts, as three peers were told them, and a word of each that was
    refused."""
    peers: list[Mirror[Any, Any]] = [DialogPeer(), PresencePeer(), UsrlocPeer()]
    for peer, release in zip(peers, ("6.0.1", "6.0.1", "6.2+5.6"), strict=True):
        for body in bodies(release, peer.channel):
            peer.hear(body, 1_795_687_400.0 if peer.channel == "usrloc" else 1_795_736_600.0)
        peer.counts.refused["wrong_type"] += 1
    subscribed = next(body for body in bodies("6.1.5-subscriptions", "presence") if b'"action":3' in body)
    peers[1].hear(subscribed, 1_795_736_600.0)
    return {peer.channel: peer for peer in peers}


def busy_node() -> ServedNode:
    """A node on which every metric has at least one sample, and every name something to escape."""
    node = ServedNode()
    node.rows.append(Row("sip:[::1]:5060;transport=tcp", status="disabled", rtt_ms=None, in_sync="no"))
    node.rows.append(Row("sip:127.0.0.14:5060", status="pending", last_seen_s=None, rtt_ms=None, software=""))
    node.rows.append(Row("sip:127.0.0.16:5060", "disabled", troubles={Trouble.UNLISTED: "leaves <us> out"}))
    node.rows.append(Row("sip:127.0.0.15:5060", "timeout", lost_s=90, in_sync="behind", backlog=7, key="no"))
    node.bus.counters.certificate_expires = 1_900_000_000.0
    node.disk = DiskStatus(
        "/var/lib/dmqcache", 1.0, lambda: 0.25, flushed_at=1_767_323_040.0, bytes=81_920, errors=1
    )
    users = node.tables["users"]
    users.set("alice", "x")
    users.set("n", 5)
    users.set("gone", "y")
    users.delete("gone")
    users.get("alice")
    users.get("nobody")
    bus = node.bus.counters
    bus.messages["htable", "out", "request"] += 12
    bus.messages["htable", "in", "200"] += 11
    bus.messages["notification_peer", "in", "request"] += 4
    bus.retransmissions["out"] += 2
    bus.timeouts["htable"] += 1
    bus.drops["bad_json"] += 3
    bus.drops["udp_keepalive"] += 60
    bus.unknown_channels["usrloc"] += 2
    bus.handler_errors["htable"] += 1
    bus.bytes["in"] += 2048
    store = node.counters
    store.changes["users", "local"] += 3
    store.refused["users", "older"] += 1
    store.withheld["users", "nul"] += 1
    store.clamped["users"] += 1
    store.delay.observe(0.0008, times=40)
    store.delay.observe(0.3)
    store.sync_cells["in"] += 500
    store.repairs["equal"] += 7
    store.repair_cells["out"] += 2
    node.peers = mirrors()
    return node
