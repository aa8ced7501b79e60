"""What is said of a node that is deaf or mute one way, when, and when it is over."""

from __future__ import annotations

import pytest

from dmqcache.bus.bus import Bus
from dmqcache.bus.node import Node, Trouble
from dmqcache.bus.nodes.complaints import AGAIN, ELSEWHERE_SECONDS, LOOK_AGAIN, MAX_SAID
from dmqcache.bus.sip.sip_message import SipRequest
from dmqcache.bus.sip.uri import NodeURI, SipURI
from tests.bus.one_node import Recorder
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE, THERE, OTHER = "127.0.0.11", "127.0.0.12", "127.0.0.99"
CHANNEL = "notification_peer"


def bench(*, lists_us: bool = True) -> tuple[Cluster, Bus, Node, Stranger]:
    """A bus and a Kamailio."""
    cluster = Cluster()
    other = kamailio(cluster, THERE, lists_us=lists_us)
    bus = cluster.add(HERE, THERE, probe_interval=1000.0)
    cluster.clock.run(0.5)
    (node,) = bus.active_nodes()
    return cluster, bus, node, other


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_kamailio_that_lists_us_has_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    cluster, _, node, _ = bench()
    cluster.clock.run(200)
    assert not node.trouble and not warnings(caplog)


def test_a_kamailio_that_leaves_us_out_is_named_within_a_minute_and_until_it_lists_us(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster, _, node, other = bench(lists_us=False)
    assert not node.trouble, "once may be chance"
    cluster.clock.run(2 * LOOK_AGAIN)
    assert list(node.trouble) == [Trouble.UNLISTED] and node.active
    assert node.left_out_at is not None and cluster.clock.time - node.left_out_at < 2 * LOOK_AGAIN
    (line,) = warnings(caplog)
    assert 'modparam("dmq", "notification_address", "sip:127.0.0.11:5060")' in line
    other.answer = kamailio(cluster, THERE).answer
    cluster.net.receivers[other.endpoint] = other._receive
    cluster.clock.run(2 * AGAIN)
    assert not node.trouble and len(warnings(caplog)) == 1


def test_a_kamailio_that_leaves_us_out_is_asked_again_though_an_answer_was_lost() -> None:
    cluster, _, node, other = bench(lists_us=False)
    answer = other.answer
    # Its list does not come; that it is there is seen by all else.
    other.answer = lambda request: None if SipURI.parse(request.uri).user == CHANNEL else answer(request)
    cluster.net.receivers[other.endpoint] = other._receive
    cluster.clock.run(LOOK_AGAIN + 5)
    assert not node.trouble
    other.answer = answer
    cluster.clock.run(AGAIN)
    assert list(node.trouble) == [Trouble.UNLISTED] and node.active


def test_a_kamailio_that_leaves_us_out_is_asked_though_it_was_doubted_that_very_moment() -> None:
    cluster, bus, node, _ = bench(lists_us=False)
    cluster.clock.run(LOOK_AGAIN - 0.6)
    bus._directory.doubted(node)
    cluster.clock.run(0.3)
    assert list(node.trouble) == [Trouble.UNLISTED]


def test_a_kamailios_ping_that_leaves_us_out_is_no_trouble_but_is_noted() -> None:
    """It held this node inactive, until the answer to that."""
    cluster, _, node, other = bench()
    for body, hops, left_out in (
        (b"sip:127.0.0.12:5060;status=active\r\nsip:127.0.0.11:5060;status=active\r\n", 1, False),
        (b"sip:127.0.0.12:5060;status=active\r\n", 2, False),  # It starts.
        (b"", 1, False),
        (b"sip:127.0.0.12:5060;status=active\r\n", 1, True),
    ):
        other.request(HERE, body=body, hops=hops)
        cluster.clock.run(0.5)
        assert (node.left_out_at is not None, bool(node.trouble)) == (left_out, False)


def test_a_kamailio_without_the_route_is_named_with_the_line_that_it_lacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster()
    other = Stranger(cluster, THERE)
    other.answer = lambda request: (405, b"")
    bus = cluster.add(HERE, THERE)
    cluster.clock.run(60)
    node = bus.nodes.get(other.uri)
    assert node is not None and not node.active
    assert node.trouble == {Trouble.REFUSES_LIST: "answers 405 to node lists"}
    (line,) = warnings(caplog)
    assert 'if(is_method("KDMQ")) { dmq_handle_message(); exit; }' in line
    other.answer = kamailio(cluster, THERE).answer
    cluster.net.receivers[other.endpoint] = other._receive
    cluster.clock.run(70)
    assert node.active and not node.trouble


def test_another_channel_of_the_node_list_is_joined_where_it_is_told() -> None:
    cluster = Cluster()
    other = kamailio(cluster, THERE)

    def answer(request: SipRequest) -> tuple[int, bytes]:
        channel = SipURI.parse(request.uri).user
        return (200, b"sip:127.0.0.12:5060;status=active\r\n") if channel == "peers" else (404, b"")

    other.answer = answer
    wrong = cluster.add(HERE, THERE)
    right = cluster.add("127.0.0.13", THERE, notification_channel="peers")
    cluster.clock.run(5)
    node = wrong.nodes.get(other.uri)
    assert not wrong.active_nodes() and node is not None
    assert node.trouble == {Trouble.REFUSES_LIST: "answers 404 to node lists"}
    assert [node.uri for node in right.active_nodes()] == [other.uri]


def from_elsewhere(other: Stranger, cluster: Cluster) -> None:
    other.endpoint = other.endpoint._replace(host=OTHER)
    cluster.net.receivers[other.endpoint] = other._receive


def test_a_node_that_sends_from_another_address_is_named_with_both(caplog: pytest.LogCaptureFixture) -> None:
    cluster, bus, node, other = bench()
    from_elsewhere(other, cluster)
    for _ in range(3):
        other.request(HERE, "htable")
        other.settle(60)
    assert node.trouble == {
        Trouble.SENDS_FROM_ELSEWHERE: f"sends from {OTHER}: what is written there is refused here"
    }
    (line,) = warnings(caplog)
    assert f"--source-address sip:{THERE}:5060={OTHER}" in line
    assert bus.counters.drops["sender_not_at_its_address"] == 3
    cluster.clock.run(ELSEWHERE_SECONDS + 40)
    assert not node.trouble


@pytest.mark.parametrize("known", [True, False])
def test_a_further_address_that_an_operator_names_is_the_nodes(known: bool) -> None:
    cluster = Cluster()
    other = kamailio(cluster, THERE)
    sources = ((other.uri, OTHER),)
    bus = cluster.add(HERE, *([THERE] if known else []), sources=sources, probe_interval=1000.0)
    recorder = Recorder()
    bus.register_peer(recorder)
    cluster.clock.run(0.5)
    from_elsewhere(other, cluster)
    cluster.net.receivers[other.endpoint._replace(host=THERE)] = other._receive
    for _ in range(2):
        other.request(HERE, "htable")
        other.settle()
    (node,) = bus.active_nodes()
    assert node.uri == other.uri and recorder.messages[-1].node is node
    assert not node.trouble and not bus.counters.drops


def test_many_nodes_of_one_host_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    _, bus, _, _ = bench()
    complaints = bus._directory._complaints
    for number in range(50):
        complaints.refused(Node(uri=NodeURI(THERE, 10_000 + number)), 404)
    assert len(warnings(caplog)) == 1
    for number in range(2 * MAX_SAID):
        complaints.refused(Node(uri=NodeURI(f"127.1.{number // 200}.{number % 200}")), 404)
    assert len(complaints._said) == MAX_SAID


def test_tls_that_fails_is_shown_until_the_host_speaks_it() -> None:
    _, bus, node, _ = bench()
    assert node.endpoint is not None
    bus.tls_failed(node.endpoint, "its certificate has expired")
    bus.tls_failed(node.endpoint._replace(port=9), "nobody is there")
    assert node.trouble == {Trouble.TLS_FAILS: "TLS handshake: its certificate has expired"}
    # A port of its connection to us: that host speaks TLS with us again.
    bus.tls_failed(node.endpoint._replace(port=9), "")
    assert not node.trouble
