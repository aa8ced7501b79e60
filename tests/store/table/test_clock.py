"""One wrong clock among right ones does not win, and a node whose own clock is wrong follows the others."""

from __future__ import annotations

from dmqcache.store.table.clock import (
    COUNTER_BITS,
    MAX_AHEAD_MS,
    MAX_ROUND_TRIP_S,
    TOLERANCE_MS,
    Clock,
    ms_of,
    version_at,
)
from tests.store.fixtures import Hands

HOUR_MS = 3_600_000


def make() -> tuple[Clock, Hands]:
    hands = Hands()
    return Clock(hands.now, hands.wall_ms), hands


def test_clocks_that_agree_well_enough_change_nothing() -> None:
    clock, hands = make()
    for node, ahead in (("a", TOLERANCE_MS), ("b", -TOLERANCE_MS), ("c", 5)):
        clock.heard(node, hands.wall_ms() + ahead, 0)
    assert clock.wall_ms() == clock.raw_ms() == hands.wall_ms()


def test_one_node_far_off_is_outvoted() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms(), 0)
    clock.heard("b", hands.wall_ms() + 10**10, 0)
    assert clock.correction == 0


def test_a_node_that_is_off_itself_follows_the_median_until_it_is_mended() -> None:
    clock, hands = make()
    hands.jump_ms = HOUR_MS
    right = hands.wall_ms() - HOUR_MS
    clock.heard("a", right, 0)
    clock.heard("b", right + 7, 0)
    assert abs(clock.wall_ms() - right) <= 10
    assert clock.raw_ms() == hands.wall_ms()
    hands.jump_ms = 0
    clock.correct()
    assert clock.correction == 0


def test_a_node_whose_clock_is_set_wrong_while_it_knows_the_others_notices_by_itself() -> None:
    clock, hands = make()
    for node in ("a", "b"):
        clock.heard(node, hands.wall_ms(), 0)
    before = clock.wall_ms()
    for jump in (HOUR_MS, -HOUR_MS, 0):
        hands.jump_ms = jump
        hands.seconds += 1
        before += 1000
        clock.correct()
        assert abs(clock.wall_ms() - before) <= 1


def test_that_a_clock_was_set_is_told_once() -> None:
    clock, hands = make()
    for jump, told in ((0, False), (TOLERANCE_MS, False), (HOUR_MS, True), (HOUR_MS, False), (0, True)):
        hands.jump_ms = jump
        hands.seconds += 100
        assert clock.was_set() is told


def test_of_two_clocks_the_one_that_is_behind_follows() -> None:
    for ahead, correction in ((HOUR_MS, HOUR_MS), (-HOUR_MS, 0)):
        clock, hands = make()
        clock.heard("a", hands.wall_ms() + ahead, 0)
        assert clock.correction == correction


def test_clocks_that_are_set_back_one_after_another_show_no_time_in_between() -> None:
    for others in ("a", "ab", "abc", "abcd"):
        clock, hands = make()
        for node in others:
            clock.heard(node, hands.wall_ms(), 0)
        hands.jump_ms = -HOUR_MS
        for node in others:
            clock.correct()
            assert clock.correction in (0, HOUR_MS)
            clock.heard(node, hands.wall_ms(), 0)
        assert clock.correction == 0


def test_small_changes_of_the_median_do_not_move_the_clock_again() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms() + 100_000, 0)
    clock.heard("b", hands.wall_ms() + 100_000, 0)
    before = clock.correction
    assert before
    for node in ("a", "b"):
        clock.heard(node, hands.wall_ms() + 100_000 + TOLERANCE_MS // 20, 0)
    assert clock.correction == before


def test_a_node_that_is_gone_counts_no_more() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms() + 100_000, 0)
    clock.heard("b", hands.wall_ms() + 100_000, 0)
    assert clock.correction
    clock.forget("a")
    clock.forget("b")
    clock.forget("never there")
    assert clock.correction == 0
    assert clock.wall_ms() == hands.wall_ms()


def test_an_answer_of_which_nobody_knows_when_it_was_given_moves_no_clock() -> None:
    """It lay in a socket while the process was stopped, or was repeated."""
    clock, hands = make()
    for late in (60.0, MAX_ROUND_TRIP_S * 1.01, None):
        clock.heard("a", hands.wall_ms() - 60_000, late)
        clock.heard("b", hands.wall_ms() - 60_000, late)
    assert clock.correction == 0


def test_an_answers_time_is_that_of_the_middle_of_its_way() -> None:
    clock, hands = make()
    clock.heard("a", hands.wall_ms() + HOUR_MS, 0.4)
    clock.heard("b", hands.wall_ms() + HOUR_MS, 0.4)
    assert clock.correction == HOUR_MS + 200


def test_a_jump_of_the_wall_clock_is_none_of_the_monotonic_one() -> None:
    clock, hands = make()
    before = clock.now()
    hands.jump_ms = -(10**9)
    assert clock.now() == before


def test_versions_are_milliseconds_with_room_for_a_counter_below() -> None:
    clock, hands = make()
    assert ms_of(clock.version()) == hands.wall_ms()
    assert version_at(ms_of(clock.version())) == clock.version()
    assert version_at(1) == 1 << COUNTER_BITS
    assert ms_of(clock.limit()) == hands.wall_ms() + MAX_AHEAD_MS


def test_by_how_much_a_clock_was_set_back_is_known_until_it_shows_the_same_time_again() -> None:
    clock, hands = make()
    assert clock.set_back_by() == 0
    hands.jump_ms = 60_000
    clock.correct()
    hands.seconds += 5
    assert clock.set_back_by() == 0
    hands.jump_ms = 120
    assert clock.set_back_by() == 61_000
    hands.jump_ms = -100
    hands.seconds += 50
    assert clock.set_back_by() == 61_000
    hands.seconds += 11
    assert clock.set_back_by() == 0


def test_a_clock_that_was_set_right_itself_while_it_followed_the_others_was_not_set_back() -> None:
    clock, hands = make()
    hands.jump_ms = 60_000
    for node in "ab":
        clock.heard(node, hands.wall_ms() - 60_000, 0.0)
    hands.seconds += 70
    assert clock.set_back_by() == 0
    hands.jump_ms = 0
    clock.correct()
    hands.seconds += 1
    assert (clock.correction, clock.set_back_by()) == (0, 0)


def test_a_clock_that_others_correct_was_not_set_back() -> None:
    clock, hands = make()
    hands.jump_ms = 60_000
    clock.correct()
    for node in "ab":
        clock.heard(node, hands.wall_ms() - 60_000, 0.0)
    assert (clock.correction, clock.set_back_by()) == (-60_000, 0)
