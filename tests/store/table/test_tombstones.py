"""Which tombstones are forgotten, and that expiries never push out a delete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.tombstones import VOID, Tombstones


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
