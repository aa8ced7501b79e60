"""A number counts once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmqcache.bus.trust.window import WINDOW, Window


@given(st.lists(st.integers(0, 3 * WINDOW)))
def test_no_number_counts_twice_and_near_ones_count_once(numbers: list[int]) -> None:
    window, used, newest = Window(), set(), -1
    for number in numbers:
        fresh = number not in used and number > newest - WINDOW
        assert window.take(number) == fresh
        used.add(number)
        newest = max(newest, number)


def test_one_that_is_far_behind_counts_never() -> None:
    window = Window()
    assert window.take(WINDOW)
    assert not window.take(0)
    assert window.take(1)
    assert not window.take(1)


def test_a_long_jump_forgets_what_lies_behind() -> None:
    window = Window()
    assert window.take(5)
    assert window.take(10**12)
    assert not window.take(5)
    assert window.take(10**12 - 1)


def test_a_number_that_is_given_back_counts_once_more() -> None:
    window = Window()
    assert window.take(5) and window.take(6)
    window.give_back(5)
    window.give_back(5 - WINDOW)
    window.give_back(7)
    assert window.take(5) and not window.take(5) and not window.take(6)


@given(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, -1, -3, 70, -70]), st.booleans()), max_size=200))
def test_rows_with_gaps_copies_and_what_is_given_back(steps: list[tuple[int, bool]]) -> None:
    window, used, number = Window(), set[int](), 100
    for step, handled in steps:
        number = max(0, number + step)
        assert window.take(number) == (number not in used)
        used.add(number)
        if not handled:
            window.give_back(number)
            used.discard(number)


def test_a_long_row_forgets_what_lies_behind() -> None:
    window = Window()
    assert all(window.take(number) for number in range(1, 3 * WINDOW) if number != 2 * WINDOW)
    assert window.take(2 * WINDOW) and not window.take(2 * WINDOW)
    assert not window.take(0) and not window.take(2 * WINDOW + 1)
