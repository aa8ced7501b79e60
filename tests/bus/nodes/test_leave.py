"""Leaving: who is told, who answers, and how long it takes."""

from __future__ import annotations

from dmqcache.bus.node import NodeStatus
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.nodes.test_events import Listener
from tests.bus.virtual import Cluster, kamailio

HERE = "127.0.0.11"
THERE = "127.0.0.12"


def test_a_graceful_leave_is_known_to_all_at_once() -> None:
    cluster = Cluster()
    buses = cluster.full(3)
    listener = Listener()
    buses[0].register_peer(listener)
    cluster.clock.run(1)
    left: list[float] = []
    start = cluster.clock.time
    buses[2].leave(lambda: left.append(cluster.clock.time - start))
    buses[2].leave(lambda: left.append(99.0))
    cluster.clock.run(0.1)
    assert len(left) == 1 and left[0] < 0.1
    assert all(cluster.status(host, "127.0.0.13") is NodeStatus.DISABLED for host in (HERE, THERE))
    assert listener.heard[-1] == "left 127.0.0.13"
    sent = len(cluster.net.log)
    cluster.clock.run(0.4)
    buses[2].receive(cluster.net.log[0][3], Endpoint("udp", HERE, 5060))
    assert not [entry for entry in cluster.net.log[sent:] if entry[1].host == "127.0.0.13"]
    assert buses[2].counters.drops["closed"] >= 1


def test_a_leave_survives_loss_and_the_dead_do_not_hold_it_up() -> None:
    known = 0
    for seed in range(20):
        cluster = Cluster(seed=seed)
        buses = cluster.full(3)
        cluster.clock.run(5)
        cluster.kill(THERE)
        cluster.net.loss = 0.2
        left: list[float] = []
        start = cluster.clock.time
        buses[2].leave(lambda left=left, start=start, clock=cluster.clock: left.append(clock.time - start))  # type: ignore[misc]
        cluster.clock.run(2)
        assert 0.9 < left[0] < 1.1
        known += cluster.status(HERE, "127.0.0.13") is NodeStatus.DISABLED
    assert known == 20


def test_while_it_leaves_a_node_answers_and_says_so() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, probe_interval=1000.0)
    other = kamailio(cluster, THERE)
    other.request(HERE, body=b"sip:127.0.0.12:5060;status=active\r\n")
    other.settle()
    other.answer = lambda request: None
    done: list[bool] = []
    bus.leave(lambda: done.append(True))
    other.request(HERE)
    cluster.clock.run(0.5)
    assert b"sip:127.0.0.11:5060;status=disabled" in other.requests[-1].body
    assert other.responses[-1].body.startswith(b"sip:127.0.0.11:5060;status=disabled")
    assert other.responses[-1].body.count(b"\r\n") == 1 and not done
    cluster.clock.run(1)
    assert done


def test_a_node_without_others_leaves_at_once_but_not_within_the_call() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    done: list[bool] = []
    bus.leave(lambda: done.append(True))
    assert not done
    cluster.clock.run(0)
    assert done


def test_a_node_that_left_and_is_quickly_back_is_up_at_once() -> None:
    cluster = Cluster()
    buses = cluster.full(3)
    listener = Listener()
    buses[0].register_peer(listener)
    cluster.clock.run(5)
    buses[2].leave(lambda: cluster.kill("127.0.0.13"))
    cluster.clock.run(0.5)
    assert len(buses[0].active_nodes()) == 1
    cluster.add("127.0.0.13", HERE)
    assert cluster.clock.run_until(cluster.meshed, 10) < 1
    cluster.clock.run(0)
    assert listener.heard[-2:] == ["left 127.0.0.13", "up 127.0.0.13"]
