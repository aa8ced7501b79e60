"""A time to live that came before its set is not lost, and no other set gets it."""

from __future__ import annotations

import pytest

from dmqcache.store.early import KEPT_S, MAX_TIMES, EarlyTimes
from tests.store.fixtures import make_arrivals


def test_a_set_that_comes_after_its_time_gets_what_is_left_of_it() -> None:
    one, hands = make_arrivals("t=>autoexpire=3600")
    assert not one.arrive_expire("a", 5, "k")
    hands.seconds += 0.5
    one.arrive_set("a", "x", None, "k")
    assert one.table.ttl("a") == 4.5
    one.arrive_set("a", "y", None, "k")
    assert one.table.ttl("a") == 3600


def test_another_nodes_set_or_a_later_one_does_not_get_it() -> None:
    one, hands = make_arrivals("t=>autoexpire=3600")
    one.arrive_expire("a", 50, "k")
    one.arrive_set("a", "x", None, "other")
    assert one.table.ttl("a") == 3600
    one.arrive_expire("b", 50, "k")
    hands.seconds += KEPT_S + 0.1
    one.arrive_set("b", "x", None, "k")
    assert one.table.ttl("b") == pytest.approx(3600)


def test_a_time_of_a_key_that_is_there_is_not_kept_for_the_next_set() -> None:
    one, _ = make_arrivals("t=>autoexpire=3600")
    one.arrive_set("a", "x", None, "k")
    one.arrive_expire("a", 5, "k")
    one.arrive_set("a", "y", None, "k")
    assert one.table.ttl("a") == 3600


def test_only_so_many_are_remembered() -> None:
    early = EarlyTimes()
    for number in range(MAX_TIMES + 1):
        early.remember(f"k{number}", "k", 5, 1.0)
    assert early.take("k0", "k", 1.0) is None
    assert early.take("k1", "k", 1.0) == 5
