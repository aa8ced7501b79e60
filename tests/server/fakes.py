"""A node with real tables and no bus behind them, for the tests of the client protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node
from dmqcache.bus.peer import OnResponse, Peer, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.disk.keeper import DiskStatus
from dmqcache.metrics.node_view import NodeRow, SyncProgress
from dmqcache.node_channels import NodeChannels
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.session import Session, Shared
from dmqcache.store.table.changes import Home
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.evicting import Policy
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from tests.store.fixtures import nobody_watches

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


def unheard(data: bytes) -> None:
    """What a session without a connection does with what is pushed."""


def stay_open() -> None:
    """What a session without a connection does at its end."""


def row(uri: str, local: bool = False, rtt_ms: float | None = None) -> NodeRow:
    return NodeRow(uri, "active", local, "dmqcache (0.1.0)", None, rtt_ms, "yes", 0)


class Soon:
    """The loop that serves the clients, if there is one; else nobody is told of anything but events."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(delay, callback)


def _raise(error: Exception) -> None:
    raise error


class Sent:
    """A message on its way, for nobody to stop."""

    def cancel(self) -> None: ...


@dataclass
class FakeBus:
    """This node and one other, which answers every message with 200."""

    counters: BusCounters = field(default_factory=BusCounters)
    local: Node = field(default_factory=lambda: Node(NodeURI.parse("sip:127.0.0.11:5060"), local=True))
    other: Node = field(default_factory=lambda: Node(NodeURI.parse("sip:127.0.0.12:5060")))
    peers: dict[str, Peer] = field(default_factory=dict)
    #: channel, body, node, content type
    sent: list[tuple[str, bytes, str, str]] = field(default_factory=list)
    answers: bool = True
    status: int = 200
    #: Whether the other node is away.
    alone: bool = False

    def register_peer(self, peer: Peer) -> None:
        if peer.channel in self.peers or peer.channel == "htable":
            raise ValueError(f"channel {peer.channel!r} is taken or empty")
        self.peers[peer.channel] = peer

    def active_nodes(self) -> list[Node]:
        return [] if self.alone else [self.other]

    def list_nodes(self) -> list[Node]:
        return [self.local, self.other]

    def send_message(
        self,
        peer: Peer,
        body: bytes,
        node: NodeURI | str,
        *,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
        timeout: float | None = None,
        fast: bool = False,
        repeat: bool = True,
        on_late: Callable[[], None] | None = None,
    ) -> Sent:
        self.sent.append((peer.channel, body, str(node), content_type))
        if on_response is not None and self.answers:
            on_response(Response(self.status, self.other.uri))
        return Sent()

    def bcast_message(
        self,
        peer: Peer,
        body: bytes,
        *,
        exclude: NodeURI | str | None = None,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
    ) -> int:
        self.send_message(peer, body, self.other.uri, content_type=content_type, on_response=on_response)
        return 1


@dataclass
class FakeMemory:
    """A bound that is held by nobody; tests say when it is full."""

    limit: int = 0
    policy: Policy = Policy.NOEVICTION
    full: bool = False
    used: int = 1234
    remembered: int = 0
    words: str = ""
    told: list[Callable[[], None]] = field(default_factory=list)

    def listen(self, told: Callable[[], None]) -> None:
        self.told.append(told)

    def bound(self, limit: int, policy: Policy) -> None:
        self.limit, self.policy = limit, policy

    def fill(self, full: bool) -> None:
        self.full = full
        for told in self.told:
            told()


class FakeNode:
    """Tables ``cache`` and ``users``; WAIT ends when a test says so."""

    def __init__(self, *declared: str, time: FakeTime | None = None) -> None:
        self.time = time or FakeTime()
        clock = Clock(self.time.now, self.time.wall_ms)
        settings = [TableSettings.parse(text) for text in declared or ("cache", "users=>autoexpire=60")]
        home = Home(lambda: None, Soon(), _raise, nobody_watches)
        self.tables = {one.name: Table(one, clock, home=home) for one in settings}
        self.bus = FakeBus()
        #: What is published is told to the other nodes.
        self.told: list[tuple[str, str]] = []
        self.channels = NodeChannels(self.bus, lambda channel, body: self.told.append((channel, body)))
        self.counters = StoreCounters()
        self.memory = FakeMemory()
        self.ready = True
        self.disk: DiskStatus | None = None
        self.peers: dict[str, Peer] = {}
        self.rows = [row("sip:127.0.0.11:5060", local=True), row("sip:127.0.0.12:5060", rtt_ms=0.4)]
        self.is_congested = False
        self.waits: list[tuple[int | None, float | None]] = []
        self.answered: asyncio.Event | None = None
        #: Who waits now.
        self.waiting = 0

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
            self.waiting += 1
            try:
                await self.answered.wait()
            finally:
                self.waiting -= 1
        return 1


def make_session(node: FakeNode | None = None) -> Session:
    node = node or FakeNode()
    shared = Shared(node, node.time.wall, node.time.now, Cursors(), execute)
    session = Session(shared, "127.0.0.1:1", stay_open, unheard)
    session.shared.sessions[session.id] = session
    node.channels.deliver_to(session.shared.subscriptions.deliver)
    return session
