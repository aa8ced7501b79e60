"""Which tombstones are forgotten, and that expiries never push out a delete."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.order import TIDY_DEAD
from dmqcache.store.table.tombstones import VOID, Tombstones, walk_dead


@pytest.mark.parametrize(
    ("limit", "oldest", "held", "gone"),
    [(10, 1.0, False, ["x", "a", "b"]), (10, 1.0, True, ["x"]), (2, 9.0, False, ["x", "a"])],
)
def test_the_oldest_go_when_they_are_old_unless_they_are_held(
    limit: int, oldest: float, held: bool, gone: list[str]
) -> None:
    tombstones = Tombstones()
    for number, key in enumerate("abc"):
        tombstones.add(key, float(number), expired=False)
    tombstones.add("x", 0.5, expired=True)
    assert tombstones.take_due(limit, oldest, most=100, held=held) == gone
    assert set(tombstones) == {*"abcx"} - set(gone)


def test_what_exceeds_the_limit_goes_though_it_is_held_and_each_queue_has_its_own() -> None:
    tombstones = Tombstones()
    for number in range(5):
        tombstones.add(f"d{number}", float(number), expired=False)
    for number in range(50):
        tombstones.add(f"x{number}", 10.0 + number, expired=True)
    tombstones.add("d5", 5.0, expired=False)
    gone = tombstones.take_due(100, oldest=-1.0, most=5, held=True)
    assert len(gone) == 46 and gone[45:] == ["d0"]


def test_a_key_has_one_tombstone_and_none_when_it_lives_again() -> None:
    tombstones = Tombstones()
    tombstones.add("a", 1.0, expired=True)
    tombstones.add("a", 2.0, expired=False)
    tombstones.add("b", 3.0, expired=True)
    assert (list(tombstones), len(tombstones), tombstones.died_at("a")) == (["a", "b"], 2, 2.0)
    tombstones.remove("a")
    tombstones.remove("never there")
    assert list(tombstones) == ["b"] and tombstones.died_at("a") is None


@pytest.mark.parametrize("expired", [False, True])
def test_the_oldest_goes_first_however_late_it_was_heard_of(expired: bool) -> None:
    """A node that starts hears of a fresh delete first, and then of all older ones."""
    tombstones = Tombstones()
    for key, at in [("f", 6.0), ("c", 3.0), ("a", 1.0), ("e", 5.0), ("b", 2.0), ("d", 4.0), ("g", 7.0)]:
        tombstones.add(key, at, expired)
    assert tombstones.take_due(100, oldest=-1.0, most=5, held=True) == ["a", "b"]
    assert tombstones.take_due(100, oldest=4.0, most=100, held=False) == ["c", "d"]
    assert list(tombstones) == ["e", "f", "g"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20), st.booleans()), max_size=60))
def test_it_is_as_if_all_stood_in_order(steps: list[tuple[str, int, bool]]) -> None:
    tombstones, model = Tombstones(), dict[str, int]()
    for key, at, dies in steps:
        if dies:
            tombstones.add(key, at, expired=False)
            model[key] = at
        else:
            tombstones.remove(key)
            model.pop(key, None)
        assert {key: tombstones.died_at(key) for key in tombstones} == model
        for key in tombstones.take_due(2, oldest=3.0, most=5, held=False):
            assert model[key] == min(model.values()) and (model[key] <= 3 or len(model) > 5)
            del model[key]


def test_what_came_late_and_lives_again_takes_no_memory() -> None:
    tombstones = Tombstones()
    tombstones.add("last", 1e9, expired=False)
    for number in range(10 * VOID):
        tombstones.add("key", float(number), expired=False)
        tombstones.remove("key")
    assert len(tombstones._deleted._heap) <= VOID + 1


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["add", "late", "expire", "live"]))),
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("ghijkl"), st.sampled_from(["add", "late", "expire", "live"]))),
)
def test_who_walks_through_them_comes_by_each_that_is_dead_all_the_while(
    before: list[tuple[str, str]], count: int, meanwhile: list[tuple[str, str]]
) -> None:
    tombstones, at = Tombstones(), 100.0

    def do(key: str, what: str) -> None:
        if what == "live":
            tombstones.remove(key)
        else:
            tombstones.add(key, at if what != "late" else at - 50, expired=what == "expire")

    for key, what in before:
        do(key, what)
        at += 1
    all_the_while = set(tombstones)
    seen: list[str] = []
    steps = iter(meanwhile)
    for keys in tombstones.walk(count):
        assert len(keys) <= count
        seen += keys
        for key, what in islice(steps, 2):
            do(key, what)
            at += 1
            if key not in set(tombstones):
                all_the_while.discard(key)
    assert all_the_while <= set(seen)
    for key in list(tombstones):
        tombstones.remove(key)
    assert [key for keys in tombstones.walk(9) for key in keys if tombstones.died_at(key)] == []


def test_what_is_forgotten_is_walked_through_no_more_and_takes_no_memory() -> None:
    tombstones = Tombstones()
    for number in range(3 * TIDY_DEAD):
        tombstones.add(f"k{number}", float(number), expired=False)
    while tombstones.take_due(500, oldest=1e9, most=10, held=False):
        pass
    tombstones.add("last", 1e9, expired=False)
    for number in range(3 * TIDY_DEAD):
        tombstones.add(f"l{number}", 1e9, expired=True)
        tombstones.remove(f"l{number}")
    assert sum(len(keys) for keys in tombstones.walk(500)) < 3 * TIDY_DEAD
    assert "last" in {key for keys in tombstones.walk(500) for key in keys}


def test_a_walk_begins_anew_where_a_flush_has_left_others() -> None:
    table = SimpleNamespace(tombstones=Tombstones())
    for key in "abcdef":
        table.tombstones.add(key, 1.0, expired=False)
    seen: list[list[str]] = []
    for keys in walk_dead(table, 4):
        seen.append(keys)
        if len(seen) == 1:
            table.tombstones = Tombstones()
            table.tombstones.add("a", 1.0, expired=False)
    assert seen == [["c", "d", "e", "f"], ["a"]]


def test_the_memory_is_given_back_so_much_at_a_time() -> None:
    tombstones = Tombstones()
    for number in range(10):
        tombstones.add(f"d{number}", 5.0 - number, expired=False)
        tombstones.add(f"x{number}", float(number), expired=True)
    assert len(list(tombstones.emptied(2))) >= 10
    assert (list(tombstones), list(tombstones.walk(9)), len(tombstones)) == ([], [], 0)
