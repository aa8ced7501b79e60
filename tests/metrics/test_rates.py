"""Rates of the last minute: what they compare, from when on there are any, and how little they keep."""

from __future__ import annotations

import pytest

from dmqcache.metrics.rates import STEP_S, WINDOW_S, Rates
from tests.server.served import ServedNode


def test_growth_by_the_second() -> None:
    node = ServedNode()
    rates = Rates(node)
    rates.look(100.0)
    users = node.tables["users"]
    for i in range(30):
        users.set(f"k{i}", "x")
        users.get("k0")
    node.bus.counters.messages["htable", "in", "200"] += 60
    rates.look(110.0)
    assert rates.per_second("writes") == rates.per_second("writes users") == 3.0
    assert rates.per_second("reads users") == 3.0
    assert rates.per_second("reads plain") == 0.0
    assert (rates.per_second("in"), rates.per_second("out")) == (6.0, 0.0)


def test_none_before_there_is_something_to_compare_with() -> None:
    rates = Rates(ServedNode())
    assert rates.per_second("reads") is None
    rates.look(0.0)
    assert rates.per_second("reads") is None
    rates.look(STEP_S / 2)
    assert rates.per_second("reads") is None
    rates.look(STEP_S)
    assert rates.per_second("reads") == 0.0


def test_only_the_last_minute_counts_however_often_somebody_looks() -> None:
    node = ServedNode()
    rates = Rates(node)
    for tenth in range(10 * int(3 * WINDOW_S)):
        rates.look(tenth / 10)
        if tenth < 10 * WINDOW_S:
            node.bus.counters.messages["htable", "out", "request"] += 1
    assert rates.per_second("out") == 0.0
    assert len(rates._kept) <= WINDOW_S / STEP_S + 1


def test_after_a_long_time_without_a_look_the_old_is_not_compared_with() -> None:
    rates = Rates(ServedNode())
    rates.look(0.0)
    rates.look(3600.0)
    assert rates.per_second("reads") is None


def test_delays_are_those_since_the_first_snapshot() -> None:
    node = ServedNode()
    node.counters.delay.observe(30.0, times=1000)
    rates = Rates(node)
    assert rates.delays().count == 0
    rates.look(0.0)
    node.counters.delay.observe(0.0008, times=7)
    rates.look(5.0)
    delays = rates.delays()
    assert (delays.count, delays.bounds) == (7, node.counters.delay.bounds)
    assert delays.counts[1] == 7


@pytest.mark.parametrize("name", ["reads nobody", "anything"])
def test_an_unknown_name_stands_still(name: str) -> None:
    rates = Rates(ServedNode())
    rates.look(0.0)
    rates.look(10.0)
    assert rates.per_second(name) == 0.0
