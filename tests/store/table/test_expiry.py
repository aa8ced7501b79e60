"""What is due is found in order and in bounded steps, and leaves the index when it moves."""

from __future__ import annotations

from dmqcache.store.table.cell import NEVER
from dmqcache.store.table.expiry import ExpiryIndex


def test_keys_are_due_when_their_second_is_wholly_over_the_oldest_first() -> None:
    index = ExpiryIndex()
    index.move("b", NEVER, 12.5)
    index.move("a", NEVER, 10.1)
    assert index.due(10.5, 10) == []
    assert index.due(11, 10) == ["a"]
    assert index.due(13, 10) == ["a", "b"]


def test_a_step_finds_no_more_than_it_may() -> None:
    index = ExpiryIndex()
    for number in range(10):
        index.move(str(number), NEVER, 1 + number // 5)
    assert index.due(100, 3) == ["0", "1", "2"]
    assert len(index.due(100, 7)) == 7
    assert index.due(100, 0) == []


def test_a_key_that_is_renewed_or_gone_is_not_due() -> None:
    index = ExpiryIndex()
    index.move("a", NEVER, 1)
    index.move("a", 1, 50)
    index.move("b", NEVER, 1)
    index.move("b", 1, NEVER)
    assert index.due(40, 10) == []
    assert index.due(50, 10) == ["a"]
    index.move("a", 50, NEVER)
    assert index.due(1e9, 10) == []


def test_a_million_renewals_leave_one_entry() -> None:
    index = ExpiryIndex()
    before = NEVER
    for number in range(1000):
        index.move("a", before, number + 0.5)
        before = number + 0.5
    assert index.due(1e9, 10) == ["a"]
    assert index.due(999, 10) == []


def test_a_move_within_a_second_costs_nothing_and_one_of_a_stranger_is_no_error() -> None:
    index = ExpiryIndex()
    index.move("a", NEVER, 1.2)
    index.move("a", 1.2, 1.9)
    assert index.due(2, 10) == ["a"]
    index.move("none", 7.5, NEVER)


def test_a_summary_counts_and_averages() -> None:
    index = ExpiryIndex()
    assert index.about(0.0) == (0, 0.0)
    for number in range(4):
        index.move(f"k{number}", NEVER, 100.0 + 10 * number)
    index.move("gone", NEVER, 500.0)
    index.move("gone", 500.0, NEVER)
    assert index.about(100.0) == (4, 15.0)


def test_a_summary_of_very_many_seconds_looks_at_some() -> None:
    index = ExpiryIndex()
    for number in range(25_000):
        index.move(f"k{number}", NEVER, float(number))
    count, left = index.about(0.0)
    assert abs(count - 25_000) < 10
    assert abs(left - 12_500) < 10


def test_its_memory_is_given_back_some_keys_at_a_time() -> None:
    index = ExpiryIndex()
    for number in range(25):
        index.move(f"a{number}", NEVER, 7.0)
        index.move(f"b{number}", NEVER, float(number))
    assert 4 <= len(list(index.emptied(10))) <= 5
    assert index.due(1e9, 100) == []


def test_samples_and_the_soonest() -> None:
    index = ExpiryIndex()
    assert index.sample(0.5) is None and list(index.soonest()) == []
    for number in range(10):
        index.move(f"k{number}", NEVER, 20.0 - number // 2)
    assert {index.sample(number / 100) for number in range(100)} == {f"k{number}" for number in range(10)}
    assert set(list(index.soonest())[:2]) == {"k8", "k9"}
