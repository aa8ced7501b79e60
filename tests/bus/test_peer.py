"""What a peer is that overrides nothing, and what it is given."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from dmqcache.bus.node import Node
from dmqcache.bus.peer import SILENCE, Peer, PeerBus, Reply
from dmqcache.bus.runtime import Runtime
from tests.bus.one_node import HERE, bench, statuses
from tests.bus.virtual import Cluster


class Watcher(Peer):
    """Notes what it is told, and under which circumstances."""

    def __init__(self) -> None:
        super().__init__("watcher")
        self.told: list[str] = []

    def on_init(self) -> None:
        self.told.append("init")

    def on_node_up(self, node: Node) -> None:
        self.told.append(f"up {node.uri.host}")

    def on_node_down(self, node: Node) -> None:
        self.told.append(f"down {node.uri.host}")

    def on_node_left(self, node: Node) -> None:
        self.told.append(f"left {node.uri.host}")


def test_a_peer_that_overrides_nothing_answers_that_nobody_handled_it() -> None:
    _, bus, _, other = bench()
    bus.register_peer(Peer("mute"))
    other.request(HERE, "mute")
    other.settle()
    assert statuses(other) == [202]


def test_a_peer_has_its_bus_from_its_registration_on() -> None:
    peer = Peer("mine")
    assert peer.bus is None and peer.runtime is None
    cluster = Cluster()
    bus = cluster.add(HERE)
    bus.register_peer(peer)
    assert peer.bus is bus
    assert peer.runtime is not None and peer.runtime.now() == cluster.clock.time
    for taken in ("mine", ""):
        with pytest.raises(ValueError, match="is taken or empty"):
            bus.register_peer(Peer(taken))


def test_a_peers_methods_use_its_bus_without_asking_whether_there_is_one() -> None:
    """As the README's do, also where types are checked."""
    hints = get_type_hints(Peer)
    assert (hints["bus"], hints["runtime"]) == (PeerBus, Runtime)


def test_it_hears_of_nodes_in_their_order_and_first_that_there_is_anybody() -> None:
    cluster = Cluster()
    watcher = Watcher()
    cluster.add(HERE).register_peer(watcher)
    cluster.add("127.0.0.12", HERE)
    cluster.clock.run(2)
    cluster.buses["127.0.0.12"].leave(lambda: None)
    cluster.clock.run(2)
    assert watcher.told == ["init", "up 127.0.0.12", "left 127.0.0.12"]


def test_a_reply_is_a_200_without_a_body_unless_it_says_otherwise() -> None:
    assert Reply() == Reply(200, "", b"", "text/plain")
    assert not 100 <= SILENCE <= 699
