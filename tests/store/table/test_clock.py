"""One wrong clock among right ones does not win; a node whose own clock is wrong follows the others."""

from __future__ import annotations

from dmqcache.store.table.clock import TOLERANCE_MS, Clock
from tests.store.fixtures import Hands


def make() -> tuple[Clock, Hands]:
    hands = Hands()
    return Clock(hands.now, hands.wall_ms), hands


def test_clocks_that_agree_well_enough_change_nothing() -> None:
    clock, hands = make()
    for node, ahead in (("a", TOLERANCE_MS), ("b", -TOLERANCE_MS), ("c", 5)):
        assert not clock.heard(node, hands.wall_ms() + ahead)
    assert clock.wall_ms() == clock.raw_ms() == hands.wall_ms()


def test_one_node_far_off_is_outvoted() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms())
    assert not clock.heard("b", hands.wall_ms() + 10**10)
    assert clock.correction == 0


def test_a_node_that_is_off_itself_follows_the_median_until_it_is_mended() -> None:
    clock, hands = make()
    hands.jump_ms = 3_600_000
    right = hands.wall_ms() - 3_600_000
    clock.heard("a", right)
    assert clock.heard("b", right + 7)
    assert abs(clock.wall_ms() - right) <= 10
    assert clock.raw_ms() == hands.wall_ms()
    hands.jump_ms = 0
    clock.heard("a", right)
    clock.heard("b", right)
    assert clock.correction == 0


def test_small_changes_of_the_median_do_not_move_the_clock_again() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms() + 100_000)
    assert clock.heard("b", hands.wall_ms() + 100_000)
    before = clock.correction
    assert not clock.heard("b", hands.wall_ms() + 101_000)
    assert clock.correction == before


def test_a_node_that_is_gone_counts_no_more() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms() + 100_000)
    clock.heard("b", hands.wall_ms() + 100_000)
    assert clock.correction
    clock.forget("a")
    clock.forget("b")
    clock.forget("never there")
    assert clock.correction == 0
    assert clock.wall_ms() == hands.wall_ms()


def test_a_jump_of_the_wall_clock_is_none_of_the_monotonic_one() -> None:
    clock, hands = make()
    before = clock.now()
    hands.jump_ms = -(10**9)
    assert clock.now() == before
