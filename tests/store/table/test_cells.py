"""The books beside the cells: what lives, what is dead and remembered, what is forgotten."""

from __future__ import annotations

import pytest

from dmqcache.store.native.donor import worth_telling
from dmqcache.store.table.cell import EXPIRED, NEVER
from dmqcache.store.table.cells import BEHIND_FACTOR
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.listener import TableLimits, TableListener
from tests.store.fixtures import agree, make_table


def test_a_delete_leaves_a_tombstone_above_what_it_deleted_and_takes_all_else_away() -> None:
    table, _ = make_table()
    table.set("a", "xyz", ttl=60)
    table.set("n", 7)
    before = table.cells["a"].stamp
    agree(table)
    table.delete("a")
    dead = table.cells["a"]
    assert dead.value is None and dead.stamp > before
    assert not dead.flags & EXPIRED
    assert (table.live, table.text_bytes) == (1, len("n") + 8)
    agree(table)
    table.set("a", 1)
    assert not table.tombstones
    agree(table)


def test_a_cell_whose_time_is_over_is_buried_once_with_its_version_by_whoever_looks_first() -> None:
    told: list[str] = []
    table, hands = make_table(listener=TableListener(expired=lambda cell: told.append(cell.key)))
    table.set("a", "x", ttl=5)
    stamp = table.cells["a"].stamp
    hands.seconds += 4.9
    assert table.live_cell("a") is table.cells["a"]
    hands.seconds += 0.1
    assert table.live_cell("a") is None
    assert table.live_cell("a") is None
    assert table.sweep(10) == 0
    assert told == ["a"]
    assert (table.cells["a"].stamp, table.counters.expirations) == (stamp, 1)
    assert table.cells["a"].flags & EXPIRED
    agree(table)


def test_a_sweep_takes_no_more_than_it_may_and_nothing_that_got_more_time() -> None:
    table, hands = make_table()
    for number in range(10):
        table.set(f"k{number}", "x", ttl=5)
    table.expire("k0", 50)
    hands.seconds += 5
    assert [table.sweep(4) for _ in range(4)] == [4, 4, 1, 0]
    assert [key for key, cell in table.cells.items() if cell.value is not None] == ["k0"]
    agree(table)


def test_a_tombstone_is_forgotten_after_its_time_but_not_while_somebody_has_not_heard() -> None:
    table, hands = make_table(limits=TableLimits(tombstone_ttl=100.0))
    for number in range(5):
        table.set(f"k{number}", "x")
        table.delete(f"k{number}")
    hands.seconds += 100
    assert table.collect(10, held=False) == 0
    hands.seconds += 11
    assert table.collect(10, held=True) == 0
    assert table.collect(10, held=False, behind=True) == 0
    assert table.collect(2, held=False) == 2
    assert table.collect(10, held=False) == 3
    assert not table.cells
    agree(table)


@pytest.mark.parametrize(("behind", "left"), [(False, 4), (True, 4 * BEHIND_FACTOR)])
def test_above_the_limit_the_oldest_are_forgotten_whoever_has_not_heard(behind: bool, left: int) -> None:
    table, _ = make_table(limits=TableLimits(tombstone_limit=4))
    for number in range(100):
        table.set(f"k{number}", "x")
        table.delete(f"k{number}")
    assert table.collect(1000, held=True, behind=behind) == 100 - left
    assert list(table.cells) == [f"k{number}" for number in range(100 - left, 100)]
    agree(table)


@pytest.mark.parametrize(("declared", "told"), [("t", ["deleted", "over"]), ("t=>autoexpire=5", ["deleted"])])
def test_a_starting_node_is_told_of_tombstones_that_do_not_come_by_themselves(
    declared: str, told: list[str]
) -> None:
    table, hands = make_table(declared)
    table.set("over", "x", ttl=5)
    table.set("deleted", "x")
    table.delete("deleted")
    hands.seconds += 5
    table.sweep(10)
    assert sorted(cell.key for cell in worth_telling(table, table.tombstones)) == told


def test_a_key_that_was_deleted_begins_above_its_past_and_a_new_one_above_the_floor() -> None:
    table, _ = make_table()
    table.set("n", 7)
    table.delete("n")
    dead = table.cells["n"]
    assert table.generation(dead) > dead.stamp
    raise_floor(table, dead.stamp + 1000)
    table.incr("m")
    assert table.cells["m"].stamp > table.floor


def test_whoever_keeps_the_table_is_told_of_every_cell_that_changes() -> None:
    table, hands = make_table("t=>autoexpire=50")
    table.set("unkept", "x")
    table.touched = {}
    table.set("a", "x")
    table.incr("n", 1)
    table.delete("unkept")
    assert list(table.touched) == ["a", "n", "unkept"]
    table.touched = {}
    hands.seconds += 60
    table.sweep(10)
    assert sorted(table.touched) == ["a", "n"]
    table.touched = {}
    hands.seconds += 2_000
    table.collect(10, False)
    assert sorted(table.touched) == ["a", "n", "unkept"]
    assert not table.cells


def test_the_latest_delete_that_is_forgotten_is_known() -> None:
    table, hands = make_table()
    table.set("expires", "x", ttl=5)
    for key in ("first", "second"):
        table.set(key, "x")
        table.delete(key)
        hands.seconds += 1
    second = table.cells["second"].stamp
    hands.seconds += 10
    table.sweep(10)
    table.collect(10, False)
    assert table.forgot == 0
    hands.seconds += 2_000
    table.collect(10, False)
    assert not table.cells
    assert table.forgot == second


def test_a_cell_that_is_entered_at_once_is_as_one_that_was_made_and_enlivened() -> None:
    """Beyond the point at which the digest gets another level, with texts, integers and times."""
    one, _ = make_table()
    other, _ = make_table()
    for number in range(5_000):
        value = number if number % 3 else f"v{number}\udcff"
        life = (60_000, one.clock.now() + 60) if number % 2 else (0, NEVER)
        one.enter(f"k{number}", value, 7 << 16, *life, 0)
        other._enliven(other._new_cell(f"k{number}"), value, 7 << 16, *life, 0)
    assert one.digest.leaves == other.digest.leaves and one.digest.depth == other.digest.depth
    assert (one.live, one.text_bytes, dict(one)) == (other.live, other.text_bytes, dict(other))
    assert one.ttl("k1") == 60 and one.ttl("k2") is None
    one.touched = {}
    one.enter("touched", 1, 7 << 16, 0, NEVER, 0)
    assert one.touched == {"touched": None}
    with pytest.raises(ValueError):
        one.enter("k", "\ud800", 7 << 16, 0, NEVER, 0)
    assert "k" not in one.cells
