"""What answers, silences and refusals mean for the node at the other end."""

from __future__ import annotations

import pytest

from dmqcache.bus.exchange.transaction import Outcome
from dmqcache.bus.node import Node, NodeStatus
from dmqcache.bus.nodes.directory import Directory
from dmqcache.bus.sip.sip_message import SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.virtual import Cluster, kamailio

HERE = "127.0.0.11"
THERE = "127.0.0.12"


def bench() -> tuple[Cluster, Directory, Node]:
    """A bus that holds a Kamailio active, and asks nobody by itself."""
    cluster = Cluster()
    kamailio(cluster, THERE)
    bus = cluster.add(HERE, THERE, probe_interval=1000.0)
    cluster.clock.run(0.5)
    (node,) = bus.active_nodes()
    return cluster, bus._directory, node


def answer(status: int) -> SipResponse:
    head = "Via: SIP/2.0/UDP 127.0.0.11;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
    more = "Call-ID: c\r\nCSeq: 1 KDMQ\r\nServer: kamailio (5.8)\r\nSupported: x\r\nContent-Length: 0\r\n\r\n"
    message = parse_message(f"SIP/2.0 {status} X\r\n{head}{more}".encode())
    assert isinstance(message, SipResponse)
    return message


def outcome(cluster: Cluster, status: int, *, local: bool = False, rtt: float | None = None) -> Outcome:
    return Outcome(status, None if local else answer(status), rtt, 0, cluster.clock.time)


def asked(cluster: Cluster, directory: Directory) -> bool:
    """Whether the node is asked right now because of a doubt."""
    return bool(directory._detector._rounds)


def test_an_answer_tells_of_software_options_and_the_way() -> None:
    cluster, directory, node = bench()
    directory.answered(node, "htable", outcome(cluster, 200, rtt=0.02))
    assert (node.user_agent, node.supported) == ("kamailio (5.8)", frozenset({"x"}))
    assert node.last_answer == node.last_seen == cluster.clock.time
    assert node.rtt.srtt is not None and not asked(cluster, directory)


@pytest.mark.parametrize(
    ("channel", "status", "doubt"),
    [
        ("htable", 404, False),
        ("notification_peer", 503, False),
        ("notification_peer", 404, True),
    ],
)
def test_who_knows_nothing_of_the_bus_is_no_node_of_it(channel: str, status: int, doubt: bool) -> None:
    cluster, directory, node = bench()
    directory.answered(node, channel, outcome(cluster, status))
    assert asked(cluster, directory) is doubt


def test_a_message_that_nobody_answers_is_looked_into_unless_the_node_answered_since() -> None:
    cluster, directory, node = bench()
    old = outcome(cluster, 408, local=True)
    cluster.clock.run(1)
    node.last_answer = cluster.clock.time
    directory.answered(node, "htable", old)
    assert not asked(cluster, directory) and node.unanswered == 0
    cluster.clock.run(1)
    directory.answered(node, "htable", outcome(cluster, 408, local=True))
    assert asked(cluster, directory) and node.unanswered == 1
    directory.answered(node, "htable", outcome(cluster, 200))
    assert node.unanswered == 0


def test_a_silent_and_a_refusing_endpoint_are_looked_into() -> None:
    for verb in ("silent", "refused"):
        cluster, directory, node = bench()
        assert node.endpoint is not None
        getattr(directory, verb)(Endpoint("udp", "127.0.0.99", 5060))
        assert not asked(cluster, directory)
        getattr(directory, verb)(node.endpoint)
        assert asked(cluster, directory)


def test_a_request_that_comes_back_shows_another_address_of_ours_unless_a_node_is_there() -> None:
    _, directory, node = bench()
    assert node.endpoint is not None
    other = Endpoint("udp", "127.0.0.77", 5060)
    assert directory.sent_to_ourselves(other)
    assert directory.membership.is_own(NodeURI.parse("127.0.0.77"))
    assert not directory.sent_to_ourselves(node.endpoint) and node.active


def test_an_unknown_node_is_a_lookup_error() -> None:
    _, directory, node = bench()
    assert directory.known(node.uri) is node
    with pytest.raises(LookupError, match="is not in the node list"):
        directory.known(NodeURI.parse("127.0.0.99"))


def test_after_a_stop_nobody_is_asked_and_nobody_declared_dead() -> None:
    cluster, directory, node = bench()
    directory.stop()
    del cluster.net.receivers[node.endpoint]  # type: ignore[arg-type]
    before = len(cluster.net.log)
    directory.silent(node.endpoint)  # type: ignore[arg-type]
    directory.caller(node)
    cluster.clock.run(100)
    assert len(cluster.net.log) == before and node.status is NodeStatus.ACTIVE
