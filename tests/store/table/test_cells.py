"""The books beside the cells: what lives, what is dead and remembered, what a flush forgets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.store.native.donor import worth_telling
from dmqcache.store.table import flushing
from dmqcache.store.table.cell import EXPIRED, NEVER, cell_digest
from dmqcache.store.table.cells import BEHIND_FACTOR
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.table import Table
from tests.store.fixtures import make_table


def agree(table: Table) -> None:
    """Count everything again from the cells alone."""
    live = [cell for cell in table.cells.values() if cell.value is not None]
    assert table.live == len(live)
    assert table.characters == sum(
        len(cell.key) + (len(cell.value) if isinstance(cell.value, str) else 8) for cell in live
    )
    assert sorted(table.tombstones) == sorted(cell.key for cell in table.cells.values() if cell.value is None)
    assert sum(table.digest.leaves) % (1 << 64) == sum(map(cell_digest, live)) % (1 << 64)


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
    assert (table.live, table.characters) == (1, len("n") + 8)
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


def test_a_floor_kills_what_stands_below_it_and_forgets_the_tombstones_there() -> None:
    table, hands = make_table()
    table.set("old", "x")
    table.set("dead", "x")
    table.delete("dead")
    floor = max(cell.stamp for cell in table.cells.values())
    hands.seconds += 1
    table.set("new", "x")
    assert table.raise_floor(floor) == 1
    assert list(table.cells) == ["new"]
    agree(table)
    assert table.raise_floor(floor) == 0
    assert table.raise_floor(floor - 1) == 0
    assert table.floor == floor


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
    table.raise_floor(dead.stamp + 1000)
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


def test_cells_that_are_given_up_leave_nothing_behind() -> None:
    table, hands = make_table()
    table.set("old", "x", ttl=100)
    table.incr("count")
    table.set("dead", "x")
    table.delete("dead")
    table.known, table.forgot = table.clock.version(), 5
    hands.seconds += 1
    table.set("new", "y")
    table.touched = {}
    assert table.give_up() == 2
    assert list(table) == ["new"]
    assert sorted(table.cells) == ["dead", "new"]
    assert list(table.tombstones) == ["dead"]
    assert sorted(table.touched) == ["count", "old"]
    assert (table.known, table.forgot) == (0, 0)
    assert sum(table.digest.leaves) == table.cells["new"].digest


@pytest.mark.parametrize("few", [1, 1_000])
def test_a_flush_is_the_same_cell_by_cell_and_with_new_books(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everything dies, and where some cells of each kind stand above the floor."""
    monkeypatch.setattr("dmqcache.store.table.cells.FEW_KEPT", few)
    for late in (0, 3):
        told: list[int] = []
        table, hands = make_table(listener=TableListener(floor_raised=told.append))
        for number in range(20):
            table.set(f"k{number:02}", f"v{number}", ttl=60 if number % 3 else None)
        table.set("n", 5)
        table.incr("n")
        table.delete("k03")
        held = list(table.cells.values())
        lived = {cell.key for cell in held if cell.value is not None}
        table.touched = {}
        hands.seconds += 1
        floor = table.clock.version()
        hands.seconds += 1
        for number in range(late):
            table.set(f"late{number}", "x", ttl=60)
            table.set("n", 7)
            table.delete("late0")
        assert table.raise_floor(floor) == (20 if not late else 19)
        agree(table)
        assert told == [floor]
        assert table.emptied or lived <= set(table.touched)
        assert table.scan() == (["late1", "late2", "n"] if late else [])
        assert [cell.key for cell in held if cell.value is not None] == (["n"] if late else [])
        assert set(table.tombstones) == ({"late0"} if late else set())
        assert (table.ttl("late1") if late else 60) == 60
        assert table.expiry.about(table.clock.now())[0] == (2 if late else 0)
        hands.seconds += 61
        assert table.sweep(100) == (2 if late else 0)
        agree(table)
        table.set("again", "x")
        assert table.scan() == (["again", "n"] if late else ["again"])


def test_what_a_flush_killed_is_hidden_at_once_and_taken_apart_by_and_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flushing, "APART", 10)
    told: list[Iterator[list[str]]] = []
    table, _ = make_table(listener=TableListener(flushed=told.append))
    watched: list[str] = []
    table.tell_touches(lambda key, events: watched.append(key))
    for number in range(25):
        table.set(f"k{number}", "v")
    held = list(table.cells.values())
    watched.clear()
    assert table.flush() == 25
    agree(table)
    assert (len(table), table.characters, table.scan(), watched) == (0, 0, [], [""])
    table.set("k7", "again")
    assert [cell.value for cell in held] == ["v"] * 25
    (apart,) = told
    assert len(next(apart)) == 10
    assert sum(cell.value is None for cell in held) == 10
    assert sorted(key for keys in apart for key in keys) == sorted(
        f"k{number}" for number in range(25) if held[number].key not in watched[2:12]
    )
    assert len(watched) == 27 and table["k7"] == "again"
    agree(table)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 30.0])
def test_a_flush_leaves_what_is_later_however_long_ago_it_was(seconds: float) -> None:
    table, hands = make_table()
    for number in range(20):
        table.set(f"before{number}", "x")
    hands.seconds += 1
    table.sweep(10)
    floor = table.clock.version()
    for number in range(4):
        hands.seconds += seconds / 4
        table.set(f"late{number}", "x")
        table.sweep(10)
    table.delete("late0")
    assert table.raise_floor(floor) == 20
    assert table.scan() == ["late1", "late2", "late3"]
    assert list(table.tombstones) == ["late0"]
    agree(table)


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
    assert (one.live, one.characters, dict(one)) == (other.live, other.characters, dict(other))
    assert one.ttl("k1") == 60 and one.ttl("k2") is None
    one.touched = {}
    one.enter("touched", 1, 7 << 16, 0, NEVER, 0)
    assert one.touched == {"touched": None}
    with pytest.raises(ValueError):
        one.enter("k", "\ud800", 7 << 16, 0, NEVER, 0)
    assert "k" not in one.cells
