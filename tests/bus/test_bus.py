"""The bus as peers, operators and the transport see it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

import pytest

from dmqcache.bus.node import Node, NodeStatus
from dmqcache.bus.peer import Message, Peer, PeerBus, Reply, Response
from dmqcache.bus.sip.uri import Endpoint, NodeURI, URIError
from tests.bus.nodes.test_events import Listener
from tests.bus.virtual import Cluster, Gate, Stranger, kamailio

HERE = "127.0.0.11"
THERE = "127.0.0.12"


class Echo(Peer):
    """Keeps the bodies that came."""

    def __init__(self, channel: str = "echo") -> None:
        super().__init__(channel)
        self.bodies: list[bytes] = []

    def handle(self, message: Message) -> Reply | Awaitable[Reply]:
        self.bodies.append(message.body)
        return Reply(200, body=message.body)


def peers(cluster: Cluster) -> list[Echo]:
    found = [Echo() for _ in cluster.buses]
    for peer, bus in zip(found, cluster.buses.values(), strict=True):
        bus.register_peer(peer)
    return found


def test_a_broadcast_reaches_every_active_node_but_the_excluded_one() -> None:
    cluster = Cluster()
    buses = cluster.full(4)
    echoes = peers(cluster)
    answers: list[Response] = []
    count = buses[0].bcast_message(
        echoes[0], b"x", exclude=buses[1].local.uri, on_response=answers.append, content_type="a/b"
    )
    cluster.clock.run(0.1)
    assert count == 2 and sorted(answer.node.host for answer in answers) == ["127.0.0.13", "127.0.0.14"]
    assert [echo.bodies for echo in echoes] == [[], [], [b"x"], [b"x"]]


def test_a_broadcast_without_anybody_goes_nowhere() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    (echo,) = peers(cluster)
    assert bus.bcast_message(echo, b"x") == 0


def test_one_dead_node_delays_no_other() -> None:
    cluster = Cluster()
    buses = cluster.full(4)
    echoes = peers(cluster)
    cluster.kill("127.0.0.12")
    answers: list[Response] = []
    for number in range(100):
        buses[0].bcast_message(echoes[0], b"%d" % number, on_response=answers.append)
    cluster.clock.run(0.01)
    assert len(echoes[2].bodies) == len(echoes[3].bodies) == 100
    assert len(answers) == 200


def test_messages_of_one_node_on_one_channel_are_handled_in_order_by_a_slow_handler() -> None:
    cluster = Cluster()
    one, two = cluster.full(2)
    gates: list[Gate] = []

    class Slow(Echo):
        async def handle(self, message: Message) -> Reply:
            gate = Gate()
            gates.append(gate)
            await gate
            self.bodies.append(message.body)
            return Reply(200)

    slow, echo = Slow(), Echo()
    two.register_peer(slow)
    one.register_peer(echo)
    other = Echo("other")
    one.register_peer(other)
    fast = Echo("other")
    two.register_peer(fast)
    for number in range(5):
        one.send_message(echo, b"%d" % number, two.local.uri)
    one.send_message(other, b"fast", two.local.uri)
    cluster.clock.run(0.1)
    assert fast.bodies == [b"fast"] and len(gates) == 1
    for _ in range(5):
        gates[-1].open()
        cluster.clock.run(0.1)
    assert slow.bodies == [b"0", b"1", b"2", b"3", b"4"]


def test_a_peers_channel_is_its_own() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    bus.register_peer(Echo())
    for channel in ("echo", "notification_peer", ""):
        with pytest.raises(ValueError, match="taken or empty"):
            bus.register_peer(Echo(channel))


def test_a_peer_gets_its_bus_and_hears_of_nodes() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, THERE)
    listener = Listener()
    bus.register_peer(listener)
    bus_of_peer: PeerBus | None = listener.bus
    assert bus_of_peer is bus
    cluster.add(THERE)
    cluster.clock.run(5)
    late = Listener("late")
    bus.register_peer(late)
    cluster.clock.run(0)
    assert listener.heard == late.heard == ["init", "up 127.0.0.12"]
    cluster.kill(THERE)
    cluster.clock.run(10)
    assert listener.heard[-1] == late.heard[-1] == "down 127.0.0.12"


def test_a_node_may_be_named_by_a_string_as_kamailios_users_write_it() -> None:
    cluster = Cluster()
    one, two, three = cluster.full(3)
    echoes = peers(cluster)
    answers: list[tuple[str, int]] = []

    def answered(response: Response) -> None:
        answers.append((response.node.host, response.status))

    one.send_message(echoes[0], b"x", "sip:127.0.0.12:5060", on_response=answered)
    assert one.bcast_message(echoes[0], b"x", exclude="sip:127.0.0.12:5060", on_response=answered) == 1
    cluster.clock.run(0.1)
    assert sorted(answers) == [("127.0.0.12", 200), ("127.0.0.13", 200)]
    one.set_status("sip:127.0.0.13", NodeStatus.DISABLED)
    one.remove_node("sip:127.0.0.13:5060")
    assert three.local.uri not in one.nodes and two.local.uri in one.nodes
    one.add_node("sip:127.0.0.13:5060")
    cluster.clock.run(1)
    assert three.local.uri in one.nodes


@pytest.mark.parametrize("node", ["", "sip:", "sip:127.0.0.12:99999"])
def test_what_is_no_address_is_refused_at_the_call(node: str) -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    (echo,) = peers(cluster)
    with pytest.raises(URIError):
        bus.send_message(echo, b"x", node)


class Tagged(Echo):
    option_tags = ("x-tables",)


def test_a_bus_shows_the_option_tags_of_its_peers_and_none_of_its_own() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, supported=())
    stranger = Stranger(cluster, THERE)
    stranger.answer = lambda request: (404, b"")

    def shown() -> set[frozenset[str]]:
        for said in (stranger.requests, stranger.responses):
            said.clear()
        stranger.request(HERE)
        stranger.request(HERE, "nowhere")
        bus.send_message(echo, b"", stranger.uri)
        stranger.settle()
        assert len(stranger.responses) == 2 and stranger.requests
        return {message.supported for message in (*stranger.requests, *stranger.responses)}

    echo = Echo()
    bus.register_peer(echo)
    assert shown() == {frozenset()} == {bus.local.supported}
    bus.register_peer(Tagged("tables"))
    assert shown() == {frozenset({"x-tables"})} == {bus.local.supported}


def test_a_connection_that_ended_by_nonsense_fails_what_was_under_way_and_accuses_nobody() -> None:
    cluster = Cluster()
    one, two = cluster.full(2, probe_interval=1000.0)
    (echo, _) = peers(cluster)
    cluster.clock.run(1)
    cluster.kill(THERE)
    ended: list[tuple[int, bool]] = []
    for _ in range(3):
        one.send_message(
            echo, b"", two.local.uri, on_response=lambda answer: ended.append((answer.status, answer.local))
        )
    sent = len(cluster.net.log)
    assert two.local.endpoint is not None
    one.transport_failed(two.local.endpoint, "framing")
    cluster.clock.run(0.1)
    assert ended == [(503, True)] * 3
    assert one.active_nodes() and len(cluster.net.log) == sent


def test_after_close_no_timer_of_the_bus_is_left() -> None:
    cluster = Cluster()
    buses = cluster.full(3)
    cluster.clock.run(5)
    for bus in buses:
        bus.close()
    cluster.clock.run(1)
    assert cluster.clock.pending == 0


def test_a_lost_node_stays_known_until_an_operator_takes_it_away() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    kamailio(cluster, THERE)
    uri = NodeURI.parse(THERE)
    bus.add_node(uri)
    cluster.clock.run(1)
    assert bus.lost_nodes() == []
    cluster.net.cut([HERE], [THERE])
    cluster.clock.run(600)
    assert len(bus.nodes) == 1
    assert [node.uri for node in bus.lost_nodes()] == [uri]
    bus.remove_node(uri)
    assert bus.lost_nodes() == []
    with pytest.raises(LookupError, match="not in the node list"):
        bus.remove_node(uri)


def test_operators_add_remove_and_change_nodes() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    listener = Listener()
    bus.register_peer(listener)
    kamailio(cluster, THERE)
    uri = NodeURI.parse(THERE)
    bus.add_node(uri)
    bus.add_node(bus.local.uri)
    cluster.clock.run(0.1)
    assert [(node.uri.host, node.status) for node in bus.list_nodes()] == [
        (HERE, NodeStatus.ACTIVE),
        (THERE, NodeStatus.ACTIVE),
    ]
    bus.set_status(uri, NodeStatus.DISABLED)
    cluster.clock.run(30)
    assert not bus.active_nodes()
    bus.set_status(uri, NodeStatus.ACTIVE)
    bus.remove_node(uri)
    cluster.clock.run(1)
    assert len(bus.nodes) == 1
    assert listener.heard == ["init", "up 127.0.0.12", "left 127.0.0.12", "up 127.0.0.12", "left 127.0.0.12"]
    with pytest.raises(LookupError, match="not in the node list"):
        bus.remove_node(uri)
    with pytest.raises(LookupError, match="not in the node list"):
        bus.set_status(uri, NodeStatus.ACTIVE)


def test_is_from_node_looks_at_the_address_only() -> None:
    cluster = Cluster()
    one, _ = cluster.full(2)
    assert one.is_from_node(Endpoint("udp", THERE, 33333))
    assert not one.is_from_node(Endpoint("udp", "127.0.0.66", 5060))
    message = Message(
        channel="c",
        body=b"",
        content_type="",
        sender=NodeURI.parse("10.1.1.1"),
        source=Endpoint("tcp", THERE, 1),
        node=None,
        max_forwards=1,
        user_agent="",
        supported=frozenset(),
    )
    assert one.is_from_node(message)


def test_a_stranger_that_has_only_called_is_no_node() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    stranger = Stranger(cluster, "127.0.0.66")
    stranger.request(HERE)
    stranger.settle()
    assert bus.nodes.get(stranger.uri) is not None and not bus.is_from_node(stranger.endpoint)


def test_a_list_that_outgrows_a_kamailios_buffer_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    with caplog.at_level(logging.WARNING, logger="dmqcache"):
        for number in range(30):
            assert not caplog.text
            kamailio(cluster, f"127.0.1.{number}").request(HERE)
            cluster.clock.run(0.1 if number < 29 else 100)
    assert len(bus.active_nodes()) == 30
    assert len(caplog.records) == 1 and "longer than a Kamailio can send" in caplog.text


def test_the_memory_of_replies_is_cleared_while_nobody_calls() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    stranger = Stranger(cluster, THERE)
    for _ in range(100):
        stranger.request(HERE, "notification_peer")
    cluster.clock.run(1)
    assert len(bus._replays) == 100
    cluster.clock.run(100)
    assert len(bus._replays) == 0


def test_a_node_row_can_be_told_from_the_record() -> None:
    cluster = Cluster()
    one, two = cluster.full(2)
    cluster.clock.run(5)
    node: Node = one.active_nodes()[0]
    assert node.uri == two.local.uri and node.ours and node.confirmed and node.user_agent == "dmqcache"
    assert node.last_seen is not None and cluster.clock.time - node.last_seen < 2
    assert node.rtt.srtt == pytest.approx(0.001)
    assert one.local.local and one.nodes.local is one.local
