"""Which requests that are over may still be answered, and for how long."""

from __future__ import annotations

from dmqcache.bus.exchange.late_answers import KEPT_S, MAX_KEPT, LateAnswers
from dmqcache.bus.sip.uri import Endpoint

THERE = Endpoint("udp", "127.0.0.12", 5060)


def nothing() -> None:
    pass


def test_an_answer_is_expected_for_as_long_as_a_request_waits_for_its_own() -> None:
    now = [100.0]
    late = LateAnswers(lambda: now[0])
    late.expect("a", THERE, None, nothing)
    now[0] += KEPT_S - 0.1
    over = late.find("a")
    assert over is not None and (over.endpoint, over.on_late) == (THERE, nothing)
    assert late.find("b") is None
    now[0] += 0.2
    assert late.find("a") is None


def test_what_is_remembered_is_bounded_in_time_and_number() -> None:
    now = [100.0]
    late = LateAnswers(lambda: now[0])
    for number in range(MAX_KEPT + 5):
        late.expect(str(number), THERE, None, nothing)
    assert len(late) == MAX_KEPT and late.find("4") is None and late.find("5") is not None
    now[0] += KEPT_S
    late.expect("new", THERE, None, nothing)
    assert len(late) == 1
