"""What becomes of each message that arrives, seen from the wire."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from dmqcache.bus.bus import Bus
from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.peer import Message, Peer, Reply
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.virtual import Cluster, Gate, Stranger, kamailio

HERE = "127.0.0.11"


class Recorder(Peer):
    """Keeps what it is given and answers as it is told."""

    def __init__(self, channel: str = "htable") -> None:
        super().__init__(channel)
        self.messages: list[Message] = []
        self.reply = Reply(200)
        self.gates: list[Gate] = []
        self.slow = False

    def handle(self, message: Message) -> Reply | Awaitable[Reply]:
        self.messages.append(message)
        return self._later() if self.slow else self.reply

    async def _later(self) -> Reply:
        gate = Gate()
        self.gates.append(gate)
        await gate
        return self.reply


def bench(*, known: bool = True) -> tuple[Cluster, Bus, Recorder, Stranger]:
    """One bus with a peer, and a Kamailio at .12 that it holds active (or has never heard of)."""
    cluster = Cluster()
    other = kamailio(cluster, "127.0.0.12")
    bus = cluster.add(HERE, *(["127.0.0.12"] if known else []), probe_interval=1000.0)
    recorder = Recorder()
    bus.register_peer(recorder)
    cluster.clock.run(0.1)
    assert len(bus.active_nodes()) == (1 if known else 0)
    other.requests.clear()
    other.responses.clear()
    return cluster, bus, recorder, other


def statuses(other: Stranger) -> list[int]:
    return [response.status for response in other.responses]


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


def test_the_reply_copies_the_request_and_carries_what_the_handler_gave() -> None:
    _, _, recorder, other = bench()
    recorder.reply = Reply(404, "Not Here", b"why", "text/x")
    other.request(HERE, "htable", call_id="abc@def")
    other.settle()
    (response,) = other.responses
    assert (response.status, response.reason, response.body) == (404, "Not Here", b"why")
    assert response.content_type == "text/x" and response.call_id == "abc@def" and response.to.tag
    assert response.supported == {"dmqcache-1"} and response.user_agent == "dmqcache"


def test_a_sender_that_is_not_at_its_own_address_is_nobody() -> None:
    cluster, bus, recorder, _ = bench()
    impostor = Stranger(cluster, "127.0.0.66")
    impostor.request(HERE, "htable", sender=NodeURI.parse("127.0.0.12"))
    impostor.settle()
    assert recorder.messages[0].node is None
    assert bus.counters.drops == {"sender_not_at_its_address": 1}


def test_a_repeated_request_is_answered_again_and_handled_once() -> None:
    cluster, bus, recorder, other = bench()
    data = other.request(HERE, "htable")
    other.settle()
    for _ in range(3):
        other.send(HERE, data)
        other.settle()
    assert len(recorder.messages) == 1 and statuses(other) == [200] * 4
    assert len({response.to.tag for response in other.responses}) == 1
    assert bus.counters.retransmissions["in"] == 3
    cluster.clock.run(31.0)
    other.send(HERE, data)
    other.settle()
    assert len(recorder.messages) == 1 and len(other.responses) == 5


def test_a_reply_with_a_body_is_replayed_to_the_byte() -> None:
    cluster, _, recorder, other = bench()
    recorder.reply = Reply(500, "Broken", b"body")
    data = other.request(HERE, "htable")
    other.settle()
    recorder.reply = Reply(200)
    other.send(HERE, data)
    other.settle()
    sent = [data for _, source, _, data in cluster.net.log if source.host == HERE and b"500 Broken" in data]
    assert len(sent) == 2 and sent[0] == sent[1]


def test_a_request_that_comes_again_while_the_handler_runs_is_swallowed() -> None:
    _, bus, recorder, other = bench()
    recorder.slow = True
    data = other.request(HERE, "htable")
    other.settle()
    other.send(HERE, data)
    other.settle()
    assert len(recorder.messages) == 1 and not other.responses
    assert bus.counters.retransmissions["in"] == 1
    recorder.gates[0].open()
    other.settle()
    assert statuses(other) == [200]
    other.send(HERE, data)
    other.settle()
    assert len(recorder.messages) == 1 and statuses(other) == [200, 200]


def test_kamailios_short_branches_do_not_collide() -> None:
    """Stateless Kamailios number their messages: the same branch comes again with another Call-ID."""
    cluster, _, recorder, other = bench()
    second = kamailio(cluster, "127.0.0.13")
    other.request(HERE, "htable", b"1", branch="z9hG4bK0001", call_id="1", tag="1")
    other.request(HERE, "htable", b"2", branch="z9hG4bK0001", call_id="2", tag="1")
    other.request(HERE, "htable", b"3", branch="z9hG4bK0001", call_id="1", tag="2")
    second.request(HERE, "htable", b"4", branch="z9hG4bK0001", call_id="1", tag="1")
    other.settle()
    assert sorted(message.body for message in recorder.messages) == [b"1", b"2", b"3", b"4"]


def test_a_channel_that_is_not_here_is_a_404() -> None:
    _, bus, _, other = bench()
    other.request(HERE, "nobody")
    other.settle()
    assert statuses(other) == [404] and bus.counters.drops == {"unknown_channel": 1}
    assert bus.counters.messages["unknown", "out", "404"] == 1


def test_a_peer_without_a_handler_says_202() -> None:
    _, bus, _, other = bench()
    bus.register_peer(Peer("silent"))
    other.request(HERE, "silent")
    other.settle()
    assert statuses(other) == [202]


@pytest.mark.parametrize(("method", "status"), [("INVITE", 405), ("MESSAGE", 405), ("OPTIONS", 200)])
def test_other_methods(method: str, status: int) -> None:
    _, _, recorder, other = bench()
    other.request(HERE, "htable", method=method)
    other.settle()
    assert statuses(other) == [status]
    assert other.responses[0].headers.get("allow") == "KDMQ, OPTIONS"
    assert not recorder.messages


def test_an_ack_gets_nothing() -> None:
    _, bus, _, other = bench()
    other.request(HERE, "htable", method="ACK")
    other.settle()
    assert not other.responses and bus.counters.drops == {"ack": 1}


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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "keep_alive"),
        (b"\r\n\r\n", "keep_alive"),
        (b"GET / HTTP/1.1\r\n\r\n", "not_sip"),
        (b"\x80\x00\x01" * 100, "not_sip"),
        (b"KDMQ sip:x@y SIP/2.0\r\n\r\n", "missing_header"),
    ],
)
def test_what_is_no_sip_is_dropped_and_counted(data: bytes, reason: str) -> None:
    _, bus, _, other = bench()
    other.send(HERE, data)
    other.settle()
    assert not other.responses and bus.counters.drops == {reason: 1}


def test_a_truncated_body_is_a_400() -> None:
    _, bus, recorder, other = bench()
    data = other.request("127.0.0.99", "htable", b"0123456789").replace(b"127.0.0.99", HERE.encode())
    other.send(HERE, data[:-1])
    other.send(HERE, data[:-1].replace(b"KDMQ", b"ACK"))
    other.send(HERE, data[:-1].replace(b"UDP 127", b"UDP @@ 127"))
    other.settle()
    assert statuses(other) == [400] and not recorder.messages
    assert bus.counters.drops == {"truncated_body": 3}


def test_a_broken_via_is_dropped() -> None:
    _, bus, recorder, other = bench()
    data = other.request("127.0.0.99", "htable").replace(b"Via: SIP/2.0/UDP 127", b"Via: SIP/2.0/UDP @@ 127")
    other.send(HERE, data)
    other.settle()
    assert bus.counters.drops == {"bad_via": 1} and not recorder.messages


def test_a_failure_of_our_own_never_reaches_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bus, _, other = bench()
    monkeypatch.setattr(Contacts, "sender", lambda *args: 1 / 0)
    other.request(HERE, "htable")
    other.settle()
    assert bus.counters.drops == {"internal_error": 1}


def test_a_node_that_sends_our_request_back_is_not_taken_for_ourselves() -> None:
    """It has answered us before, and we never answer ourselves."""
    cluster, bus, recorder, other = bench()
    other.answer = lambda request: None
    ended: list[int] = []
    bus.send_message(
        recorder, b"", other.uri, timeout=2.0, on_response=lambda answer: ended.append(answer.status)
    )
    cluster.clock.run(0.01)
    sent = [data for _, source, to, data in cluster.net.log if to == other.endpoint][-1]
    other.send(HERE, sent)
    other.settle()
    assert bus.counters.drops == {"own_message": 1}
    assert len(bus.active_nodes()) == 1 and not ended


def test_somebody_with_our_own_address_is_told_off() -> None:
    _, bus, recorder, other = bench()
    other.request(HERE, "htable", sender=NodeURI.parse(HERE))
    other.settle()
    assert statuses(other) == [403] and not recorder.messages
    assert bus.counters.drops == {"own_address_claimed": 1}


def test_the_reply_goes_to_the_port_in_via_or_where_rport_asks_for() -> None:
    cluster, _, _, other = bench()
    data = other.request("127.0.0.99", "htable")
    nat = Stranger(cluster, "127.0.0.12", 40000)
    cluster.net.send(data, nat.endpoint, Endpoint("udp", HERE, 5060))
    nat.settle()
    assert statuses(other) == [200] and not nat.responses
    with_rport = data.replace(b";branch=z9", b";rport;branch=z9x")
    cluster.net.send(with_rport, nat.endpoint, Endpoint("udp", HERE, 5060))
    nat.settle()
    assert statuses(nat) == [200]
    assert nat.responses[0].via.params["rport"] == "40000"


def test_over_a_connection_the_reply_goes_back_on_it_and_nothing_is_remembered() -> None:
    cluster, bus, _, other = bench()
    data = other.request("127.0.0.99", "htable").replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
    source = Endpoint("tcp", "127.0.0.12", 43210)
    replies: list[bytes] = []
    cluster.net.receivers[source] = lambda data, _: replies.append(data)
    before = len(bus._replays)
    bus.receive(data, source)
    cluster.clock.run(0.1)
    assert len(replies) == 1 and replies[0].startswith(b"SIP/2.0 200") and len(bus._replays) == before


def test_a_reply_does_not_follow_a_connection_that_is_gone() -> None:
    cluster, bus, _, other = bench()
    bus._incoming._connected = lambda endpoint: False
    data = other.request("127.0.0.99", "htable").replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
    before = len(cluster.net.log)
    bus.receive(data, Endpoint("tcp", "127.0.0.12", 43210))
    (sent,) = cluster.net.log[before:]
    assert sent[2] == Endpoint("tcp", "127.0.0.12", 5060)


def test_a_thousand_senders_and_channels_are_remembered_within_bounds() -> None:
    _, bus, _, other = bench()
    for number in range(10_000):
        other.request(HERE, f"c{number}", sender=NodeURI("127.0.0.12", 10_000 + number))
    other.settle()
    assert len(bus._incoming._channels) <= 4096 and len(bus._incoming._senders) <= 4096
    assert {channel for channel, _, _ in bus.counters.messages} <= {"unknown", "notification_peer"}
    assert len(bus.nodes) < 300
