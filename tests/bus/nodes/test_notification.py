"""The notification channel on the wire: what lists say, who is told which list, and the gossip rule."""

from __future__ import annotations

from dmqcache.bus.bus import Bus
from dmqcache.bus.node import OWN_TAG, NodeStatus
from dmqcache.bus.nodes.notification import GOODBYE_SECONDS
from dmqcache.bus.peer import Message
from dmqcache.bus.sip.sip_message import SipRequest
from dmqcache.bus.sip.uri import NodeURI, SipURI
from tests.bus.nodes.test_events import Listener
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE = "127.0.0.11"
CHANNEL = "notification_peer"
LINE = b"sip:%s:5060;status=active\r\n"
GOODBYE = b"sip:127.0.0.12:5060;status=disabled\r\n"


def alone() -> tuple[Cluster, Bus, Listener]:
    """One bus that has nobody to join, and who listens to it."""
    cluster = Cluster()
    bus = cluster.add(HERE, probe_interval=1000.0)
    listener = Listener()
    bus.register_peer(listener)
    return cluster, bus, listener


def lists(other: Stranger) -> list[bytes]:
    """The node lists that somebody was sent in requests."""
    return [request.body for request in other.requests if SipURI.parse(request.uri).user == CHANNEL]


def hosts(body: bytes) -> list[str]:
    return [line.split(b":")[1].decode() for line in body.splitlines()]


def test_a_kamailio_that_joins_is_answered_asked_and_told_all() -> None:
    cluster, _bus, listener = alone()
    first, second = kamailio(cluster, "127.0.0.12"), kamailio(cluster, "127.0.0.13")
    first.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    first.settle()
    assert listener.heard == ["init", "up 127.0.0.12"]
    second.request(HERE, body=LINE % b"127.0.0.13", hops=2)
    second.settle()
    # Its first list, whether in the answer or in a request, names everybody: it asks them for state then.
    assert [response.status for response in second.responses] == [200]
    assert hosts(second.responses[0].body) == [HERE, "127.0.0.12"]
    told = lists(second)
    assert told and all(hosts(body) == [HERE, "127.0.0.12"] for body in told)
    # The others hear of it too, with no hops to spare.
    assert set(hosts(lists(first)[-1])) == {HERE, "127.0.0.13"}
    assert first.requests[-1].max_forwards == 1
    assert listener.heard == ["init", "up 127.0.0.12", "up 127.0.0.13"]


def test_what_we_send_is_what_every_kamailio_reads() -> None:
    """Golden: a list line of ours and the request around it."""
    cluster, bus, _ = alone()
    third = kamailio(cluster, "127.0.0.13")
    third.request(HERE, body=LINE % b"127.0.0.13", hops=2)
    third.settle()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    other.settle()
    request = other.requests[-1]
    instance = bus.local.instance.encode()
    assert request.body == b"".join(
        [
            b"sip:127.0.0.11:5060;status=active;instance=" + instance + b"\r\n",
            b"sip:127.0.0.13:5060;status=active\r\n",
        ]
    )
    assert request.uri == "sip:notification_peer@127.0.0.12:5060"
    assert request.from_.uri == "sip:notification_peer@127.0.0.11:5060"
    assert request.content_type == "text/plain" and request.headers.get("content-length")


def test_a_stranger_is_told_of_nobody_and_asked_seldom() -> None:
    """A forged source must not turn a small request into a flood for somebody else."""
    cluster, bus, _ = alone()
    for number in range(30):
        node = kamailio(cluster, f"127.0.1.{number}")
        node.request(HERE, body=LINE % node.uri.host.encode(), hops=2)
    cluster.clock.run(1)
    assert len(bus.active_nodes()) == 30
    victim = Stranger(cluster, "127.0.0.66")
    before = len(cluster.net.log)
    sent = len(victim.request(HERE, body=LINE % b"127.0.0.66", hops=2))
    cluster.clock.run(5)
    got = [len(data) for _, _, to, data in cluster.net.log[before:] if to == victim.endpoint]
    # Its own list line in our form, and nothing of the thirty others; a handful of such questions at most.
    assert max(got) <= sent + 100 and len(got) <= 4
    assert not victim.responses and not lists(victim)


def test_a_list_that_changes_nothing_is_not_sent_on() -> None:
    cluster, _, _ = alone()
    first, second = kamailio(cluster, "127.0.0.12"), kamailio(cluster, "127.0.0.13")
    for node in (first, second):
        node.request(HERE, body=LINE % node.uri.host.encode(), hops=2)
        node.settle(1)
    count = len(first.requests)
    second.request(HERE, body=LINE % b"127.0.0.13" + LINE % b"127.0.0.12", hops=2)
    second.settle()
    assert len(first.requests) == count


def test_a_list_without_hops_to_spare_is_not_sent_on() -> None:
    cluster, _, listener = alone()
    first, second = kamailio(cluster, "127.0.0.12"), kamailio(cluster, "127.0.0.13")
    first.request(HERE, body=LINE % b"127.0.0.12", hops=1)
    first.settle()
    count = len(first.requests)
    second.request(HERE, body=LINE % b"127.0.0.13", hops=1)
    second.settle()
    assert listener.heard[-1] == "up 127.0.0.13" and len(first.requests) == count


def test_a_node_that_joined_elsewhere_gets_the_list_once_it_has_answered() -> None:
    cluster, _, _ = alone()
    first, second = kamailio(cluster, "127.0.0.12"), kamailio(cluster, "127.0.0.13")
    first.request(HERE, body=LINE % b"127.0.0.12")
    first.settle()
    second.request(HERE, "htable")
    second.settle()
    assert set(hosts(lists(second)[-1])) == {HERE, "127.0.0.12"}


def test_nodes_of_a_known_nodes_list_are_asked_first_hand() -> None:
    cluster, _bus, _ = alone()
    kamailio(cluster, "127.0.0.13")
    teller = kamailio(cluster, "127.0.0.12", "127.0.0.13", "127.0.0.14")
    teller.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    teller.settle()
    assert cluster.status(HERE, "127.0.0.13") is NodeStatus.ACTIVE
    assert cluster.status(HERE, "127.0.0.14") is NodeStatus.PENDING
    assert b"127.0.0.14" not in lists(teller)[-1]


def test_a_strangers_list_is_believed_in_nothing_but_himself() -> None:
    cluster, bus, _ = alone()
    stranger = Stranger(cluster, "127.0.0.12")
    body = b"".join(LINE % f"127.0.1.{number}".encode() for number in range(200))
    # The second time it is in the list, but still as somebody who has answered nothing.
    for _ in range(2):
        stranger.request(HERE, body=LINE % b"127.0.0.12" + body, hops=2)
        stranger.settle()
    assert [node.uri.host for node in bus.nodes] == [HERE, "127.0.0.12"]


def test_hearsay_of_other_words_adds_nobody() -> None:
    cluster, bus, _ = alone()
    teller = kamailio(cluster, "127.0.0.12")
    teller.request(HERE, body=LINE % b"127.0.0.12")
    teller.settle()
    words = ("disabled", "timeout", "pending", "not_active", "bogus")
    body = b"".join(b"sip:127.0.1.%d;status=%s\r\n" % (n, word.encode()) for n, word in enumerate(words))
    teller.request(HERE, body=body)
    teller.settle()
    assert len(bus.nodes) == 2 and bus.counters.drops == {"node_line_unknown_status": 1}


def test_a_node_that_says_disabled_of_itself_has_left() -> None:
    cluster, _bus, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    answer, other.answer = other.answer, lambda request: None
    other.request(HERE, body=GOODBYE)
    other.settle(6)
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.DISABLED
    assert listener.heard == ["init", "up 127.0.0.12", "left 127.0.0.12"]
    # Its own answer to a ping revives it, nothing else.
    other.answer = answer
    other.request(HERE, body=b"", hops=2)
    other.settle()
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE


def test_a_goodbye_whose_source_may_be_forged_is_asked_about_once() -> None:
    cluster, _bus, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    asked = len(lists(other))
    for _ in range(20):
        other.request(HERE, body=GOODBYE)
    other.settle()
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE and len(lists(other)) == asked + 1
    other.settle(5)
    # A Kamailio may have left, and be there again with nothing.
    assert listener.heard == ["init", "up 127.0.0.12", "up 127.0.0.12"]
    # One that leaves while nobody can reach it is not lost: it has said so.
    del cluster.net.receivers[other.endpoint]
    cluster.net.refusing.add(other.endpoint)
    other.request(HERE, body=GOODBYE)
    other.settle(GOODBYE_SECONDS + 0.1)
    assert listener.heard[3:] == ["left 127.0.0.12"]


def test_a_short_silence_makes_no_goodbye_true() -> None:
    """A node that stands still for a moment, or some lost datagrams: a forged goodbye must not be worth more
    then than none."""
    cluster, _bus, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle(10)
    answer, other.answer = other.answer, lambda request: None
    for _ in range(15):
        other.request(HERE, body=GOODBYE)
        other.settle(0.1)
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE
    other.answer = answer
    other.settle(10)
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE
    # It may have left, and be there again with nothing.
    assert listener.heard == ["init", "up 127.0.0.12", "up 127.0.0.12"]
    other.answer = lambda request: None
    other.request(HERE, body=GOODBYE)
    other.settle(10)
    assert listener.heard[3:] == ["left 127.0.0.12"]


def test_who_says_goodbye_and_refuses_the_question_has_left() -> None:
    cluster, _bus, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    answer, other.answer = other.answer, lambda request: (500, b"")
    other.request(HERE, body=GOODBYE)
    other.settle()
    assert listener.heard == ["init", "up 127.0.0.12", "left 127.0.0.12"]
    other.answer = answer
    other.request(HERE, body=b"", hops=2)
    other.settle()
    assert listener.heard[3:] == ["up 127.0.0.12"]


def test_a_goodbye_that_nobody_can_forge_counts_at_once() -> None:
    cluster, bus, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    node = bus.nodes.get(other.uri)
    message = Message(
        channel=CHANNEL,
        body=GOODBYE,
        content_type="text/plain",
        sender=other.uri,
        source=other.endpoint._replace(transport="tcp"),
        node=node,
        max_forwards=1,
        user_agent="",
        supported=frozenset(),
    )
    bus._directory.notification.handle(message)
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.DISABLED
    cluster.clock.run(0)
    assert listener.heard[2:] == ["left 127.0.0.12"]


def test_an_answer_that_says_disabled_is_a_goodbye_too() -> None:
    cluster, _bus, _ = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.answer = lambda request: (200, b"sip:127.0.0.12:5060;status=disabled\r\n")
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.DISABLED


def test_nobody_else_can_say_that_a_node_left() -> None:
    cluster, _bus, _ = alone()
    first, second = kamailio(cluster, "127.0.0.12"), kamailio(cluster, "127.0.0.13")
    for node in (first, second):
        node.request(HERE, body=LINE % node.uri.host.encode())
        node.settle()
    second.request(HERE, body=b"sip:127.0.0.12:5060;status=disabled\r\n")
    second.settle()
    impostor = Stranger(cluster, "127.0.0.66")
    impostor.request(HERE, body=b"sip:127.0.0.12:5060;status=disabled\r\n", sender=first.uri)
    impostor.settle()
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE


def test_a_kamailio_that_starts_again_is_up_again() -> None:
    cluster, _, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    other.settle(10)
    other.request(HERE, body=LINE % b"127.0.0.12", hops=1)
    other.settle()
    assert listener.heard.count("up 127.0.0.12") == 1
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    other.settle()
    assert listener.heard.count("up 127.0.0.12") == 2


def test_a_kamailio_that_was_restarted_unmissed_is_up_again_at_its_first_word() -> None:
    """Its start-up notification went to another; its Call-IDs begin anew."""
    cluster, _, listener = alone()
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2, call_id="7df63fa2385a193d-12@127.0.0.12")
    other.settle(10)
    for number in ("7df63fa2385a1a3d-17", "7df63fa2385a193e-12"):
        other.request(HERE, body=LINE % b"127.0.0.12", call_id=f"{number}@127.0.0.12")
        other.settle()
    assert listener.heard.count("up 127.0.0.12") == 1
    other.request(HERE, body=LINE % b"127.0.0.12", call_id="05f63fa2385a1a3d-12@127.0.0.12")
    other.settle()
    assert listener.heard.count("up 127.0.0.12") == 2


def test_a_node_of_ours_that_was_missed_by_nobody_is_up_again_when_it_restarts() -> None:
    cluster = Cluster()
    one, _ = cluster.full(2)
    listener = Listener()
    one.register_peer(listener)
    cluster.clock.run(0.5)
    cluster.kill("127.0.0.12")
    cluster.add("127.0.0.12", HERE)
    cluster.clock.run(0.5)
    assert listener.heard == ["init", "up 127.0.0.12", "up 127.0.0.12"]


def test_a_forged_instance_is_no_restart() -> None:
    cluster = Cluster()
    one, two = cluster.full(2)
    listener = Listener()
    one.register_peer(listener)
    forger = Stranger(cluster, "127.0.0.66")
    forger.endpoint = two.local.endpoint  # type: ignore[assignment]
    for number in range(20):
        forger.request(
            HERE, body=b"sip:127.0.0.12:5060;status=active;instance=%d\r\n" % number, sender=two.local.uri
        )
        cluster.clock.run(0.01)
    cluster.clock.run(5)
    assert listener.heard == ["init", "up 127.0.0.12"]
    assert one.nodes.get(two.local.uri).instance == two.local.instance  # type: ignore[union-attr]


def test_lists_are_not_limited_to_a_kilobyte_and_a_thousand_nodes_do_no_harm() -> None:
    cluster, bus, _ = alone()
    teller = kamailio(cluster, "127.0.0.12")
    teller.request(HERE, body=LINE % b"127.0.0.12")
    teller.settle()
    body = b"".join(LINE % b"127.1.%d.%d" % (n // 250, n % 250) for n in range(1500))
    teller.settle(1)
    teller.tell(HERE, LINE % b"127.0.0.12" + body)
    teller.settle()
    assert [response.status for response in teller.responses] == [200, 200]
    assert len(bus.nodes) <= 260 and bus.counters.drops["too_many_strangers"] > 1000
    before = len(cluster.net.log)
    cluster.clock.run(10)
    asked = [to for _, source, to, _ in cluster.net.log[before:] if source.host == HERE]
    # Paced: 20 questions a second, each sent up to four times.
    assert len(asked) < 1000
    cluster.clock.run(60 * 20)
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE


def test_forty_nodes_know_each_other_at_once() -> None:
    cluster = Cluster()
    cluster.full(40)
    longest = max(len(data) for _, _, _, data in cluster.net.log)
    assert longest > 1500 and cluster.meshed()


NAMED = NodeURI.parse("kam.example")


def named_beside_another() -> tuple[Cluster, Bus, Stranger, Stranger]:
    """A bus, a Kamailio at .12, and one at .13 whose server_address is a name."""
    cluster, bus, _ = alone()
    cluster.names.table["kam.example"] = ["127.0.0.13"]
    other = kamailio(cluster, "127.0.0.12")
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    other.settle()
    return cluster, bus, other, kamailio(cluster, "127.0.0.13", name="Kam.example:5060")


def test_a_node_is_told_to_others_by_the_name_that_it_gives_itself_and_nothing_of_itself() -> None:
    """By its address, a Kamailio that calls itself by name takes itself for another node."""
    cluster, bus, other, named = named_beside_another()
    request = named.request(HERE, body=LINE % b"Kam.example", hops=2, sender=NAMED)
    named.send(HERE, request.replace(b"@kam.example", b"@Kam.example"))
    named.settle(1)
    named.request(HERE, body=LINE % b"Kam.example", sender=NAMED)
    cluster.clock.run(1)
    node = bus.nodes.get(NAMED)
    assert node is not None and node.uri == NodeURI.parse("127.0.0.13") and node.active
    assert len(bus.nodes) == 3
    other.request(HERE, body=LINE % b"127.0.0.12")
    cluster.clock.run(1)
    assert hosts(other.responses[-1].body) == [HERE, "Kam.example"]
    said = [body for answer in named.responses if (body := answer.body)] + lists(named)
    assert said and not [body for body in said if b"127.0.0.13" in body or b"am.example" in body]
    assert hosts(said[-1]) == [HERE, "127.0.0.12"]


def test_a_node_that_is_only_heard_of_is_not_told_on_before_its_name_is_known() -> None:
    cluster, bus, other, named = named_beside_another()
    other.tell(HERE, LINE % b"127.0.0.12" + LINE % b"127.0.0.13")
    cluster.clock.run(0.001)
    cluster.clock.run_until(lambda: len(bus.active_nodes()) == 2, 1)
    other.request(HERE, body=LINE % b"127.0.0.12")
    cluster.clock.run(5)
    assert not [body for answer in other.responses if b"127.0.0.13" in (body := answer.body)]
    # Its list had a name that leads to itself: that must be its own.
    other.request(HERE, body=LINE % b"127.0.0.12")
    bus._directory.notification.ping(bus.nodes.get(named.uri))  # type: ignore[arg-type]
    cluster.clock.run(1)
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    assert hosts(other.responses[-1].body) == [HERE, "Kam.example"]


def test_a_forged_name_is_told_to_nobody() -> None:
    """A 5.6.3 that cannot resolve it would hang."""
    cluster, bus, other, _ = named_beside_another()
    third = kamailio(cluster, "127.0.0.14")
    third.request(HERE, body=LINE % b"127.0.0.14", hops=2)
    third.settle()
    cluster.names.table["evil.example"] = ["127.0.0.14"]
    forger = Stranger(cluster, "127.0.0.66")
    forger.endpoint = third.endpoint
    for _ in range(3):
        forger.request(HERE, body=LINE % b"evil.example", sender=NodeURI.parse("evil.example"))
        cluster.clock.run(1)
    node = bus.nodes.get(third.uri)
    assert node is not None and node.written == "sip:127.0.0.14:5060" and len(third.requests) < 10
    other.request(HERE, body=LINE % b"127.0.0.12")
    other.settle()
    assert hosts(other.responses[-1].body) == [HERE, "127.0.0.14"]


def test_a_suspicion_of_us_is_answered_with_a_sign_of_life() -> None:
    cluster = Cluster()
    _one, two = cluster.full(2, probe_interval=1000.0)
    before = len(cluster.net.log)
    teller = Stranger(cluster, "127.0.0.66")
    teller.endpoint = two.local.endpoint  # type: ignore[assignment]
    teller.request(HERE, body=b"sip:127.0.0.11:5060;status=active;suspect=1\r\n", sender=two.local.uri)
    cluster.clock.run(0.1)
    sent = [data for _, source, _, data in cluster.net.log[before:] if source.host == HERE]
    assert any(data.startswith(b"KDMQ sip:notification_peer@127.0.0.12") for data in sent)


def test_a_mute_kamailio_is_not_dead() -> None:
    """Beyond about twenty nodes a Kamailio calls, but its list no longer fits into its answer."""
    cluster, _bus, _ = alone()
    mute = Stranger(cluster, "127.0.0.12")

    def answer(request: SipRequest) -> tuple[int, bytes] | None:
        return None if SipURI.parse(request.uri).user == "notification_peer" else (404, b"")

    mute.answer = answer
    mute.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    mute.request(HERE, body=LINE % b"127.0.0.12", hops=1)
    cluster.clock.run(15)
    assert cluster.status(HERE, "127.0.0.12") is NodeStatus.ACTIVE


def test_a_late_answer_to_a_record_that_was_removed_asks_nobody() -> None:
    cluster, bus, _ = alone()
    other, third = kamailio(cluster, "127.0.0.12"), kamailio(cluster, "127.0.0.13")
    third.request(HERE, body=LINE % b"127.0.0.13", hops=2)
    cluster.net.cut(["127.0.0.12"], [HERE])
    bus.add_node(NodeURI.parse("sip:127.0.0.12"))
    cluster.clock.run(0.1)
    bus.remove_node(NodeURI.parse("sip:127.0.0.12"))
    cluster.net.cuts.clear()
    # Its question is repeated and answered now; meanwhile the node is met anew.
    other.request(HERE, body=LINE % b"127.0.0.12", hops=2)
    cluster.clock.run(10)
    assert cluster.buses[HERE].nodes.get(NodeURI.parse("sip:127.0.0.12")) in bus.active_nodes()
    assert len(lists(other)) < 10


def test_a_node_that_holds_us_suspect_whatever_we_say_is_not_flooded() -> None:
    """As one whose questions reach us and whom our answers do not."""
    cluster = Cluster()
    teller = kamailio(cluster, "127.0.0.12")
    teller.server, teller.extra = "dmqcache", (("Supported", OWN_TAG),)
    lines = "sip:127.0.0.12:5060;status=active\r\nsip:127.0.0.11:5060;status=active;suspect=1\r\n"
    teller.answer = lambda request: (200, lines.encode())
    bus = cluster.add("127.0.0.11", "127.0.0.12")
    cluster.clock.run(5)
    assert bus.active_nodes() and len(teller.requests) < 40
