"""What a write of this node gets: a version that rises with the clock, and a time that others can read."""

from __future__ import annotations

import pytest

from dmqcache.store.table.cell import MAX_TTL_S, UNDATED, cell_digest
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.listener import TableListener
from tests.store.fixtures import make_arrivals, make_table, rows_of


def test_versions_rise_with_each_write_even_if_the_clock_does_not() -> None:
    seen: list[int] = []
    table, hands = make_table(listener=TableListener(lambda cell: seen.append(cell.last_modified())))
    table["a"] = "1"
    table["a"] = "2"
    hands.jump_ms = -5000
    table.delete("a")
    table["a"] = "3"
    table.incr("a")
    table.incr("a")
    table["a"] = "4"
    assert seen == sorted(set(seen))
    assert len(seen) == 7


@pytest.mark.parametrize("flushed", [False, True])
def test_a_set_wins_over_a_count_that_began_elsewhere_meanwhile_whatever_time_it_is(flushed: bool) -> None:
    """Both nodes know the key's end, and their clocks were set back since."""
    (one, its), (two, others) = make_arrivals(), make_arrivals()
    one.table["n"] = 5
    two.merge_rows(rows_of(one.table, "n"), "one")
    if flushed:
        one.table.flush()
        raise_floor(two.table, one.table.floor)
    else:
        one.table.delete("n")
        two.merge_rows(rows_of(one.table, "n"), "one")
    its.jump_ms = others.jump_ms = -5000
    one.table["n"] = 100
    two.table.incr("n", 7)
    told = rows_of(one.table, "n"), rows_of(two.table, "n")
    two.merge_rows(told[0], "one")
    one.merge_rows(told[1], "two")
    assert (one.table["n"], two.table["n"]) == (100, 100)


def test_a_million_writes_of_one_key_in_a_second_bring_its_version_no_further_than_the_clock() -> None:
    table, hands = make_table()
    last = 0
    for _ in range(30):
        hands.seconds += 0.001
        for write in (lambda: table.set("k", "x"), lambda: table.incr("n"), lambda: table.expire("n", 60)):
            for _ in range(334):
                write()
        versions = [table.cells[key].last_modified() for key in ("k", "n")]
        assert {ms_of(version) for version in versions} == {hands.wall_ms()}
        assert versions[0] > last
        last = versions[0]


def test_a_write_in_the_millisecond_of_the_one_before_is_marked_for_kamailio_nodes() -> None:
    table, hands = make_table("t=>autoexpire=60")
    table.incr("n")
    table["k"] = "x"
    assert not (table.cells["k"].flags | table.cells["n"].flags) & UNDATED
    for write in (lambda: table.incr("n"), lambda: table.expire("n", 90)):
        write()
        assert table.cells["n"].flags & UNDATED
    for write in (lambda: table.set("k", "y"), lambda: table.expire("k", 5)):
        write()
        assert table.cells["k"].flags & UNDATED
    assert not {row.flags for row in rows_of(table, "k", "n")} & {UNDATED}
    hands.seconds += 0.001
    table["k"] = "x"
    table.incr("n")
    assert not (table.cells["k"].flags | table.cells["n"].flags) & UNDATED


def test_a_counter_that_begins_again_begins_below_the_clock_whatever_time_it_had() -> None:
    table, hands = make_table()
    table.set("n", 1, ttl=1_000)
    hands.seconds += 999
    table.incr("n")
    hands.seconds += 2
    assert table.incr("n") == 1
    assert table.cells["n"].last_modified() == table.clock.version()


@pytest.mark.parametrize("ttl", [-1, float("nan"), float("inf"), 1e300, MAX_TTL_S + 1])
def test_a_time_that_cannot_be_told_to_others_is_refused(ttl: float) -> None:
    table, _ = make_table()
    table["a"] = "x"
    with pytest.raises(ValueError, match="time to live"):
        table.set("a", "y", ttl)
    with pytest.raises(ValueError, match="time to live"):
        table.expire("a", ttl)
    assert (table["a"], table.ttl("a")) == ("x", None)


def test_every_local_write_is_told_once() -> None:
    told: list[tuple[str, object]] = []
    table, _ = make_table(listener=TableListener(lambda cell: told.append((cell.key, cell.value))))
    table["a"] = "1"
    table.delete("a")
    table.delete("a")
    table.incr("n")
    table.expire("n", 5)
    assert told == [("a", "1"), ("a", None), ("n", 1), ("n", 1)]


def test_a_later_version_prolongs_nothing_and_makes_nothing() -> None:
    table, hands = make_table("t=>autoexpire=60")
    table.incr("n", 3)
    before = table.cells["n"].last_modified()
    hands.seconds += 50
    table.date_anew("n")
    table.date_anew("none")
    assert table.cells["n"].last_modified() > before
    assert table.ttl("n") == pytest.approx(10)
    assert dict(table) == {"n": 3}


def test_versions_beyond_a_corrected_clock_are_pulled_back_those_of_increments_too() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table["k"] = "v"
    table.incr("n")
    hands.jump_ms = 0
    now = table.clock.version()
    assert table.redate() == 2
    assert table.cells["k"].last_modified() == now
    assert table.cells["n"].last_modified() == now
    table["n"] = 5
    assert table.cells["n"].stamp == now + 1
    assert table.digest.node(0, 0) == sum(cell_digest(cell) for cell in table.cells.values()) % (1 << 64)


def test_cells_that_are_pulled_back_stay_above_a_flush_that_is_pulled_back_too() -> None:
    table, hands = make_table()
    hands.jump_ms = 3_600_000
    table["a"] = "x"
    table.flush()
    table["b"] = "y"
    hands.jump_ms = 0
    assert table.redate() == 1
    assert table["b"] == "y"
    assert table.cells["b"].stamp > table.floor
