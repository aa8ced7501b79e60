"""A node with real tables and no bus behind them, for the tests of the client protocols."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.disk.keeper import DiskStatus
from dmqcache.metrics.node_view import NodeRow, SyncProgress
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.session import Session, Shared
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table

#: Unix time at which the tests' world begins.
EPOCH = 1_700_000_000.0


@dataclass
class FakeTime:
    """Seconds since the world began; tests move it."""

    seconds: float = 1000.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return EPOCH + self.seconds

    def wall_ms(self) -> int:
        return round(self.wall() * 1000)


def row(uri: str, local: bool = False, rtt_ms: float | None = None) -> NodeRow:
    return NodeRow(uri, "active", local, "dmqcache (0.1.0)", None, rtt_ms, "yes", 0)


@dataclass
class FakeBus:
    counters: BusCounters = field(default_factory=BusCounters)


class FakeNode:
    """Tables ``cache`` and ``users``; WAIT ends when a test says so."""

    def __init__(self, *declared: str, time: FakeTime | None = None) -> None:
        self.time = time or FakeTime()
        clock = Clock(self.time.now, self.time.wall_ms)
        settings = [TableSettings.parse(text) for text in declared or ("cache", "users=>autoexpire=60")]
        self.tables = {one.name: Table(one, clock) for one in settings}
        self.bus = FakeBus()
        self.counters = StoreCounters()
        self.ready = True
        self.disk: DiskStatus | None = None
        self.rows = [row("sip:127.0.0.11:5060", local=True), row("sip:127.0.0.12:5060", rtt_ms=0.4)]
        self.is_congested = False
        self.waits: list[tuple[int | None, float | None]] = []
        self.answered: asyncio.Event | None = None

    def node_rows(self) -> list[NodeRow]:
        return self.rows

    def sync_progress(self) -> SyncProgress:
        return SyncProgress("done", 3, "")

    async def wait_on_disk(self, timeout: float | None) -> bool:
        return self.disk is not None

    def acknowledged(self) -> int:
        return 0

    def congested(self) -> bool:
        return self.is_congested

    async def wait_replicated(self, nodes: int | None, timeout: float | None) -> int:
        self.waits.append((nodes, timeout))
        if self.answered is not None:
            await self.answered.wait()
        return 1


def make_session(node: FakeNode | None = None) -> Session:
    node = node or FakeNode()
    session = Session(Shared(node, node.time.wall, node.time.now, Cursors(), execute), "127.0.0.1:1")
    session.shared.sessions[session.id] = session
    return session
