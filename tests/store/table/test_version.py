"""The order of versions is total, and merging is commutative, associative and idempotent."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dmqcache.store.table.cell import EXPIRED, PROVISIONAL, UNTIMED
from dmqcache.store.table.counts import Share, without_void
from dmqcache.store.table.version import State, Verdict, merge

stamps = st.integers(1, 3)
values = st.one_of(st.none(), st.sampled_from(["", "a", "b"]), st.integers(-1, 1))
plain = st.builds(
    State, stamp=stamps, value=values, ttl=st.sampled_from([0, 5]), flags=st.sampled_from([0, PROVISIONAL])
) | st.builds(
    State, stamp=stamps, value=st.sampled_from(["", "a", "b"]), ttl=st.just(0), flags=st.just(UNTIMED)
)
# Whatever anybody says, but without what is void, as nodes keep them.
shares = st.dictionaries(
    st.sampled_from(["a#1", "a#2", "b#1"]),
    st.tuples(st.integers(1, 4), st.integers(-1, 1), st.integers(0, 4)).map(
        lambda made: Share(made[0], made[1], min(made[0], made[2]))
    ),
    max_size=3,
).map(without_void)
counters = st.builds(State, stamp=stamps, value=st.integers(0, 1), ttl=st.sampled_from([0, 5]), shares=shares)
states = st.one_of(plain, counters)


def merged(*several: State) -> State:
    result = several[0]
    for state in several[1:]:
        _, result = merge(result, state)
    return result


@given(states, states)
@settings(max_examples=500)
def test_merging_does_not_depend_on_who_holds_what(one: State, other: State) -> None:
    assert merged(one, other) == merged(other, one)


@given(states, states, states)
@settings(max_examples=500)
def test_merging_does_not_depend_on_the_order_of_arrival(one: State, two: State, three: State) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@given(states)
def test_a_state_that_comes_again_changes_nothing(state: State) -> None:
    verdict, result = merge(state, state)
    assert verdict is Verdict.SAME
    assert result == state


@given(states, states)
@settings(max_examples=500)
def test_verdicts_mirror_each_other(one: State, other: State) -> None:
    mirror = {
        Verdict.SAME: Verdict.SAME,
        Verdict.NEWER: Verdict.OLDER,
        Verdict.OLDER: Verdict.NEWER,
        Verdict.MERGED: Verdict.MERGED,
    }
    assert merge(one, other)[0] is mirror[merge(other, one)[0]]


def test_the_later_write_wins_whatever_it_holds() -> None:
    assert merged(State(2, "a"), State(1, "z")) == State(2, "a")
    assert merged(State(2, None), State(1, "z")) == State(2, None)


def test_a_delete_wins_over_a_value_of_the_same_version() -> None:
    assert merged(State(1, "z"), State(1, None)) == State(1, None)


def test_a_writers_version_wins_over_one_given_on_arrival() -> None:
    assert merged(State(1, "z", flags=PROVISIONAL), State(1, "a")) == State(1, "a")


def test_the_word_of_one_who_keeps_no_times_is_worth_less_than_any_time_even_one_that_is_over() -> None:
    word = State(1, "a", flags=UNTIMED)
    for known in (State(1, "a", 5), State(1, "a"), State(1, None, 5, EXPIRED)):
        assert merge(known, word) == (Verdict.OLDER, known)
        assert merge(word, known) == (Verdict.NEWER, known)


def test_shares_of_one_counter_are_added_up() -> None:
    one = State(1, 0, shares={"n1": Share(9, 5)})
    other = State(1, 0, shares={"n1": Share(8, 4), "n2": Share(7, 7)})
    verdict, both = merge(one, other)
    assert verdict is Verdict.MERGED
    assert both.shares == {"n1": Share(9, 5), "n2": Share(7, 7)}


def test_a_later_set_ends_a_counter() -> None:
    counter = State(1, 0, shares={"n1": Share(9, 5)})
    assert merged(counter, State(2, 100)) == State(2, 100)


def test_a_string_wins_over_an_integer_of_the_same_version_whatever_they_are() -> None:
    for text, number in (("", 0), ("a", 5), ("", -1)):
        one, other = State(1, text), State(1, number)
        assert merge(one, other) == (Verdict.OLDER, one)
        assert merge(other, one) == (Verdict.NEWER, one)


def test_counters_of_one_stamp_share_the_greater_base_and_all_increments() -> None:
    """A number that only a Kamailio remembered is counted in, while another node counted from nothing."""
    remembered = State(1, 2, flags=PROVISIONAL, shares={"n1": Share(9, 5)})
    known = State(1, 0, shares={"n2": Share(8, 7)})
    verdict, state = merge(remembered, known)
    assert verdict is Verdict.MERGED
    assert (state.value, state.flags) == (0, 0)
    assert state.shares == {"n1": Share(9, 5), "n2": Share(8, 7)}


@given(plain, st.integers(1, 9), stamps)
@settings(max_examples=500)
def test_what_is_over_loses_against_whatever_lives_longer(rival: State, ttl: int, stamp: int) -> None:
    """Of a cell whose time is over the value is not known any more: the verdict must be that of before."""
    alive, over = State(stamp, "m", ttl), State(stamp, None, ttl, EXPIRED)
    if rival.stamp == stamp and rival.ttl == ttl and rival.value is not None:
        assert merge(over, rival)[0] is merge(rival, over)[0] is Verdict.SAME
    else:
        assert merge(over, rival)[0] is merge(alive, rival)[0]
        assert merge(rival, over)[0] is merge(rival, alive)[0]
