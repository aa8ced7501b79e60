"""The keys' order: the same as sorting, whenever it is looked at, and cheap where nobody looks."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.order import LOOKED_AT, TIDY_DEAD, KeyOrder

keys = st.text(alphabet="ab\udcffé", min_size=1, max_size=3)
steps = st.lists(st.tuples(st.sampled_from(["toggle", "toggle", "toggle", "some", "list"]), keys))


@given(steps)
def test_the_order_is_that_of_a_sorted_set(steps: list[tuple[str, str]]) -> None:
    order, alive = KeyOrder(), set[str]()
    for step, key in steps:
        if step == "list":
            assert list(order.after(None)) == sorted(alive)
        elif step == "some":
            order.settle_some(1)
        elif key in alive:
            alive.discard(key)
            order.discard(key)
        else:
            alive.add(key)
            order.add(key)
    assert list(order.after(None)) == sorted(alive)
    assert list(order.after("b")) == sorted(key for key in alive if key > "b")
    assert list(order.after(None, "a")) == sorted(key for key in alive if key.startswith("a"))
    assert list(order.after("aa", "a")) == sorted(key for key in alive if key.startswith("a") and key > "aa")


@given(steps, steps, st.integers(1, 4))
def test_a_walk_comes_by_each_key_that_lives_all_the_while(
    before: list[tuple[str, str]], meanwhile: list[tuple[str, str]], count: int
) -> None:
    order, alive = KeyOrder(), set[str]()

    def do(step: str, key: str) -> None:
        if step == "list":
            list(order.after(None))
        elif step == "some":
            order.settle_some(1)
            order._tidy_some()
        elif key in alive:
            alive.discard(key)
            order.discard(key)
        else:
            alive.add(key)
            order.add(key)

    for one in before:
        do(*one)
    stayed, found = set(alive), set[str]()
    to_do = iter(meanwhile)
    for keys in order.walk(count):
        assert len(keys) <= count
        found.update(keys)
        if one_more := next(to_do, None):
            do(*one_more)
            stayed &= alive
    assert stayed <= found


def test_many_keys_are_sorted_in_by_and_by() -> None:
    order = KeyOrder()
    for number in range(10):
        order.add(f"k{number}")
    assert [order.settle_some(3) for _ in range(4)] == [True, True, True, False]
    assert len(order._born) == 1
    assert list(order.after(None)) == [f"k{number}" for number in range(10)]


def test_many_dead_keys_are_taken_out_by_and_by() -> None:
    order = KeyOrder()
    for number in range(10):
        order.add(f"k{number}")
    list(order.after(None))
    order.add("new")
    for number in range(8):
        order.discard(f"k{number}")
    assert [order.settle_some(3) for _ in range(3)] == [True, True, False]
    assert len(order._died) == 2
    assert list(order.after(None)) == ["k8", "k9", "new"]


def test_a_key_that_dies_and_comes_again_without_being_listed_waits_once() -> None:
    order = KeyOrder()
    order.add("a")
    assert list(order.after(None)) == ["a"]
    for _ in range(100):
        order.discard("a")
        order.add("a")
    assert not order._born and not order._died
    assert list(order.after(None)) == ["a"]


def test_many_deaths_at_once_are_taken_out_in_one_pass() -> None:
    order = KeyOrder()
    for number in range(3000):
        order.add(f"{number:04}")
    assert len(list(order.after(None))) == 3000
    for number in range(2990):
        order.discard(f"{number:04}")
    assert list(order.after(None)) == [f"{number:04}" for number in range(2990, 3000)]
    order.add("0000")
    order.discard("2999")
    assert list(order.after(None, "0")) == ["0000"]
    assert list(order.after("2997")) == ["2998"]


def test_keys_that_come_and_go_unlisted_cost_no_memory() -> None:
    order = KeyOrder()
    order.add("stays")
    for number in range(5 * TIDY_DEAD):
        order.add(f"k{number}")
        order.discard(f"k{number}")
    assert len(order._born) + len(order._died) <= 3 * TIDY_DEAD
    assert list(order.after(None)) == ["stays"]


class Looked(list[str]):
    """Keys, of which it is counted how many are looked at."""

    count = 0

    def __getitem__(self, place: Any) -> Any:
        self.count += 1
        return super().__getitem__(place)


def test_no_death_has_all_keys_that_were_never_listed_looked_through() -> None:
    order = KeyOrder()
    order._born = born = Looked(f"k{number}" for number in range(3 * TIDY_DEAD))
    for number in range(2 * TIDY_DEAD):
        order.discard(f"k{number}")
        assert born.count <= LOOKED_AT
        born.count = 0
    assert len(order._died) < TIDY_DEAD and len(order._born) < 2 * TIDY_DEAD
    assert list(order.after(None)) == sorted(f"k{number}" for number in range(2 * TIDY_DEAD, 3 * TIDY_DEAD))


def test_its_memory_is_given_back_some_keys_at_a_time() -> None:
    order = KeyOrder()
    for number in range(25):
        order.add(f"a{number}")
    assert len(list(order.after(None))) == 25
    order.discard("a7")
    for number in range(15):
        order.add(f"b{number}")
    assert len(list(order.emptied(10))) == 2 + 3 + 1
    assert list(order.after(None)) == []


def test_each_key_may_be_a_sample() -> None:
    order = KeyOrder()
    assert order.sample(0.5) is None
    for number in range(5):
        order.add(f"a{number}")
    list(order.after(None))
    for number in range(5):
        order.add(f"b{number}")
    found = {order.sample(number / 100) for number in range(100)}
    assert found == {f"{letter}{number}" for letter in "ab" for number in range(5)}
