"""From a request to the handler of its channel: who sent it, and what is refused before."""

from __future__ import annotations

import pytest

from dmqcache.bus.delivery import CACHED_URIS
from dmqcache.bus.peer import Peer, Reply
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.trust.guard import KeyPolicy
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing
from tests.bus.one_node import HERE, Recorder, bench, statuses
from tests.bus.virtual import Cluster, Stranger


def test_a_request_reaches_its_peer_with_all_that_is_known_of_it() -> None:
    _, bus, recorder, other = bench()
    other.request(HERE, "htable", b"\x00\xff{}", content_type="application/json; x=y", hops=7)
    other.settle()
    (message,) = recorder.messages
    assert message.channel == "htable" and message.body == b"\x00\xff{}"
    assert message.content_type == "application/json" and message.max_forwards == 7
    assert message.sender == NodeURI.parse("127.0.0.12")
    assert message.source == Endpoint("udp", "127.0.0.12", 5060)
    assert message.node is bus.nodes.get(message.sender)
    assert message.user_agent.startswith("kamailio (5.6.3") and message.supported == frozenset()
    assert statuses(other) == [200]
    assert bus.counters.messages["htable", "in", "request"] == 1
    assert bus.counters.messages["htable", "out", "200"] == 1


def test_a_sender_that_is_not_at_its_own_address_is_nobody() -> None:
    cluster, bus, recorder, _ = bench()
    impostor = Stranger(cluster, "127.0.0.66")
    impostor.request(HERE, "htable", sender=NodeURI.parse("127.0.0.12"))
    impostor.settle()
    assert recorder.messages[0].node is None
    assert bus.counters.drops == {"sender_not_at_its_address": 1}


def test_a_channel_that_is_not_here_is_a_404() -> None:
    _, bus, _, other = bench()
    other.request(HERE, "nobody")
    other.settle()
    assert statuses(other) == [404] and bus.counters.drops == {"unknown_channel": 1}
    assert bus.counters.messages["unknown", "out", "404"] == 1


def test_a_kamailio_gets_no_body_but_that_of_the_node_list() -> None:
    """A 5.6.3 reads every body as a node list, and hangs."""
    cluster, bus, recorder, other = bench()
    recorder.reply = Reply(200, "Fine", b"sip:10.0.0.1;status=active\r\n")
    other.request(HERE, "htable")
    other.settle()
    assert [(answer.status, answer.reason, answer.body) for answer in other.responses] == [(200, "Fine", b"")]
    stranger = Stranger(cluster, "127.0.0.66")
    # It shows that it is there: so it may be sent more than came from it.
    stranger.answer = lambda request: (404, b"")
    stranger.request(HERE, "htable")
    stranger.settle()
    assert [answer.body for answer in stranger.responses] == [b""]
    other.request(HERE)
    other.settle()
    assert other.responses[-1].body.startswith(b"sip:127.0.0.11:5060;status=active")
    assert bus.counters.handler_errors["htable"] == 0


@pytest.mark.parametrize("supported", [("dmqcache-2",), ("dmqcache-1",), ()])
def test_programs_of_this_library_get_the_body_of_a_reply(supported: tuple[str, ...]) -> None:
    cluster = Cluster()
    recorder = Recorder("echo")
    recorder.reply = Reply(200, body=b"hello")
    cluster.add(HERE).register_peer(recorder)
    asker, answers = cluster.add("127.0.0.12", HERE, supported=supported), []
    peer = Peer("echo")
    asker.register_peer(peer)
    cluster.clock.run_until(cluster.meshed, 5)
    asker.send_message(peer, b"?", NodeURI.parse(HERE), on_response=answers.append)
    cluster.clock.run(1)
    assert [answer.body for answer in answers] == [b"hello"]


def test_a_peer_without_a_handler_says_202() -> None:
    _, bus, _, other = bench()
    bus.register_peer(Peer("silent"))
    other.request(HERE, "silent")
    other.settle()
    assert statuses(other) == [202]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"From: <sip:htable@127.0.0.12:5060>", b"From: <tel:123>", "bad_uri"),
        (b"From: <sip:htable@127.0.0.12:5060>", b"From: <<<", "bad_from"),
        (b"KDMQ sip:htable@127.0.0.11:5060 SIP", b"KDMQ http://x SIP", "bad_uri"),
        (b"From: <sip:htable@127.0.0.12:5060>", b"From: <sip:h@x;transport=ws>", "bad_uri"),
    ],
)
def test_what_cannot_be_read_but_answered_is_a_400(old: bytes, new: bytes, reason: str) -> None:
    _, bus, recorder, other = bench()
    data = other.request("127.0.0.99", "htable").replace(b"127.0.0.99", HERE.encode())
    assert old in data
    other.send(HERE, data.replace(old, new))
    other.settle()
    assert statuses(other) == [400] and not recorder.messages
    assert bus.counters.drops == {reason: 1}


def test_somebody_with_our_own_address_is_told_off() -> None:
    _, bus, recorder, other = bench()
    other.request(HERE, "htable", sender=NodeURI.parse(HERE))
    other.settle()
    assert statuses(other) == [403] and not recorder.messages
    assert bus.counters.drops == {"own_address_claimed": 1}


@pytest.mark.parametrize("key", [None, KeyPolicy(KeyRing((Key(b"k" * KEY_BYTES),)))])
def test_a_handler_is_told_whether_the_source_may_be_forged(key: KeyPolicy | None) -> None:
    cluster, recorder = Cluster(), Recorder("echo")
    cluster.add(HERE, key=key).register_peer(recorder)
    asker, peer = cluster.add("127.0.0.12", HERE, key=key), Peer("echo")
    asker.register_peer(peer)
    cluster.clock.run_until(cluster.meshed, 5)
    asker.send_message(peer, b"?", NodeURI.parse(HERE))
    cluster.clock.run(1)
    assert [message.forgeable for message in recorder.messages] == [key is None]


def test_over_a_connection_no_source_is_forged() -> None:
    _, bus, recorder, other = bench()
    data = other.request("127.0.0.99", "htable").replace(b"127.0.0.99", HERE.encode())
    bus._incoming.receive(data, other.endpoint._replace(transport="tcp"))
    assert [message.forgeable for message in recorder.messages] == [False]


def test_a_thousand_senders_and_channels_are_remembered_within_bounds() -> None:
    _, bus, _, other = bench()
    for number in range(10_000):
        other.request(HERE, f"c{number}", sender=NodeURI("127.0.0.12", 10_000 + number))
    other.settle()
    assert (
        len(bus._incoming._delivery._channels) <= CACHED_URIS
        and len(bus._incoming._delivery._senders) <= CACHED_URIS
    )
    assert {channel for channel, _, _ in bus.counters.messages} <= {
        "unknown",
        "notification_peer",
        "dmqcache_knock",
    }
    assert len(bus.nodes) < 300
