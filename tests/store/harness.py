"""Real stores on a fake bus and virtual time: what they send is recorded, and a test plays the other nodes.

The bus itself is left out: a message is handed to the other store's peer after a moment, or to a
:class:`Played` node, which answers as the test wants. Loss, retransmissions and gossip have tests elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from dmqcache.bus.bus import Bus, BusSettings
from dmqcache.bus.node import OWN_TAG, Node, NodeList, NodeStatus
from dmqcache.bus.peer import SILENCE, Later, Message, OnResponse, Peer, Reply, Response
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.store.native.native_message import NativeMessage, decode
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.store import Store, StoreOptions
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from tests.bus.virtual import Clock, VirtualRuntime
from tests.store_options import store_options

#: Seconds one way.
DELAY = 0.001
#: Bytes of a body that a datagram can carry beside the head.
DATAGRAM = 64_500
OLD, NEW = "kamailio (5.6.3 (x86_64/linux))", "kamailio (6.2.0-dev1 (x86_64/linux))"


@dataclass(eq=False)
class Sent:
    """A message that a store gave to its bus."""

    time: float
    channel: str
    to: NodeURI
    body: bytes
    timeout: float
    repeat: bool
    cancelled: bool = False
    #: To be called when the answer to a copy comes late.
    on_late: Callable[[], None] | None = None

    def cancel(self) -> None:
        self.cancelled = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> NativeMessage:
        return decode(self.body)


class FakeBus:
    """The bus as a store sees it."""

    def __init__(self, world: World, uri: NodeURI) -> None:
        self.world = world
        self.local = Node(uri, NodeStatus.ACTIVE, uri.endpoint, local=True)
        self.settings = BusSettings(uri, (uri, NodeURI.parse("sip:127.0.0.99")))
        self.nodes = NodeList(self.local)
        self.peers: dict[str, Peer] = {}
        self.sent: list[Sent] = []

    def register_peer(self, peer: Peer) -> None:
        peer.bus = cast(Bus, self)
        self.peers[peer.channel] = peer

    def send_message(
        self,
        peer: Peer,
        body: bytes,
        node: NodeURI,
        *,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
        timeout: float | None = None,
        fast: bool = False,
        repeat: bool = True,
        on_late: Callable[[], None] | None = None,
    ) -> Sent:
        sent = Sent(self.world.clock.time, peer.channel, node, body, timeout or 32.0, repeat, on_late=on_late)
        self.sent.append(sent)
        self.world.carry(self, sent, on_response or (lambda response: None))
        return sent

    def bodies(self, channel: str = "dmqcache") -> list[bytes]:
        return [sent.body for sent in self.sent if sent.channel == channel]


class Played:
    """Another node, played by the test. ``answer`` is given each message; None is silence."""

    def __init__(self, world: World, host: str, user_agent: str = "", ours: bool = False) -> None:
        self.world = world
        self.uri = NodeURI.parse(f"sip:{host}")
        self.user_agent = user_agent
        self.supported = frozenset({OWN_TAG}) if ours else frozenset[str]()
        self.got: list[Sent] = []
        self.answer: Callable[[Sent], Reply | None] = lambda sent: Reply(200)
        world.played[self.uri] = self

    def take(self, sent: Sent) -> Reply | None:
        self.got.append(sent)
        return self.answer(sent)

    def seen(self) -> list[Any]:
        """The bodies so far, read."""
        return [sent.json for sent in self.got]

    def message(
        self, to: Side, body: bytes | dict[str, Any], channel: str = "htable", *, forgeable: bool = False
    ) -> Message:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Message(
            channel=channel,
            body=data,
            content_type="application/json",
            sender=self.uri,
            source=cast(Endpoint, self.uri.endpoint),
            node=to.bus.nodes.get(self.uri),
            max_forwards=1,
            user_agent=self.user_agent,
            supported=self.supported,
            forgeable=forgeable,
        )

    def say(self, to: Side, body: bytes | dict[str, Any], channel: str = "htable") -> Reply:
        """Have ``to`` handle a message of ours."""
        reply = to.bus.peers[channel].handle(self.message(to, body, channel))
        assert isinstance(reply, Reply)
        return reply

    def tell(self, to: Side, **fields: Any) -> Reply:
        """The same with a message."""
        return self.say(to, fields, "dmqcache")


class Side:
    """One store and its bus."""

    def __init__(self, world: World, host: str, tables: tuple[str, ...], options: StoreOptions) -> None:
        self.world = world
        self.uri = NodeURI.parse(f"sip:{host}")
        self.bus = FakeBus(world, self.uri)
        self.runtime = VirtualRuntime(world.clock)
        settings = [TableSettings.parse(table) for table in tables]
        self.store = Store(settings, cast(Bus, self.bus), self.runtime, options)
        world.sides[self.uri] = self

    @property
    def table(self) -> Table:
        """The first table."""
        return next(iter(self.store.tables.values()))

    def outbox(self, other: Side | Played) -> Outbox:
        return self.store.outboxes[other.uri]

    def meet(self, other: Side | Played, notify: bool = True) -> Node:
        """``other`` is on our list; with ``notify`` it answers, and the store is told."""
        node = self.bus.nodes.get(other.uri)
        if node is None:
            node = Node(other.uri, NodeStatus.PENDING, other.uri.endpoint)
            self.bus.nodes.add(node)
        if isinstance(other, Played):
            node.user_agent, node.supported = other.user_agent, other.supported
        else:
            node.user_agent, node.supported = "dmqcache", frozenset({OWN_TAG})
        if notify:
            node.status = NodeStatus.ACTIVE
            self.store.node_up(node)
        return node

    def lose(self, other: Side | Played) -> None:
        node = self.bus.nodes.get(other.uri)
        assert node is not None
        node.status = NodeStatus.TIMEOUT
        self.store.node_down(node)

    def part(self, other: Side | Played) -> None:
        node = self.bus.nodes.get(other.uri)
        assert node is not None
        self.bus.nodes.remove(node)
        self.store.node_left(node)


class World:
    """Everybody there is."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = Clock(seed)
        self.sides: dict[NodeURI, Side] = {}
        self.played: dict[NodeURI, Played] = {}
        #: (from, to) that nothing passes.
        self.cuts: set[tuple[NodeURI, NodeURI]] = set()
        #: Says of a message that is to be lost, with all its retransmissions.
        self.lose: Callable[[Sent], bool] = lambda sent: False
        #: How often each message was sent again before it was answered.
        self.retransmissions = 0

    def side(self, host: str, *tables: str, ready: bool = True, **options: Any) -> Side:
        """A dmqcache node; ``ready``: it has no seeds, else it waits to be synced."""
        options.setdefault("repair_interval", 1e9)
        side = Side(self, host, tables or ("t",), store_options(**options))
        side.store.start(seeds=not ready)
        return side

    def mesh(self, *sides: Side | Played) -> None:
        """All meet all."""
        for one in sides:
            for other in sides:
                if one is not other and isinstance(one, Side):
                    one.meet(other)

    def run(self, seconds: float) -> None:
        self.clock.run(seconds)

    def until(self, condition: Callable[[], bool], limit: float = 60.0) -> float:
        return self.clock.run_until(condition, limit)

    def later(self, delay: float, call: Callable[[], object]) -> None:
        """Call something, whatever it returns."""

        def run() -> None:
            call()

        self.clock.call_later(delay, run)

    # -- the network -------------------------------------------------------------------------------------

    def carry(self, bus: FakeBus, sent: Sent, then: OnResponse) -> None:
        """As the bus does: an answer, a 408 after the time, or a 503 at once. Never from inside."""
        source = bus.local.uri

        def answered(status: int, reply: Reply | None = None) -> None:
            halted = source in self.sides and self.sides[source].runtime.halted
            if not sent.cancelled and not halted:
                body, kind = (reply.body, reply.content_type) if reply is not None else (b"", "")
                response = Response(status, sent.to, body, kind, local=reply is None, rtt=2 * DELAY)
                then(replace(response, retransmissions=self.retransmissions))

        if len(sent.body) > DATAGRAM:
            self.clock.call_later(0, lambda: answered(503))
            return
        ended = [False]

        def end(status: int, reply: Reply | None = None) -> None:
            if not ended[0]:
                ended[0] = True
                answered(status, reply)

        def give(reply: Reply) -> None:
            if (sent.to, source) not in self.cuts:
                self.clock.call_later(DELAY, lambda: end(reply.status, reply))

        def arrive(pause: float = 0.5) -> None:
            if sent.cancelled or ended[0]:
                return
            reply = self._take(source, sent)
            if isinstance(reply, Later):
                reply.then(give)
            elif reply is not None and reply.status != SILENCE:
                give(reply)
            elif sent.repeat and reply is not None:
                self.clock.call_later(pause, lambda: arrive(min(4.0, pause * 2)))

        if (source, sent.to) not in self.cuts and not self.lose(sent):
            self.clock.call_later(DELAY, arrive)
        self.clock.call_later(sent.timeout, lambda: end(408))

    def _take(self, source: NodeURI, sent: Sent) -> Reply | Later | None:
        played = self.played.get(sent.to)
        if played is not None:
            return played.take(sent)
        side = self.sides.get(sent.to)
        if side is None or side.runtime.halted:
            return None
        peer = side.bus.peers.get(sent.channel)
        if peer is None:
            return Reply(404)
        message = Message(
            channel=sent.channel,
            body=sent.body,
            content_type="application/json",
            sender=source,
            source=cast(Endpoint, source.endpoint),
            node=side.bus.nodes.get(source),
            max_forwards=1,
            user_agent="dmqcache",
            supported=frozenset({OWN_TAG}),
        )
        reply = peer.handle(message)
        assert isinstance(reply, Reply | Later)
        return reply

    def kill(self, side: Side) -> None:
        """``kill -9``: nobody hears of it by itself."""
        side.runtime.halted = True
        del self.sides[side.uri]


def shown(side: Side, table: str = "t") -> dict[str, object]:
    """What a reader sees."""
    return dict(side.store.tables[table].items())


def equal(*sides: Side) -> bool:
    """Whether all hold the same, by content and by digest."""
    first, *others = sides
    names = [name for name in first.store.tables if first.store.tables[name].settings.dmqreplicate]

    def sums(side: Side) -> list[int]:
        return [side.store.tables[name].digest.node(0, 0) for name in names]

    return all(sums(first) == sums(side) for side in others) and all(
        shown(first, name) == shown(side, name) for side in others for name in names
    )


def old_kamailio(world: World, host: str = "127.0.0.90") -> Played:
    return Played(world, host, OLD)


def new_kamailio(world: World, host: str = "127.0.0.62") -> Played:
    return Played(world, host, NEW)


def cells_body(*cells: tuple[str, str | int], table: str = "t", expire: int = 0, stamp: int = 0) -> bytes:
    """A Kamailio's batch."""
    made = []
    for key, value in cells:
        typed = {"type": 2, "strval": value} if isinstance(value, str) else {"type": 0, "intval": value}
        cell = {"htname": table, "cname": key, **typed, "expire": expire}
        made.append(cell | ({"last_modified": stamp} if stamp else {}))
    return json.dumps({"cells": made}).encode()


def set_body(key: str, value: str | int, table: str = "t", stamp: int = 0) -> bytes:
    """A Kamailio's set."""
    typed = {"type": 2, "strval": value} if isinstance(value, str) else {"type": 0, "intval": value}
    stamps = {"last_modified": stamp} if stamp else {}
    return json.dumps({"action": 2, "htname": table, "cname": key, **typed, **stamps, "mode": 1}).encode()


def with_kamailio(*tables: str, agent: str = OLD, **options: Any) -> tuple[World, Side, Played]:
    """A node and a Kamailio that hold the same (nothing) and have settled."""
    world = World()
    side = world.side("127.0.0.11", *tables, **options)
    kamailio = Played(world, "127.0.0.90", agent)
    side.meet(kamailio)
    world.run(6)
    kamailio.got.clear()
    return world, side, kamailio


def all_cells(node: Played) -> list[dict[str, Any]]:
    return [cell for body in node.seen() if "cells" in body for cell in body["cells"]]
