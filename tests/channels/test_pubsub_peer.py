"""What is published on one node reaches the clients of the others that serve some, in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Message, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels.courier import encode
from dmqcache.channels.pubsub_peer import TAG, PubSubPeer
from tests.bus.virtual import Clock, VirtualRuntime
from tests.server.fakes import FakeBus

PEER = Node(NodeURI.parse("sip:127.0.0.12:5060"), supported=frozenset({TAG}))
KAMAILIO = Node(NodeURI.parse("sip:127.0.0.13:5060"))


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.heard: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.peer = PubSubPeer(VirtualRuntime(self.clock), self._deliver, self.counts)
        self.bus = FakeBus()
        self.peer.bus = self.bus

    def _deliver(self, channel: str, body: str) -> int:
        self.heard.append((channel, body))
        return 1


def message(body: bytes, node: Node | None = PEER) -> Message:
    supported = frozenset() if node is None else node.supported
    sender = KAMAILIO.uri if node is None else node.uri
    assert sender.endpoint is not None
    return Message(
        channel="dmqcache_pubsub",
        body=body,
        content_type="x/y",
        sender=sender,
        source=sender.endpoint,
        node=node,
        max_forwards=1,
        user_agent="",
        supported=supported,
    )


def test_only_nodes_that_serve_clients_are_told_on_the_next_turn() -> None:
    world = World()
    world.peer.tell("a", "to nobody")
    world.peer.on_node_up(PEER)
    world.peer.on_node_up(KAMAILIO)
    world.peer.tell("a", "\udcff")
    world.peer.tell("b", "2")
    assert world.bus.sent == []
    world.clock.run(0.001)
    assert [(channel, body, node) for channel, body, node, _ in world.bus.sent] == [
        ("dmqcache_pubsub", encode([(b"a", b"\xff"), (b"b", b"2")]), "sip:127.0.0.12:5060")
    ]
    assert world.counts == {"out": 2}


def test_a_node_that_is_gone_is_told_nothing() -> None:
    world = World()
    world.peer.on_node_up(PEER)
    world.peer.tell("a", "1")
    world.peer.on_node_left(PEER)
    world.clock.run(0.001)
    assert world.bus.sent == []
    assert world.counts == {"lost": 1}


def test_what_another_node_tells_is_delivered_and_not_told_on() -> None:
    world = World()
    world.peer.on_node_up(PEER)
    body = encode([(b"a", b"\xff"), (b"b", b"2")])
    assert world.peer.handle(message(body)) == Reply(200)
    world.clock.run(0.001)
    assert world.heard == [("a", "\udcff"), ("b", "2")]
    assert world.bus.sent == []
    assert world.counts == {"in": 2}


def test_strangers_kamailio_nodes_and_nonsense_are_refused() -> None:
    world = World()
    good = encode([(b"a", b"1")])
    assert world.peer.handle(message(good, None)).status == 403
    assert world.peer.handle(message(good, KAMAILIO)).status == 403
    assert world.peer.handle(replace(message(good), body=b"{}")).status == 400
    assert world.heard == []
    assert world.peer.key_holders_only
