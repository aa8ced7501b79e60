"""What the handler of a request may answer, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from dmqcache.bus.exchange.dispatch import STRANGER_LANE_LIMIT
from dmqcache.bus.peer import SILENCE, Reply
from tests.bus.test_incoming import HERE, bench, statuses
from tests.bus.virtual import Stranger


def test_a_request_that_was_turned_away_is_handled_when_it_comes_again() -> None:
    _, bus, recorder, other = bench()
    recorder.slow = True
    bus._dispatcher._lane_limit = 0
    other.request(HERE, "htable", b"first")
    data = other.request(HERE, "htable", b"second")
    other.settle()
    assert statuses(other) == [503]
    recorder.gates[0].open()
    other.settle()
    recorder.slow = False
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [503, 200, 200]
    assert [message.body for message in recorder.messages] == [b"first", b"second"]


def test_nobody_fills_the_lane_of_a_node_in_its_name() -> None:
    cluster, bus, recorder, other = bench()
    recorder.slow = True
    impostor = Stranger(cluster, "127.0.0.66")
    for _ in range(100):
        impostor.request(HERE, "htable", b"false", sender=other.uri)
    bus._dispatcher._lane_limit = 50
    for _ in range(50):
        other.request(HERE, "htable", b"true")
    cluster.clock.run(0.1)
    assert bus.counters.drops["queue_full"] == 100 - 1 - STRANGER_LANE_LIMIT
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
    _, bus, recorder, other = bench()
    recorder.slow, recorder.reply = slow, Reply(**wrong)
    data = other.request(HERE, "htable")
    other.settle()
    if slow:
        recorder.gates[0].open()
        other.settle()
    other.send(HERE, data)
    other.settle()
    assert statuses(other) == [500, 500] and len(recorder.messages) == 1
    assert bus.counters.handler_errors == {"htable": 1}
    recorder.slow, recorder.reply = False, Reply(200)
    other.request(HERE, "htable")
    other.settle()
    assert statuses(other)[2:] == [200]


def test_a_reply_that_no_datagram_can_carry_is_a_513() -> None:
    _, bus, recorder, other = bench()
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
    assert statuses(other) == [500] and bus.counters.handler_errors == {"htable": 1}
