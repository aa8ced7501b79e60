"""What is noted of the versions written lately, and what is left of a flush."""

from __future__ import annotations

from typing import Never

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.flushing import APART, PART_S, PARTS, Recent, take_apart


def noted(recent: Recent, cells: dict[str, Cell], key: str, stamp: int) -> None:
    """As a table does."""
    cells[key] = Cell(key, 0, "x", stamp)
    if stamp > recent.horizon:
        recent.keys[key] = stamp


def test_what_is_above_a_version_is_found_among_what_was_written_lately() -> None:
    recent, cells = Recent(100), dict[str, Cell]()
    noted(recent, cells, "old", 50)
    for turn in range(1, 4 * PARTS):
        stamp = 100 + turn
        recent.turn(turn * PART_S, stamp, cells)
        noted(recent, cells, f"k{turn}", stamp)
        # One stays ahead of the clock for some turns.
        if turn == 1:
            noted(recent, cells, "ahead", 100 + 2 * PARTS)
        for version in (recent.horizon, stamp - 1, stamp, stamp + 100):
            found = {cell.key for cell in recent.above(version, cells)}
            assert found == {key for key, cell in cells.items() if cell.stamp > version}
    assert recent.horizon > 100
    assert len(recent.keys) + sum(len(part.keys) for part in recent._parts) <= PARTS + 1
    # Further back the whole table is looked through.
    assert {cell.key for cell in recent.above(40, cells)} == set(cells)


def test_a_clock_that_is_set_back_hides_nothing() -> None:
    recent, cells = Recent(1_000), dict[str, Cell]()
    noted(recent, cells, "first", 1_001)
    for turn in range(1, 3 * PARTS):
        recent.turn(turn * PART_S, 10 + turn, cells)
        noted(recent, cells, f"k{turn}", 10 + turn)
        found = {cell.key for cell in recent.above(15, cells)}
        assert found == {key for key, cell in cells.items() if cell.stamp > 15}
    assert {cell.key for cell in recent.above(1_000, cells)} == {"first"}


def test_turns_that_come_too_soon_are_none_and_what_is_gone_is_forgotten() -> None:
    recent, cells = Recent(0), dict[str, Cell]()
    noted(recent, cells, "a", 5)
    recent.turn(0.0, 5, cells)
    recent.turn(PART_S / 2, 6, cells)
    assert len(recent._parts) == 1
    del cells["a"]
    assert recent.above(0, cells) == []


class Unread(dict[str, int]):
    """Keys that nobody may look through."""

    def items(self) -> Never:
        raise AssertionError("looked through")


def test_what_was_written_before_a_flush_or_long_ago_is_not_looked_through() -> None:
    recent, cells = Recent(0), dict[str, Cell]()
    for turn in range(1, 3 * PARTS):
        noted(recent, cells, f"k{turn}", turn)
        # Here it ends: from now on the keys stand in a part that is over.
        recent.keys = recent.keys if turn == PARTS else Unread(recent.keys)
        recent.turn(turn * PART_S, turn, cells)
        assert recent.above(turn, cells) == []


def test_to_know_that_much_was_written_since_not_all_of_it_is_looked_through() -> None:
    recent, cells = Recent(0), dict[str, Cell]()
    for turn in range(1, 4):
        for number in range(10):
            noted(recent, cells, f"k{turn}{number}", turn)
        if turn == 1:
            recent.keys = Unread(recent.keys)
        recent.turn(turn * PART_S, turn, cells)
    assert len(recent.noted_above(0, 15)) == 20


def test_the_dead_are_taken_apart_some_at_a_time() -> None:
    held = [Cell(f"k{number}", 0, "x" if number % 2 else None, 7, digest=9) for number in range(APART + 10)]
    dead, told = {cell.key: cell for cell in held}, list[str]()
    later = Cell("later", 0, "x", 8)
    dead = {"later": later, **dead}
    apart = take_apart(dead, 7, dict, told.append)
    assert len(next(apart)) == APART // 2
    assert len(dead) == 11
    assert sorted(next(apart)) == sorted(cell.key for cell in held[:10] if int(cell.key[1:]) % 2)
    assert list(apart) == [] and not dead
    assert len(told) == (APART + 10) // 2
    assert all(cell.value is None and cell.digest == 0 for cell in held)
    assert later.value == "x"
