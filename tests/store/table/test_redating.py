"""What lies ahead gets a version of now, and the books agree."""

from __future__ import annotations

import pytest

from dmqcache.store.table import redating
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.redating import Redating
from dmqcache.store.table.table import Table
from tests.store.fixtures import agree, make_table


def pull_back(table: Table) -> list[str]:
    """The keys of what was dated anew."""
    return sorted(cell.key for cells in Redating(table).pieces() for cell in cells)


def test_only_what_lies_ahead_is_dated_anew_and_a_flush_that_comes_later_finds_it() -> None:
    table, hands = make_table()
    table["before"] = "x"
    hands.jump_ms = 3_600_000
    table["ahead"] = "y"
    table.incr("count")
    table.delete("before")
    hands.jump_ms = 0
    hands.seconds += 1
    assert pull_back(table) == ["ahead", "before", "count"]
    agree(table)
    assert pull_back(table) == []
    # The version of a counter is that of its beginning.
    assert raise_floor(table, table.clock.version() - 1) == 1
    assert table.scan() == ["ahead"] and list(table.tombstones) == ["before"]
    agree(table)


def test_what_was_dated_by_a_clock_that_was_set_back_stays_below_what_is_written_since() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    table["first"] = "x"
    table.incr("count")
    hands.seconds += 3
    table["second"] = "y"
    table.delete("first")
    hands.seconds += 1
    hands.jump_ms = 40
    now = table.clock.version()
    before = {key: cell.last_modified() for key, cell in table.cells.items()}
    pull_back(table)
    hour = version_at(3_601_000)
    assert {key: cell.last_modified() + hour for key, cell in table.cells.items()} == before
    assert all(cell.last_modified() < now for cell in table.cells.values())
    agree(table)


def test_a_flush_that_lies_ahead_stays_below_what_was_written_after_it() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    table.flush()
    table["after"] = "x"
    hands.jump_ms = 0
    hands.seconds += 20
    pull_back(table)
    assert table.floor < table.cells["after"].stamp < table.clock.version() - version_at(20_000)


def test_a_flush_heard_of_while_the_clock_was_wrong_kills_what_was_written_before_it() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    for key in ("text", "over"):
        table[key] = "x"
    table.delete("over")
    hands.seconds += 6
    table["after"] = "x"
    hands.jump_ms = 0
    # Another node's, whose clock was right: all that lies ahead seems to be written after it.
    raise_floor(table, version_at(table.clock.wall_ms() - 3000))
    assert sorted(table) == ["after", "text"]
    assert pull_back(table) == ["after", "over", "text"]
    assert sorted(table) == ["after"] == sorted(table.cells)
    agree(table)


def test_what_is_written_before_its_turn_comes_is_above_what_it_replaces_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redating, "PIECE", 2)
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table.clock.correct()
    for number in range(12):
        table[f"k{number}"] = "x"
        table.incr(f"n{number}")
        table[f"d{number}"] = "x"
        table.delete(f"d{number}")
    hands.seconds += 5
    hands.jump_ms = 0
    pieces = table.redate_in_pieces()
    count = next(pieces)
    assert table.redating is not None
    hands.seconds += 1
    now = table.clock.version()
    for number in range(12):
        table[f"k{number}"] = "new"
        table.incr(f"n{number}")
        table[f"d{number}"] = "lives"
    assert {cell.last_modified() >= now for cell in table.cells.values()} == {True}
    assert max(cell.last_modified() for cell in table.cells.values()) < now + 100
    agree(table)
    assert count + sum(pieces) == 2 and table.redating is None
    assert {table[f"n{number}"] for number in range(12)} == {2}
    agree(table)


def test_the_pieces_are_what_one_step_would_have_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key gets the same version, however long it takes."""
    monkeypatch.setattr(redating, "PIECE", 2)
    versions: list[dict[str, int]] = []
    for pause in (0.0, 0.4):
        table, hands = make_table()
        hands.jump_ms = 3_600_000
        for number in range(9):
            hands.seconds += 0.1
            table[f"k{number}"] = "x"
        table.delete("k3")
        hands.jump_ms = 0
        hands.seconds = 1010.0
        for _ in table.redate_in_pieces():
            hands.seconds += pause
        agree(table)
        versions.append({key: cell.stamp for key, cell in sorted(table.cells.items())})
    assert versions[0] == versions[1]


def test_where_the_clock_is_set_back_meanwhile_it_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redating, "PIECE", 2)
    table, hands = make_table()
    table.flush()
    for number in range(9):
        table[f"k{number}"] = "x"
    pieces = table.redate_in_pieces()
    assert next(pieces) == 0
    hands.jump_ms = -3_600_000
    told: list[int] = list(pieces)
    assert sum(told) == len(table.cells) and table.floor < table.clock.version()
    assert max(cell.stamp for cell in table.cells.values()) <= table.clock.version()
    agree(table)
