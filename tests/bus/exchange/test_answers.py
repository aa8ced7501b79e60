"""What a request is answered: by a handler, again, and where to."""

from __future__ import annotations

from typing import Any

import pytest

from dmqcache.bus.bus import Bus
from dmqcache.bus.exchange.dispatch import QUEUE_LIMIT, STRANGER_QUEUE_LIMIT
from dmqcache.bus.node import OWN_TAG
from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.one_node import HERE, Recorder, bench, statuses
from tests.bus.virtual import Cluster, Stranger, kamailio


def bench_of_ours() -> tuple[Cluster, Bus, Recorder, Stranger]:
    """With a sender that takes the body of a reply for what it is, unlike a Kamailio."""
    cluster, bus, recorder, other = bench()
    bus.active_nodes()[0].supported = frozenset({OWN_TAG})
    return cluster, bus, recorder, other


def test_the_reply_copies_the_request_and_carries_what_the_handler_gave() -> None:
    _, _, recorder, other = bench_of_ours()
    recorder.reply = Reply(404, "Not Here", b"why", "text/x")
    other.request(HERE, "htable", call_id="abc@def")
    other.settle()
    (response,) = other.responses
    assert (response.status, response.reason, response.body) == (404, "Not Here", b"why")
    assert response.content_type == "text/x" and response.call_id == "abc@def" and response.to.tag
    assert response.supported == {"dmqcache-2"} and response.user_agent == "dmqcache"


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
    cluster, _, recorder, other = bench_of_ours()
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
    cluster, bus, _, other = bench(connected=lambda endpoint: False)
    data = other.request("127.0.0.99", "htable").replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
    before = len(cluster.net.log)
    bus.receive(data, Endpoint("tcp", "127.0.0.12", 43210))
    (sent,) = cluster.net.log[before:]
    assert sent[2] == Endpoint("tcp", "127.0.0.12", 5060)


def test_a_request_that_was_turned_away_is_handled_when_it_comes_again() -> None:
    _, _, recorder, other = bench()
    recorder.slow = True
    for _ in range(1 + QUEUE_LIMIT):
        other.request(HERE, "htable", b"waits")
    data = other.request(HERE, "htable", b"one too many")
    other.settle()
    assert statuses(other) == [503]
    recorder.slow = False
    recorder.gates[0].open()
    other.settle()
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [503] + [200] * (QUEUE_LIMIT + 2)
    assert [message.body for message in recorder.messages][-2:] == [b"waits", b"one too many"]


def test_nobody_fills_the_queue_of_a_node_in_its_name() -> None:
    cluster, bus, recorder, other = bench()
    recorder.slow = True
    impostor = Stranger(cluster, "127.0.0.66")
    for _ in range(100):
        impostor.request(HERE, "htable", b"false", sender=other.uri)
    for _ in range(1 + QUEUE_LIMIT):
        other.request(HERE, "htable", b"true")
    cluster.clock.run(0.1)
    assert bus.counters.drops["queue_full"] == 100 - 1 - STRANGER_QUEUE_LIMIT
    assert [message.body for message in recorder.messages] == [b"false", b"true"] and not other.responses


def test_a_503_of_a_handler_is_an_answer_like_any_other() -> None:
    """It may have done something before: it must not run twice for one request."""
    _, _, recorder, other = bench()
    recorder.reply = Reply(503)
    data = other.request(HERE, "htable")
    other.settle()
    recorder.reply = Reply(200)
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [503, 503] and len(recorder.messages) == 1


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("wrong", [{"body": "text"}, {"reason": 5}, {"status": 200.5}, {"status": "200"}])
def test_a_reply_of_which_no_message_can_be_made_is_a_500(slow: bool, wrong: dict[str, Any]) -> None:
    _, bus, recorder, other = bench_of_ours()
    recorder.slow, recorder.reply = slow, Reply(**wrong)
    data = other.request(HERE, "htable")
    other.settle()
    if slow:
        recorder.gates[0].open()
        other.settle()
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [500, 500] and len(recorder.messages) == 1
    assert +bus.counters.handler_errors == {"htable": 1}
    recorder.slow, recorder.reply = False, Reply(200)
    other.request(HERE, "htable")
    other.settle()
    assert statuses(other)[2:] == [200]


def test_a_reply_that_no_datagram_can_carry_is_a_513() -> None:
    _, bus, recorder, other = bench_of_ours()
    recorder.reply = Reply(200, body=b"x" * 70_000)
    data = other.request(HERE, "htable")
    other.settle()
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [513, 513] and len(recorder.messages) == 1
    assert bus.counters.drops == {"reply_too_large": 1}


def test_a_handler_may_keep_silent_and_then_gets_the_copy_too() -> None:
    _, bus, recorder, other = bench()
    recorder.reply = Reply(SILENCE)
    data = other.request(HERE, "htable")
    other.settle()
    assert not other.responses and bus.counters.messages["htable", "out", "none"] == 1
    recorder.reply = Reply(200)
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [200] and len(recorder.messages) == 2


def test_a_handler_that_raises_is_a_500() -> None:
    _, bus, recorder, other = bench()
    recorder.reply = None  # type: ignore[assignment]
    other.request(HERE, "htable")
    other.settle()
    assert statuses(other) == [500] and +bus.counters.handler_errors == {"htable": 1}
