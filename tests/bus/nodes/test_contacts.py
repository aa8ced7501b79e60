"""Senders to nodes: names, lookups and addresses of our own."""

from __future__ import annotations

from dmqcache.bus.bus import Bus
from dmqcache.bus.node import Node, NodeStatus, Trouble
from dmqcache.bus.nodes.contacts import MAX_LOOKUPS, MAX_MOVED
from dmqcache.bus.peer import Message, Peer, Reply
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE = "127.0.0.11"


class Watcher(Peer):
    """Notes each node that is up: whether it runs this software."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.up: list[bool] = []

    def handle(self, message: Message) -> Reply:
        return Reply(200)

    def on_node_up(self, node: Node) -> None:
        self.up.append(node.ours)


LINE = b"sip:%s:5060;status=active\r\n"


def bench() -> tuple[Cluster, Bus, Stranger]:
    cluster = Cluster()
    other = kamailio(cluster, "127.0.0.12")
    bus = cluster.add(HERE, "127.0.0.12", probe_interval=1000.0)
    cluster.clock.run(0.1)
    return cluster, bus, other


def asked(bus: Bus, other: Stranger) -> None:
    """``other`` has answered a message of ``bus``."""
    bus.send_message(Watcher("htable"), b"", other.uri)
    other.settle()


def test_what_a_node_says_of_itself_is_learnt_from_its_answers() -> None:
    """A request can be forged, and what sort of node it is decides what it is told."""
    cluster, bus, other = bench()
    node = bus.active_nodes()[0]
    assert node.user_agent.startswith("kamailio (5.6.3") and not node.ours
    other.server, other.extra = "dmqcache (9)", (("Supported", "path"), ("Supported", "dmqcache-2"))
    cluster.clock.run(1)
    other.request(HERE, "htable")
    other.settle()
    assert node.last_seen is not None and cluster.clock.time - node.last_seen < 0.2
    assert node.user_agent.startswith("kamailio (5.6.3") and not node.ours
    asked(bus, other)
    assert node.user_agent == "dmqcache (9)" and node.supported == {"path", "dmqcache-2"} and node.ours
    other.extra = ()
    other.request(HERE, "htable")
    other.settle()
    assert node.ours
    asked(bus, other)
    assert node.supported == frozenset() and not node.ours


def test_a_node_that_has_not_answered_is_what_its_requests_say() -> None:
    cluster = Cluster()
    other = Stranger(cluster, "127.0.0.12")
    bus = cluster.add(HERE, "127.0.0.12", probe_interval=1000.0)
    other.server, other.extra = "dmqcache (9)", (("Supported", "dmqcache-2"),)
    other.request(HERE, "htable")
    other.settle()
    node = bus.nodes.get(other.uri)
    assert node is not None and node.ours and node.user_agent == "dmqcache (9)"


def test_a_refusal_without_a_word_on_its_sender_changes_nothing() -> None:
    _, bus, other = bench()
    other.extra = (("Supported", "dmqcache-2"),)
    asked(bus, other)
    other.extra, other.answer = (), lambda request: (404, b"")
    asked(bus, other)
    assert bus.active_nodes()[0].ours


def test_nobody_makes_a_node_another_one_by_calling_in_its_name() -> None:
    """Two datagrams, as of a Kamailio that was restarted, or of a node that speaks another wire."""
    cluster, bus, other = bench()
    other.extra = (("Supported", "dmqcache-2"),)
    asked(bus, other)
    peer = Watcher("usrloc")
    bus.register_peer(peer)
    cluster.clock.run(10)
    peer.up.clear()
    for tags in ((), (("Supported", "dmqcache-1"),)):
        for number in (0x1111111111111111, 0x7777777777777777):
            other.extra = tags
            other.request(HERE, "htable", call_id=f"{number:x}-1@127.0.0.12")
            other.settle()
    assert bus.active_nodes()[0].ours and not peer.up


def test_another_software_that_answers_at_a_nodes_address_is_up_anew() -> None:
    cluster, bus, other = bench()
    peer = Watcher("usrloc")
    bus.register_peer(peer)
    cluster.clock.run(10)
    peer.up.clear()
    other.extra = (("Supported", "dmqcache-2"),)
    asked(bus, other)
    assert peer.up == [True]
    asked(bus, other)
    assert peer.up == [True]


def test_a_software_that_hides_its_name_keeps_the_one_it_showed() -> None:
    _, bus, other = bench()
    other.server = ""
    other.request(HERE, "htable")
    other.settle()
    assert bus.active_nodes()[0].user_agent.startswith("kamailio")


def test_a_stranger_on_any_channel_is_asked_back() -> None:
    """A Kamailio that joined elsewhere asks for our table before the gossip about it has arrived."""
    cluster, _, _ = bench()
    new = kamailio(cluster, "127.0.0.13")
    new.request(HERE, "htable")
    new.settle()
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE


def test_a_node_that_is_down_and_calls_is_asked_at_once() -> None:
    cluster, bus, other = bench()
    node = bus.active_nodes()[0]
    bus.set_status(node.uri, NodeStatus.TIMEOUT)
    cluster.clock.run(1)
    other.request(HERE, "htable")
    other.settle()
    assert node.active


def test_a_call_right_after_a_question_is_answered_with_another_soon() -> None:
    """The question may have come before the node was up, and be lost."""
    cluster, bus, other = bench()
    node = bus.active_nodes()[0]
    bus.set_status(node.uri, NodeStatus.TIMEOUT)
    del cluster.net.receivers[other.endpoint]
    bus.add_node(node.uri)
    cluster.clock.run(0.05)
    cluster.net.receivers[other.endpoint] = other._receive
    other.request(HERE, "htable")
    took = cluster.clock.run_until(lambda: node.active, 1)
    assert took < 0.3


def test_a_sender_known_by_name_is_looked_up_and_becomes_its_address() -> None:
    cluster, bus, other = bench()
    cluster.names.table["kam.example"] = ["127.0.0.12"]
    for _ in range(3):
        other.request(HERE, "htable", sender=NodeURI.parse("kam.example"))
    other.settle()
    assert len(bus.nodes) == 2 and cluster.names.asked == ["kam.example"]
    node = bus.nodes.get(NodeURI.parse("kam.example"))
    assert node is bus.nodes.get(NodeURI.parse("127.0.0.12"))


def test_a_name_that_does_not_resolve_is_counted() -> None:
    _, bus, other = bench()
    other.request(HERE, "htable", sender=NodeURI.parse("nowhere.example"))
    other.settle()
    assert len(bus.nodes) == 2 and bus.counters.drops["unresolved"] == 1


def test_a_name_that_leads_to_ourselves_is_ourselves() -> None:
    cluster, bus, other = bench()
    cluster.names.table["me.example"] = [HERE]
    other.tell(HERE, LINE % b"127.0.0.12" + LINE % b"me.example")
    other.settle()
    assert len(bus.nodes) == 2 and bus._directory.membership.is_own(NodeURI.parse("me.example"))
    other.request(HERE, "htable", sender=NodeURI.parse("me.example"))
    other.settle()
    assert other.responses[-1].status == 403


def test_a_stranger_that_names_another_address_makes_us_call_nobody() -> None:
    cluster, bus, _ = bench()
    cluster.names.table["victim.example"] = ["127.0.0.99"]
    stranger = Stranger(cluster, "127.0.0.66")
    for victim in ("127.0.0.99", "victim.example"):
        data = stranger.request(HERE, sender=NodeURI.parse(victim))
        stranger.settle()
    stranger.send(HERE, data)
    stranger.settle()
    assert len(bus.nodes) == 2 and not [to for _, _, to, _ in cluster.net.log if to.host == "127.0.0.99"]
    assert bus.counters.drops == {"sender_not_at_its_address": 2}
    assert {response.status for response in stranger.responses} == {200}


def test_nobody_gives_a_node_a_name_but_the_node() -> None:
    cluster, bus, _ = bench()
    cluster.names.table["any.example"] = ["127.0.0.12"]
    stranger = Stranger(cluster, "127.0.0.66")
    stranger.request(HERE, sender=NodeURI.parse("any.example"))
    stranger.settle()
    (node,) = bus.active_nodes()
    assert not node.names and node.written == "sip:127.0.0.12:5060" and not node.calls_itself


def test_a_node_is_what_it_calls_itself_letter_by_letter() -> None:
    """A Kamailio without a port in its server_address takes its address with one for another node."""
    cluster, bus, _ = bench()
    other = kamailio(cluster, "127.0.0.13", name="127.0.0.13:")
    request = other.request(HERE, "htable")
    other.settle()
    node = bus.nodes.get(other.uri)
    assert node is not None and node.written == "sip:127.0.0.13:5060"
    other.send(HERE, request.replace(b"From: <sip:htable@127.0.0.13:5060>", b"From: <sip:htable@127.0.0.13>"))
    other.settle()
    assert node.calls_itself == "sip:127.0.0.13"


def test_a_name_with_several_addresses_is_the_one_that_calls() -> None:
    cluster, bus, _ = bench()
    cluster.names.table["kam.example"] = ["127.0.0.98", "127.0.0.13"]
    kamailio(cluster, "127.0.0.13").request(HERE, sender=NodeURI.parse("kam.example"))
    cluster.clock.run(0.1)
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE and len(bus.nodes) == 3


def test_a_node_known_by_name_that_moves_is_found_at_its_new_address() -> None:
    cluster, bus, _ = bench()
    name = NodeURI.parse("kam.example")
    cluster.names.table["kam.example"] = ["127.0.0.13"]
    old = kamailio(cluster, "127.0.0.13")
    old.request(HERE, sender=name)
    cluster.clock.run(1)
    cluster.names.table["kam.example"] = ["127.0.0.14"]
    new = kamailio(cluster, "127.0.0.14")
    new.request(HERE, sender=name)
    new.settle()
    assert cluster.status(HERE, "127.0.0.14") is NodeStatus.ACTIVE
    assert bus.nodes.get(name) is bus.nodes.get(new.uri)


def test_names_are_looked_up_again_for_a_stranger_at_a_pace() -> None:
    cluster, bus, other = bench()
    name = NodeURI.parse("kam.example")
    cluster.names.table["kam.example"] = ["127.0.0.12"]
    other.request(HERE, sender=name)
    other.settle()
    stranger = Stranger(cluster, "127.0.0.66")
    for _ in range(100):
        stranger.request(HERE, sender=name)
        cluster.clock.run(0.1)
    assert len(cluster.names.asked) <= 1 + 2 and bus.nodes.get(name) is bus.nodes.get(other.uri)
    for number in range(1000):
        Stranger(cluster, f"127.1.{number // 250}.{number % 250}").request(HERE, sender=name)
    cluster.clock.run(1)
    assert len(bus._directory.contacts._moved) == MAX_MOVED


def test_lookups_are_bounded() -> None:
    cluster, bus, other = bench()
    cluster.names.delay = 100.0
    body = b"".join(LINE % b"n%d.example" % number for number in range(500))
    other.tell(HERE, LINE % b"127.0.0.12" + body)
    other.settle()
    assert len(cluster.names.asked) == MAX_LOOKUPS
    assert bus.counters.drops == {"too_many_lookups": 500 - MAX_LOOKUPS}
    cluster.clock.run(200)
    assert bus.counters.drops["unresolved"] == MAX_LOOKUPS and not bus._directory.contacts._lookups


def from_port(other: Stranger, cluster: Cluster, port: int, transport: str = "udp") -> None:
    """From here on it sends from another port of its host; it is still asked at its own."""
    listens = other.uri.endpoint
    assert listens is not None
    other.endpoint = other.endpoint._replace(port=port, transport=transport)
    cluster.net.receivers[other.endpoint] = cluster.net.receivers[listens] = other._receive


def calls(bus: Bus, other: Stranger) -> bool:
    """Whether a request counts as the node's."""
    node = bus.active_nodes()[0]
    before = node.last_seen
    other.settle(1)
    node.last_seen = None
    other.request(HERE, "htable")
    other.settle()
    seen, node.last_seen = node.last_seen is not None, node.last_seen or before
    return seen


def test_a_node_that_sends_from_its_own_port_sends_from_no_other_one() -> None:
    cluster, bus, other = bench()
    assert calls(bus, other)
    from_port(other, cluster, 40_000)
    assert not calls(bus, other) and bus.counters.drops["sender_not_at_its_port"] == 1
    (node,) = bus.active_nodes()
    assert "sends from 127.0.0.12 port 40000" in node.trouble[Trouble.SENDS_FROM_ELSEWHERE]
    from_port(other, cluster, 5060)
    assert calls(bus, other)


def test_a_node_whose_first_request_came_from_another_port_may_send_from_any() -> None:
    """A translator of addresses changes ports, and may do so again."""
    cluster, bus, other = bench()
    for port in (40_000, 5060, 40_001):
        from_port(other, cluster, port)
        assert calls(bus, other)
    assert not bus.counters.drops["sender_not_at_its_port"]


def test_a_connection_comes_from_any_port() -> None:
    cluster, bus, other = bench()
    assert calls(bus, other)
    data = other.request("127.0.0.99", "htable").replace(b"127.0.0.99", HERE.encode())
    (node,) = bus.active_nodes()
    node.last_seen = None
    bus._incoming.receive(data, other.endpoint._replace(transport="tcp", port=40_000))
    assert node.last_seen == cluster.clock.time and not bus.counters.drops["sender_not_at_its_port"]


def test_a_node_that_is_up_again_may_send_from_another_port_than_before() -> None:
    cluster, bus, other = bench()
    assert calls(bus, other)
    bus.set_status(other.uri, NodeStatus.TIMEOUT)
    from_port(other, cluster, 40_000)
    bus.set_status(other.uri, NodeStatus.ACTIVE)
    assert calls(bus, other) and not bus.counters.drops["sender_not_at_its_port"]


def test_a_restart_that_was_only_heard_of_gives_a_node_no_other_port() -> None:
    """Else who forges one could shut a node behind a translator out, or let another process in."""
    cluster, bus, other = bench()
    assert calls(bus, other)
    cluster.clock.run(10)
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    from_port(other, cluster, 40_000)
    assert not calls(bus, other) and bus.counters.drops["sender_not_at_its_port"] == 1


def test_an_operator_names_a_node_that_sends_from_any_port() -> None:
    cluster = Cluster()
    other = kamailio(cluster, "127.0.0.12")
    bus = cluster.add(HERE, "127.0.0.12", sources=((other.uri, "127.0.0.12"),), probe_interval=1000.0)
    cluster.clock.run(0.1)
    assert calls(bus, other)
    from_port(other, cluster, 40_000)
    assert calls(bus, other) and not bus.counters.drops["sender_not_at_its_port"]
