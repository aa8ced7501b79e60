"""So many questions a second, and so many in advance."""

from __future__ import annotations

from dmqcache.bus.nodes.budget import BURST, RATE, Budget


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(budget: Budget, leave: float = 0.0) -> int:
    count = 0
    while budget.take(leave):
        count += 1
    return count


def test_after_a_quiet_time_there_is_a_reserve_and_then_two_a_second() -> None:
    time = Time()
    budget = Budget(time)
    assert budget.full and taken(budget) == BURST and not budget.full
    for _ in range(100):
        time.now += 0.25
        taken(budget)
    # In 25 s.
    time.now += 10
    assert taken(budget) == 10 * RATE
    time.now += 1000
    assert taken(budget) == BURST


def test_whoever_leaves_something_to_others_gets_less() -> None:
    time = Time()
    budget = Budget(time, rate=1.0, burst=10.0)
    assert taken(budget, leave=4) == 6
    assert taken(budget) == 4


def test_what_must_be_asked_in_any_case_is_paid_later() -> None:
    time = Time()
    budget = Budget(time, rate=1.0, burst=2.0)
    for _ in range(5):
        budget.owe()
    time.now += 3
    assert not budget.take()
    time.now += 1
    assert budget.take() and not budget.take()


def test_the_wait_is_long_enough_and_never_nothing() -> None:
    time = Time()
    budget = Budget(time, rate=3.0, burst=7.0)
    for leave in (0.0, 2.0, 5.5):
        taken(budget)
        wait = budget.wait(leave)
        time.now += wait
        # Sums of small shares may fall short of it by a hair; then it is a moment longer, and not for ever.
        tries = 0
        while not budget.take(leave):
            time.now += budget.wait(leave)
            tries += 1
        assert tries <= 1
    assert budget.wait() > 0
