"""Who watches a table is told of each key's latest state, and a callback that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmqcache.store.table.changes import Change, Home
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table, nobody_watches


class Turns:
    """A runtime whose next turn comes when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        assert delay == 0
        self.waiting.append(callback)

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


def watched() -> tuple[Table, Hands, Turns, list[Exception]]:
    turns, failed = Turns(), list[Exception]()
    table, hands = make_table(home=Home(lambda: None, turns, failed.append, nobody_watches))
    return table, hands, turns, failed


def test_each_key_is_told_once_a_turn_as_it_is_by_then() -> None:
    table, hands, turns, _ = watched()
    seen: list[Change] = []
    table.subscribe(seen.append)
    table.set("a", "x")
    table.set("a", "y")
    table.incr("n")
    table.set("gone", "x")
    table.delete("gone")
    assert seen == []
    turns.turn()
    assert seen == [Change("a", "y"), Change("n", 1), Change("gone", None)]
    table.set("a", "z", ttl=5)
    turns.turn()
    hands.seconds += 10
    table.sweep(10)
    turns.turn()
    table.flush()
    turns.turn()
    assert seen[3:] == [Change("a", "z"), Change("a", None), Change("n", None)]


def test_a_prefix_chooses_and_who_forgets_hears_no_more() -> None:
    table, _, turns, _ = watched()
    users: list[str] = []
    everything: list[str] = []
    forget = table.subscribe(lambda change: users.append(change.key), "user:")
    forget_all = table.subscribe(lambda change: everything.append(change.key))
    table["user:a"] = table["b"] = "x"
    turns.turn()
    forget()
    forget()
    table["user:c"] = "x"
    turns.turn()
    assert (users, sorted(everything)) == (["user:a"], ["b", "user:a", "user:c"])
    forget_all()
    assert not table.is_watched
    table["d"] = "x"
    turns.turn()
    assert len(everything) == 3


def test_a_callback_may_write_and_may_fail() -> None:
    table, _, turns, failed = watched()

    def copy(change: Change) -> None:
        if not change.key.startswith("copy "):
            table[f"copy {change.key}"] = str(change.value)
        raise ValueError("no")

    seen: list[str] = []
    table.subscribe(copy)
    table.subscribe(lambda change: seen.append(change.key))
    table["a"] = "x"
    turns.turn()
    turns.turn()
    assert seen == ["a", "copy a"]
    assert table["copy a"] == "x"
    assert len(failed) == 2


def test_a_table_without_a_node_says_that_it_cannot_be_watched() -> None:
    table, _ = make_table()
    with pytest.raises(RuntimeError, match="while its node runs"):
        table.subscribe(print)
    with pytest.raises(RuntimeError, match="while its node runs"):
        table.watch()


def test_who_is_told_twice_is_forgotten_once_by_each_however_often_it_is_called() -> None:
    table, _, turns, _ = watched()
    seen: list[Change] = []
    happened: list[str] = []

    def listener(key: str, events: object) -> None:
        happened.append(key)

    first, _second = table.subscribe(seen.append), table.subscribe(seen.append)
    third, _fourth = table.listen(listener), table.listen(listener)
    for forget in (first, first, third, third):
        forget()
    table.set("a", "x")
    turns.turn()
    assert seen == [Change("a", "x")] and happened == ["a"]


def test_a_coroutine_is_refused_as_nobody_would_wait_for_it() -> None:
    table, _, _, _ = watched()

    async def callback(change: Change) -> None: ...

    with pytest.raises(TypeError, match="is a coroutine; for one there is `async for change in"):
        table.subscribe(callback)
    assert not table.is_watched
