"""Joining through notification addresses, in every order, by address and by name."""

from __future__ import annotations

import itertools

import pytest

from dmqcache.bus.node import NodeStatus
from dmqcache.bus.sip.sip_message import parse_message
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE = "127.0.0.11"
THERE = "127.0.0.12"


def calls(other: Stranger) -> list[int]:
    """The Max-Forwards of each request that somebody got."""
    return [request.max_forwards for request in other.requests]


def test_a_starting_node_calls_every_address_that_is_there_with_two_hops_and_its_own_line() -> None:
    cluster = Cluster()
    first, second = kamailio(cluster, THERE), kamailio(cluster, "127.0.0.13")
    bus = cluster.add(HERE, THERE, "127.0.0.13", THERE, probe_interval=1000.0)
    cluster.clock.run(0.003)
    for other in (first, second):
        # The knock that comes first has no list, which a Kamailio may wait for.
        assert calls(other)[:2] == [1, 2] and not other.requests[0].body
        instance = bus.local.instance
        assert other.requests[1].body == f"sip:{HERE}:5060;status=active;instance={instance}\r\n".encode()
    assert len(bus.active_nodes()) == 2


def test_a_missing_address_is_called_quickly_at_first_and_then_every_ping_interval() -> None:
    cluster = Cluster()
    cluster.add(HERE, THERE, probe_interval=1000.0)
    cluster.clock.run(400)
    sent = [time - 1000 for time, _, _, _ in cluster.net.log]
    assert len([time for time in sent if time < 5]) >= 5
    # Each call is sent once, and the next one is its repetition: every 60 to 72 s.
    assert 2 <= len([time for time in sent if 200 < time < 400]) <= 4


@pytest.mark.parametrize("late", [0.3, 2.0, 20.0, 300.0])
def test_an_address_that_comes_late_is_found(late: float) -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, THERE)
    cluster.clock.run(late)
    assert cluster.status(HERE, THERE) is NodeStatus.PENDING
    kamailio(cluster, THERE)
    took = cluster.clock.run_until(lambda: bool(bus.active_nodes()), 90)
    assert took < 1 + late / 2


def test_an_address_that_was_lost_is_called_again() -> None:
    cluster = Cluster()
    cluster.full(2)
    cluster.kill(THERE)
    cluster.clock.run(600)
    assert cluster.status(HERE, THERE) is NodeStatus.PENDING
    # Back without anybody to join: it is our call that brings the two together.
    cluster.add(THERE)
    assert cluster.clock.run_until(cluster.meshed, 60) < 5


def test_an_address_that_came_late_and_is_lost_again_is_called_as_quickly_as_at_first() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, THERE)
    cluster.clock.run(290)
    other = kamailio(cluster, THERE)
    cluster.clock.run_until(lambda: bool(bus.active_nodes()), 10)
    cluster.clock.run(1)
    del cluster.net.receivers[other.endpoint]
    cluster.clock.run_until(lambda: not bus.active_nodes(), 10)
    mark = len(cluster.net.log)
    cluster.clock.run(5)
    assert len({parse_message(data).call_id for _, _, _, data in cluster.net.log[mark:]}) >= 3


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("end", ["kill", "leave"])
def test_any_order_of_stops_and_starts_ends_in_a_full_mesh(order: tuple[int, ...], end: str) -> None:
    """Kamailio splits here (its issue 1349: three nodes on 127.0.0.101 to 103)."""
    cluster = Cluster(seed=hash(order))
    hosts = ["127.0.0.101", "127.0.0.102", "127.0.0.103"]
    for number in order:
        cluster.add(hosts[number], *hosts)
        cluster.clock.run(3)
    for number in order:
        host = hosts[number]
        if end == "leave":
            cluster.buses[host].leave(lambda host=host: cluster.kill(host))  # type: ignore[misc]
        else:
            cluster.kill(host)
        cluster.clock.run(7)
        cluster.add(host, *hosts)
    cluster.clock.run_until(cluster.meshed, 10)


def test_two_halves_that_know_one_common_address_find_each_other_when_it_is_back() -> None:
    cluster = Cluster()
    hosts = [f"127.0.0.{number}" for number in range(11, 16)]
    for host in hosts:
        cluster.add(host, hosts[0])
    cluster.clock.run_until(cluster.meshed, 10)
    cluster.net.cut(hosts[:3], hosts[3:])
    cluster.clock.run(900)
    assert len(cluster.buses[hosts[0]].active_nodes()) == 2
    cluster.net.cuts.clear()
    assert cluster.clock.run_until(cluster.meshed, 120) < 62


def test_a_name_is_resolved_again_and_again_and_an_address_that_left_it_may_be_forgotten() -> None:
    cluster = Cluster()
    cluster.names.table["seed.example"] = [THERE]
    old = kamailio(cluster, THERE)
    bus = cluster.add(HERE, "seed.example")
    cluster.clock.run(1)
    assert cluster.status(HERE, THERE) is NodeStatus.ACTIVE
    assert bus.nodes.get(NodeURI.parse("seed.example")) is bus.nodes.get(NodeURI.parse(THERE))
    del cluster.net.receivers[old.endpoint]
    cluster.names.table["seed.example"] = ["127.0.0.13"]
    kamailio(cluster, "127.0.0.13")
    cluster.clock.run(70)
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE
    assert cluster.status(HERE, THERE) in (NodeStatus.TIMEOUT, NodeStatus.PENDING)
    cluster.clock.run(600)
    assert cluster.status(HERE, THERE) is None


def test_a_name_with_several_addresses_means_several_nodes() -> None:
    cluster = Cluster()
    cluster.names.table["seed.example"] = [THERE, "127.0.0.13", HERE]
    kamailio(cluster, THERE)
    kamailio(cluster, "127.0.0.13")
    bus = cluster.add(HERE, "seed.example")
    cluster.clock.run(1)
    assert {node.uri.host for node in bus.active_nodes()} == {THERE, "127.0.0.13"}


def test_a_name_that_does_not_resolve_yet_is_asked_again_soon() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, "seed.example")
    cluster.clock.run(2)
    cluster.names.table["seed.example"] = [THERE]
    kamailio(cluster, THERE)
    assert cluster.clock.run_until(lambda: bool(bus.active_nodes()), 10) < 3


@pytest.mark.parametrize(
    "form", [HERE, f"{HERE}:5060", f"{HERE};transport=udp", "me.example", "me.example:5060"]
)
def test_an_address_that_is_our_own_is_left_alone(form: str) -> None:
    cluster = Cluster()
    cluster.names.table["me.example"] = [HERE]
    bus = cluster.add(HERE, form)
    cluster.clock.run(200)
    assert [node.uri for node in bus.nodes] == [bus.local.uri] and not cluster.net.log


def test_an_alias_is_our_own_address_too() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, "10.0.0.1", aliases=(NodeURI.parse("10.0.0.1"),))
    cluster.clock.run(200)
    assert len(bus.nodes) == 1 and not cluster.net.log


def test_a_message_of_ours_that_comes_back_shows_another_address_of_our_own() -> None:
    """Bound to all addresses, behind a NAT: nobody told us that 10.0.0.1 is ourselves."""
    cluster = Cluster()
    bus = cluster.add(HERE, "10.0.0.1")
    uri = NodeURI.parse("10.0.0.1")
    assert uri.endpoint is not None
    cluster.net.receivers[uri.endpoint] = bus.receive
    cluster.clock.run(0.01)
    assert [node.uri for node in bus.nodes] == [bus.local.uri] and not len(bus._transactions)
    cluster.clock.run(200)
    assert len(bus.nodes) == 1 and len(cluster.net.log) == 1
    assert bus.counters.drops == {"own_message": 1}


def test_two_nodes_on_one_address_with_different_ports_stay_two() -> None:
    cluster = Cluster()
    cluster.add(f"{HERE}:5060", f"{HERE}:5070")
    cluster.add(f"{HERE}:5070", f"{HERE}:5060")
    cluster.add(f"{HERE}:5080", f"{HERE}:5060")
    assert cluster.clock.run_until(cluster.meshed, 10) < 1


def test_over_ipv6() -> None:
    cluster = Cluster()
    hosts = ["[::1]:5060", "[::1]:5070", "[2001:db8::7]:5060"]
    for host in hosts:
        cluster.add(host, hosts[0])
    cluster.clock.run_until(cluster.meshed, 10)
    bodies = [message.body for _, _, _, data in cluster.net.log if (message := parse_message(data)).body]
    assert any(b"sip:[::1]:5070;status=active" in body for body in bodies)


def test_twenty_per_cent_loss_delays_joining_and_does_not_prevent_it() -> None:
    for seed in range(20):
        cluster = Cluster(seed=seed, loss=0.2)
        hosts = [f"127.0.0.{number}" for number in range(11, 16)]
        for host in hosts:
            cluster.add(host, hosts[0])
        assert cluster.clock.run_until(cluster.meshed, 30) < 15
