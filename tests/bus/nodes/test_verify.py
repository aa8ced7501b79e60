"""Asking first-hand: at what pace, and what removed nodes get."""

from __future__ import annotations

from dmqcache.bus.bus import Bus
from dmqcache.bus.node import Node, NodeStatus
from dmqcache.bus.nodes.membership import Evidence
from dmqcache.bus.nodes.verify import BURST, CALLER_GAP, RATE, TIMEOUT, UNLISTED_GAP
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE = "127.0.0.11"
LINE = b"sip:%s:5060;status=active\r\n"


def bench() -> tuple[Cluster, Bus, Stranger]:
    """One bus with one active Kamailio, whose word counts."""
    cluster = Cluster()
    bus = cluster.add(HERE, probe_interval=1000.0)
    teller = kamailio(cluster, "127.0.0.12")
    teller.request(HERE, body=LINE % b"127.0.0.12")
    teller.settle(2 * CALLER_GAP)
    return cluster, bus, teller


def sends_to(cluster: Cluster, host: str, since: int = 0) -> list[float]:
    return [
        time - 1000
        for time, source, to, _ in cluster.net.log[since:]
        if source.host == HERE and to.host == host
    ]


def tell(teller: Stranger, *hosts: str) -> None:
    teller.tell(HERE, LINE % b"127.0.0.12" + b"".join(LINE % host.encode() for host in hosts))
    teller.settle()


def test_who_is_named_in_a_nodes_name_alone_is_asked_nothing() -> None:
    """One forged list with many addresses of a victim would have it sent questions by everybody."""
    cluster, _, teller = bench()
    mark = len(cluster.net.log)
    hosts = [f"127.0.1.{number}" for number in range(200)]
    for _ in range(20):
        teller.request(HERE, body=LINE % b"127.0.0.12" + b"".join(LINE % host.encode() for host in hosts))
        teller.settle()
    cluster.clock.run(3)
    asked = [to for _, source, to, _ in cluster.net.log[mark:] if source.host == HERE]
    assert {to.host for to in asked} == {"127.0.0.12"}
    # An answer to each, and a question in each CALLER_GAP seconds.
    assert len(asked) <= 20 + 2 / CALLER_GAP + 3


def test_a_list_that_comes_just_after_a_question_is_asked_about_too() -> None:
    cluster, _, teller = bench()
    kamailio(cluster, "127.0.0.13")
    teller.request(HERE, body=LINE % b"127.0.0.12" + LINE % b"127.0.0.14")
    teller.settle(0.05)
    tell(teller, "127.0.0.13")
    cluster.clock.run(CALLER_GAP)
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE


def down(bus: Bus, cluster: Cluster, host: str) -> Node:
    """A node that was active and is dead."""
    uri = NodeURI.parse(host)
    node = bus._directory.membership.meet(uri)
    assert node is not None
    bus._directory.membership.judge(node, Evidence.ANSWERED)
    bus._directory.membership.judge(node, Evidence.LOST)
    assert node.status is NodeStatus.TIMEOUT
    return node


def test_a_list_of_many_is_asked_at_a_pace() -> None:
    cluster, _, teller = bench()
    mark, start = len(cluster.net.log), cluster.clock.time
    hosts = [f"127.0.1.{number}" for number in range(200)]
    tell(teller, *hosts)
    cluster.clock.run(3)
    first: dict[str, float] = {}
    for time, source, to, _ in cluster.net.log[mark:]:
        if source.host == HERE and to.host.startswith("127.0.1."):
            first.setdefault(to.host, time - start)
    assert BURST - 2 <= sum(time < 0.1 for time in first.values()) <= BURST + 2
    assert len(first) <= BURST + 3.1 * RATE + 1
    cluster.clock.run(6)
    assert len({host for host in hosts if sends_to(cluster, host, mark)}) == 200


def test_hearsay_of_a_dead_node_asks_it_now_and_then_and_revives_it_only_by_its_answer() -> None:
    cluster, bus, teller = bench()
    node = down(bus, cluster, "127.0.0.13")
    mark = len(cluster.net.log)
    for _ in range(50):
        tell(teller, "127.0.0.13")
    assert node.status is NodeStatus.TIMEOUT
    assert 3 <= len(sends_to(cluster, "127.0.0.13", mark)) <= 12
    kamailio(cluster, "127.0.0.13")
    cluster.clock.run(2)
    tell(teller, "127.0.0.13")
    assert node.active


def test_a_removed_node_is_not_listed_again_on_hearsay() -> None:
    cluster, bus, teller = bench()
    bus._directory.membership.remove(down(bus, cluster, "127.0.0.13"))
    mark = len(cluster.net.log)
    for _ in range(20):
        tell(teller, "127.0.0.13")
        cluster.clock.run(4.9)
        assert cluster.status(HERE, "127.0.0.13") is None
    # 100 s: asked every 30 s, four sends each.
    assert len(sends_to(cluster, "127.0.0.13", mark)) <= 4 * (100 / UNLISTED_GAP + 1)


def test_a_removed_node_that_answers_is_back() -> None:
    cluster, bus, teller = bench()
    bus._directory.membership.remove(down(bus, cluster, "127.0.0.13"))
    kamailio(cluster, "127.0.0.13")
    tell(teller, "127.0.0.13")
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE


def test_a_removed_node_that_calls_is_back() -> None:
    cluster, bus, _ = bench()
    bus._directory.membership.remove(down(bus, cluster, "127.0.0.13"))
    back = kamailio(cluster, "127.0.0.13")
    back.request(HERE, body=LINE % b"127.0.0.13", hops=2)
    back.settle()
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE


def test_what_is_remembered_of_removed_nodes_is_bounded() -> None:
    _, bus, _ = bench()
    for number in range(3000):
        bus._directory._verifier.removed(NodeURI("127.0.1.1", 1000 + number))
    assert len(bus._directory._verifier._unlisted) == 1000


def doubting(*hosts: str) -> tuple[Cluster, Bus]:
    """A bus whose notification address asks these in vain, and says so whenever it is asked for its list."""
    cluster = Cluster()
    seed = kamailio(cluster, "127.0.0.12")
    suspects = b"".join(b"sip:%s:5060;status=active;suspect=3\r\n" % host.encode() for host in hosts)
    seed.answer = lambda request: (200, LINE % b"127.0.0.12" + suspects) if request.body else (404, b"")
    return cluster, cluster.add(HERE, "127.0.0.12")


def test_who_is_there_and_only_the_node_that_was_asked_does_not_hear_it_is_met() -> None:
    cluster, bus = doubting("127.0.0.13")
    kamailio(cluster, "127.0.0.13")
    cluster.clock.run(1)
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE
    assert not bus.nodes.asked


def test_whom_the_node_that_was_asked_asks_in_vain_is_asked_now_and_then_and_not_listed() -> None:
    cluster, bus = doubting("127.0.0.13")
    cluster.clock.run(0.1)
    assert bus.nodes.asked == {NodeURI.parse("127.0.0.13")}
    cluster.clock.run(TIMEOUT)
    assert not bus.nodes.asked
    cluster.clock.run(95 - TIMEOUT)
    assert cluster.status(HERE, "127.0.0.13") is None
    assert 1 <= len(sends_to(cluster, "127.0.0.13")) <= 4 * (95 / UNLISTED_GAP + 1)


def test_two_strangers_who_ask_each_other_because_a_third_named_one_do_not_wait_for_each_other() -> None:
    cluster, _ = doubting("127.0.0.13")
    cluster.add("127.0.0.13")
    cluster.clock.run(0.5)
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE
    assert cluster.status("127.0.0.13", HERE) is NodeStatus.ACTIVE


def test_many_whom_the_node_that_was_asked_asks_in_vain_are_asked_at_a_pace() -> None:
    cluster, bus = doubting(*(f"127.0.1.{number}" for number in range(200)))
    cluster.clock.run(0.1)
    asked = {to.host for _, _, to, _ in cluster.net.log if to.host.startswith("127.0.1.")}
    assert BURST - 2 <= len(asked) <= BURST + 2
    assert len(bus.nodes) == 2


def test_a_node_that_never_answers_is_forgotten() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    bus.add_node(NodeURI.parse("127.0.0.99"))
    cluster.clock.run(5)
    assert cluster.status(HERE, "127.0.0.99") is NodeStatus.PENDING
    cluster.clock.run(30)
    assert cluster.status(HERE, "127.0.0.99") is None


def test_a_404_to_a_ping_makes_nobody_active() -> None:
    """A SIP server that knows nothing of the bus answers everything, and is no node."""
    cluster = Cluster()
    bus = cluster.add(HERE)
    server = Stranger(cluster, "127.0.0.12")
    server.answer = lambda request: (404, b"")
    bus.add_node(server.uri)
    cluster.clock.run(TIMEOUT + 1)
    assert not bus.active_nodes()


def test_a_stranger_that_does_not_answer_gets_two_small_messages_and_is_forgotten() -> None:
    """The address of its call may be forged, and a victim's."""
    cluster = Cluster()
    bus = cluster.add(HERE)
    victim = Stranger(cluster, "127.0.0.99")
    for _ in range(3):
        victim.request(HERE, body=LINE % b"127.0.0.99", hops=2)
        cluster.clock.run(0.3)
    cluster.clock.run(300)
    assert len(victim.requests) == 2 and len(bus.nodes) == 1
    got = [data for _, source, to, data in cluster.net.log if to == victim.endpoint]
    assert len(got) == 2 and max(map(len, got)) < 500
    victim.request(HERE)
    victim.settle()
    assert len(victim.requests) == 3


def test_a_stranger_of_whom_a_node_tells_too_is_asked_like_any_other() -> None:
    cluster, bus, teller = bench()
    stranger = Stranger(cluster, "127.0.0.13")
    stranger.request(HERE)
    stranger.settle()
    tell(teller, "127.0.0.13")
    cluster.clock.run(3)
    tell(teller, "127.0.0.13")
    cluster.clock.run(3)
    assert len(stranger.requests) > 3 and bus.nodes.get(stranger.uri) is not None


def test_a_stranger_whose_first_question_is_lost_is_admitted_by_the_second() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE, probe_interval=1000.0)
    other = kamailio(cluster, "127.0.0.12")
    request = other.request(HERE)
    del cluster.net.receivers[other.endpoint]
    cluster.clock.run(0.5)
    other.send(HERE, request)
    cluster.net.receivers[other.endpoint] = other._receive
    cluster.clock.run(1)
    assert len(bus.active_nodes()) == 1


def test_a_flood_of_strangers_keeps_no_node_out() -> None:
    cluster = Cluster()
    bus = cluster.add(HERE)
    joined: list[bool] = []
    node = kamailio(cluster, "127.0.0.12")
    for second in range(30):
        for number in range(20):
            Stranger(cluster, f"127.1.{second}.{number}").request(HERE)
        if second == 20:
            node.request(HERE, body=LINE % b"127.0.0.12", hops=2)
        cluster.clock.run(1)
        joined.append(len(bus.active_nodes()) == 1)
    assert joined[-1]


def test_after_stop_nobody_is_asked() -> None:
    cluster, bus, _ = bench()
    bus._directory._verifier.stop()
    mark = len(cluster.net.log)
    bus.add_node(NodeURI.parse("127.0.0.99"))
    bus._directory._verifier.removed(NodeURI.parse("127.0.0.98"))
    cluster.clock.run(1)
    assert not sends_to(cluster, "127.0.0.99", mark) and not sends_to(cluster, "127.0.0.98", mark)
