"""A cell that goes out and comes back is the same cell, for any content and any time."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.cell import EXPIRED
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.kept import KeptPart, KeptRow, kept_row, restore, rows_of, spelt
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table

TIME_MS = 1_700_000_000_000


def there_and_back(table: Table, off_s: float = 0.0, declared: str = "t") -> Table:
    """The same table in another process, ``off_s`` seconds later; rows as a file returns them."""
    now = table.clock.now()
    part = KeptPart()
    part.add(table, table.cells, now, TIME_MS)
    assert len(part) == len(table.cells) and not part.gone
    rows = [spelt(row) for row in (*rows_of(part.plain), *part.rows)]
    hands = Hands()
    hands.seconds = 77.0
    other, _ = make_table(declared, hands, "other")
    restore(other, [KeptRow(*row) for row in rows], 77.0, TIME_MS + int(off_s * 1000), TIME_MS)
    return other


texts = st.text(st.characters(codec="utf-8"), min_size=1) | st.binary(min_size=1).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
values = texts | st.integers(-(1 << 63), (1 << 63) - 1)
actions = st.one_of(
    st.tuples(st.just("set"), values, st.none() | st.sampled_from([0, 0.5, 60, 3600])),
    st.tuples(st.just("incr"), st.integers(-1000, 1000), st.none()),
    st.tuples(st.just("delete"), st.none(), st.none()),
    st.tuples(st.just("expire"), st.none(), st.sampled_from([0.001, 10, 1000])),
)


@given(
    st.lists(st.tuples(texts, actions, st.floats(0, 100)), max_size=20),
    st.sampled_from(["t", "t=>autoexpire=50"]),
)
def test_any_table_comes_back_as_it_was(steps: list[object], declared: str) -> None:
    table, hands = make_table(declared)
    for key, (action, value, ttl), pause in steps:  # type: ignore[misc]
        if action == "set":
            table.set(key, value, ttl)
        elif action == "delete":
            table.delete(key)
        elif action == "expire":
            table.expire(key, ttl)
        elif isinstance(table.get(key, 0), int):
            with suppress(ValueError):
                table.incr(key, value)
        hands.seconds += pause
    # A millisecond before its end, a cell may come back as one that is over.
    hands.seconds += (
        0.01 if any(0 < cell.expires - hands.now() < 0.01 for cell in table.cells.values()) else 0
    )
    for key in list(table.cells):
        table.live_cell(key)
    other = there_and_back(table, declared=declared)
    now = table.clock.now()
    assert dict(other.items()) == dict(table.items())
    assert set(other.cells) == set(table.cells)
    for key, cell in table.cells.items():
        back = other.cells[key]
        if cell.value is None or cell.expires > now:
            assert (back.stamp, back.ttl, back.flags, back.counts) == (
                cell.stamp,
                cell.ttl,
                cell.flags,
                cell.counts,
            )
            assert back.digest == cell.digest
        if cell.value is not None and cell.expires != float("inf"):
            assert other.clock.now() + (cell.expires - now) >= back.expires - 1e-6


def test_only_cells_that_are_nothing_else_go_without_a_row_of_their_own() -> None:
    table, hands = make_table()
    table.set("text", "x")
    table.set("number", 7)
    table.set("timed", "x", ttl=10)
    table.incr("count")
    table.set("dead", "x")
    table.delete("dead")
    table._new_cell("never written")
    part = KeptPart()
    part.add(table, [*table.cells, "unknown"], hands.now(), TIME_MS)
    versions = [table.cells[key].stamp for key in ("text", "number")]
    assert part.plain == ["text", "x", versions[0], "number", 7, versions[1]]
    assert [row.key for row in part.rows] == ["timed", "count", "dead"]
    assert part.gone == ["unknown"]
    assert len(part) == 6


def test_what_is_newer_than_a_flush_outlives_it_also_if_it_came_from_disk() -> None:
    """The clock was set back while the node was off."""
    table, hands = make_table()
    later = table.clock.version() + (5_000 << 16)
    rows = [KeptRow(key, "x", later + at, 0, 0, 0, None) for at, key in enumerate(("old", "new", "newer"))]
    restore(table, rows, hands.now(), TIME_MS, TIME_MS)
    raise_floor(table, later)
    assert dict(table) == {"new": "x", "newer": "x"}


def test_as_many_as_make_the_digest_deeper_are_as_if_each_had_been_written() -> None:
    table, _ = make_table()
    for number in range(5_000):
        table.set(f"k{number}", f"v{number}" if number % 3 else number)
    other = there_and_back(table)
    assert other.digest.node(0, 0) == table.digest.node(0, 0)
    assert other.digest.depth == table.digest.depth > 2
    assert (other.live, other.text_bytes) == (table.live, table.text_bytes)
    assert list(other) == list(table)
    other.set("k1", "later")
    assert other.delete("k2")


def test_what_is_over_meanwhile_comes_back_as_that() -> None:
    table, _ = make_table()
    table.set("short", "x", ttl=10)
    table.set("long", "x", ttl=100)
    table.incr("count", 5)
    table.expire("count", 10)
    other = there_and_back(table, off_s=50)
    assert list(other) == ["long"]
    assert other.cells["short"].flags == EXPIRED
    assert other.cells["count"].counts == table.cells["count"].counts
    assert sorted(other.tombstones) == ["count", "short"]
    assert 49.9 <= (other.ttl("long") or 0) <= 50


def test_what_was_read_is_as_if_it_were_used_now() -> None:
    """Else it would be the first to be evicted, before what nobody has wanted since."""
    table, hands = make_table()
    table.set("plain", "x")
    table.set("timed", "x", 100)
    table.set("number", 5)
    rows = [kept_row(table, cell, hands.now(), TIME_MS) for cell in table.cells.values()]
    other, _ = make_table("t", hands)
    other.tick = 777
    restore(other, rows, hands.now(), TIME_MS, TIME_MS)
    assert {key: cell.used for key, cell in other.cells.items()} == dict.fromkeys(table, 777)


def test_what_a_flush_has_killed_and_what_is_there_already_is_not_brought_back() -> None:
    table, hands = make_table()
    table.set("a", "old")
    row = kept_row(table, table.cells["a"], hands.now(), TIME_MS)
    restore(table, [row._replace(value="other")], hands.now(), TIME_MS, TIME_MS)
    assert table.get("a") == "old"
    hands.seconds += 1
    table.flush()
    restore(table, [row], hands.now(), TIME_MS, TIME_MS)
    assert not table.cells


@pytest.mark.parametrize(
    "change",
    [
        {"key": ""},
        {"version": -1},
        {"version": 1 << 62},
        {"ttl": -1},
        {"flags": 64},
        {"counts": b"[]"},
        {"counts": b'{"base": 99999999999999999999, "shares": {}}'},
    ],
)
def test_a_row_that_nobody_wrote_is_told(change: dict[str, object]) -> None:
    table, hands = make_table()
    row = KeptRow("a", "x", 1, 0, 0, 0, None)._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"sense|counter|Expected|Integer|integer|JSON"):
        restore(table, [row], hands.now(), TIME_MS, TIME_MS)
