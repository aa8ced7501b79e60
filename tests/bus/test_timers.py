"""When a message is sent again, and what measured round trips make of that."""

from __future__ import annotations

import pytest

from dmqcache.bus.timers import RTO_FLOOR, RoundTrip, fast_pause, rfc_pause
from dmqcache.defaults import T1, T2


def test_rfc_pauses_double_from_t1_up_to_t2() -> None:
    assert [rfc_pause(sends, T1, T2) for sends in range(1, 8)] == [0.5, 1, 2, 4, 4, 4, 4]


def test_rfc_pauses_of_a_request_repeated_for_ever_stay_at_t2() -> None:
    assert rfc_pause(10_000, T1, T2) == T2


def test_fast_pauses_grow_slowly_at_first_then_double_up_to_t2() -> None:
    pauses = [fast_pause(sends, 0.016, T2) for sends in range(1, 8)]
    assert pauses[:4] == pytest.approx([0.016, 0.02, 0.025, 0.03125])
    assert pauses[4:] == pytest.approx([0.0625, 0.125, 0.25])
    assert fast_pause(10_000, 0.016, T2) == T2


def test_with_a_fifth_lost_on_each_way_99_of_100_requests_arrive_within_100_ms() -> None:
    """The figure of the issue, by arithmetic: 0.2 ** sends is the chance that none has arrived."""
    passed, sends = 0.0, 1
    while 0.2**sends > 0.01:
        passed += fast_pause(sends, RTO_FLOOR, T2)
        sends += 1
    assert passed < 0.1
    # Even an exchange in both directions (0.36 is the chance that one try fails):
    passed, sends = 0.0, 1
    while 0.36**sends > 0.01:
        passed += fast_pause(sends, RTO_FLOOR, T2)
        sends += 1
    assert passed < 0.1


def test_a_strangers_round_trip_is_t1() -> None:
    assert RoundTrip().rto() == T1


def test_the_timeout_follows_mean_and_deviation() -> None:
    way = RoundTrip()
    way.sample(0.1)
    assert way.srtt == 0.1
    assert way.rto() == pytest.approx(0.1 + 4 * 0.05)
    for _ in range(100):
        way.sample(0.1)
    assert way.rto() == pytest.approx(0.1, rel=0.01)
    way.sample(0.3)
    assert way.rto() == pytest.approx(0.125 + 4 * 0.05, rel=0.02)


def test_the_timeout_has_a_floor_and_a_ceiling() -> None:
    way = RoundTrip()
    for _ in range(100):
        way.sample(0.0001)
    assert way.rto() == RTO_FLOOR
    for _ in range(100):
        way.sample(9.0)
    assert way.rto() == T1


def test_a_node_that_stood_still_is_soon_asked_as_quickly_as_before() -> None:
    way = RoundTrip()
    for _ in range(50):
        way.sample(0.001)
    way.sample(17.0)
    for _ in range(20):
        way.sample(0.001)
    assert way.rto() < 0.05
