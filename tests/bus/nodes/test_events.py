"""Peers hear of nodes after the step that caused it, all of them, whatever one of them does."""

from __future__ import annotations

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node, NodeStatus
from dmqcache.bus.nodes.events import Events, Happening
from dmqcache.bus.peer import Peer
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.virtual import Clock, VirtualRuntime

NODE = Node(uri=NodeURI.parse("127.0.0.12"), status=NodeStatus.ACTIVE)


class Listener(Peer):
    """Notes what it hears."""

    def __init__(self, channel: str = "listener") -> None:
        super().__init__(channel)
        self.heard: list[str] = []

    def on_init(self) -> None:
        self.heard.append("init")

    def on_node_up(self, node: Node) -> None:
        self.heard.append(f"up {node.uri.host}")

    def on_node_down(self, node: Node) -> None:
        self.heard.append(f"down {node.uri.host}")

    def on_node_left(self, node: Node) -> None:
        self.heard.append(f"left {node.uri.host}")

    def on_stop(self) -> None:
        self.heard.append("stop")


class Broken(Listener):
    def on_init(self) -> None:
        raise RuntimeError("init")

    def on_node_up(self, node: Node) -> None:
        raise RuntimeError("up")


def bench() -> tuple[Clock, Events, BusCounters]:
    clock, counters = Clock(), BusCounters()
    return clock, Events(VirtualRuntime(clock), counters), counters


def test_events_come_after_the_step_and_in_order() -> None:
    clock, events, _ = bench()
    listener = Listener()
    events.add_peer(listener, list)
    for happening in (Happening.UP, Happening.DOWN, Happening.UP, Happening.LEFT):
        events.post(happening, NODE)
    assert not listener.heard
    clock.run(0)
    assert listener.heard == [
        "init",
        "up 127.0.0.12",
        "down 127.0.0.12",
        "up 127.0.0.12",
        "left 127.0.0.12",
    ]


def test_init_comes_once_with_the_first_node_that_is_up() -> None:
    clock, events, _ = bench()
    listener = Listener()
    events.add_peer(listener, list)
    events.post(Happening.LEFT, NODE)
    clock.run(0)
    assert listener.heard == ["left 127.0.0.12"]
    for _ in range(2):
        events.post(Happening.UP, NODE)
        clock.run(0)
    assert listener.heard.count("init") == 1


def test_a_broken_peer_is_counted_and_disturbs_no_other() -> None:
    clock, events, counters = bench()
    broken, listener = Broken("broken"), Listener()
    events.add_peer(broken, list)
    events.add_peer(listener, list)
    events.post(Happening.UP, NODE)
    events.post(Happening.DOWN, NODE)
    clock.run(0)
    assert listener.heard == ["init", "up 127.0.0.12", "down 127.0.0.12"]
    assert broken.heard == ["down 127.0.0.12"]
    assert +counters.handler_errors == {"broken": 2}


def test_a_callback_may_cause_further_events() -> None:
    clock, events, _ = bench()

    class Restless(Listener):
        def on_node_up(self, node: Node) -> None:
            super().on_node_up(node)
            events.post(Happening.DOWN, node)

    listener = Restless()
    events.add_peer(listener, list)
    events.post(Happening.UP, NODE)
    clock.run(0)
    assert listener.heard == ["init", "up 127.0.0.12", "down 127.0.0.12"]


def test_a_peer_that_comes_late_hears_of_the_nodes_that_are_up() -> None:
    clock, events, _ = bench()
    events.add_peer(Listener("first"), list)
    events.post(Happening.UP, NODE)
    clock.run(0)
    late = Listener("late")
    events.add_peer(late, lambda: [NODE])
    assert not late.heard
    clock.run(0)
    assert late.heard == ["init", "up 127.0.0.12"]


def test_a_late_peer_hears_nothing_before_init_and_nothing_twice() -> None:
    clock, events, _ = bench()
    second = Node(uri=NodeURI.parse("127.0.0.13"), status=NodeStatus.ACTIVE)
    third = Node(uri=NodeURI.parse("127.0.0.14"), status=NodeStatus.ACTIVE)
    events.add_peer(Listener("first"), list)
    events.post(Happening.UP, NODE)
    clock.run(0)
    late = Listener("late")
    # One happens before it comes, one after; both are to be delivered before it has caught up.
    events.post(Happening.UP, second)
    events.add_peer(late, lambda: [NODE, second, third])
    events.post(Happening.UP, third)
    clock.run(0)
    assert late.heard == ["init", "up 127.0.0.12", "up 127.0.0.13", "up 127.0.0.14"]


def test_a_late_peer_hears_once_of_what_happens_while_it_catches_up() -> None:
    clock, events, _ = bench()
    second = Node(uri=NodeURI.parse("127.0.0.13"), status=NodeStatus.ACTIVE)
    events.add_peer(Listener("first"), list)
    events.post(Happening.UP, NODE)
    clock.run(0)
    late = Listener("late")
    events.add_peer(late, lambda: [NODE, second])
    events.post(Happening.UP, second)
    clock.run(0)
    assert sorted(late.heard) == ["init", "up 127.0.0.12", "up 127.0.0.13"] and late.heard[0] == "init"


def test_the_end_is_heard_once_by_all_and_nothing_after_it() -> None:
    class Ending(Listener):
        def on_stop(self) -> None:
            raise RuntimeError("stop")

    clock, events, counters = bench()
    listener = Listener()
    events.add_peer(Ending("ending"), list)
    events.add_peer(listener, list)
    events.post(Happening.UP, NODE)
    events.stop()
    events.stop()
    clock.run(0)
    assert listener.heard == ["stop"]
    assert dict(counters.handler_errors) == {"ending": 1}
