"""The plain numbers: a value at a bound belongs below it, and a batch counts as often as it has changes."""

from __future__ import annotations

import pytest

from dmqcache.store.table.store_counters import DELAY_BOUNDS_S, Histogram, StoreCounters


@pytest.mark.parametrize(
    ("value", "counts"),
    [(0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1.001, [0, 1, 0]), (2.0, [0, 1, 0]), (2.5, [0, 0, 1])],
)
def test_bounds_are_inclusive_as_in_prometheus(value: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(value)
    assert histogram.counts == counts
    assert histogram.sum == value


def test_a_batch_counts_each_change() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(1.5, times=3)
    assert (histogram.counts, histogram.sum, histogram.count) == ([0, 3, 0], 4.5, 3)


def test_the_bounds_rise() -> None:
    assert list(DELAY_BOUNDS_S) == sorted(set(DELAY_BOUNDS_S))


def test_two_stores_share_nothing() -> None:
    one, other = StoreCounters(), StoreCounters()
    one.changes["users", "local"] += 1
    one.delay.observe(1.0)
    assert not other.changes
    assert other.delay.count == 0
