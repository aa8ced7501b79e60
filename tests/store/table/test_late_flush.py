"""A flush that is prepared in steps leaves what one leaves that is done at once, whatever comes meanwhile."""

from __future__ import annotations

from random import Random

import pytest

from dmqcache.store.table import floor_raising, late_flush
from dmqcache.store.table.floor_raising import is_late, prepare, raise_floor
from dmqcache.store.table.flushing import PART_S, PARTS
from dmqcache.store.table.listener import TableLimits
from dmqcache.store.table.merge import Arrivals
from dmqcache.store.table.row import Row
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, agree, make_table


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor_raising, "AT_ONCE", 10)
    monkeypatch.setattr(late_flush, "LOOKED_AT", 3)
    monkeypatch.setattr(late_flush, "ENTERED", 2)
    monkeypatch.setattr(late_flush, "FEW_DEAD", 5)


def is_long_ago(table: Table, hands: Hands) -> None:
    """What was written so far lies further back than is noted."""
    for _ in range(PARTS + 2):
        hands.seconds += PART_S
        table.sweep(0)


def change(table: Table, choose: Random, floor: int) -> None:
    """Something that happens in a table."""
    key = f"k{choose.randrange(40):02}"
    what = choose.randrange(9)
    if what == 0:
        table.set(key, "text" * choose.randrange(3), ttl=choose.choice([None, 5, 900]))
    elif what == 1:
        table.delete(key)
    elif what == 2:
        table.set(key, 4)
        table.incr(key)
    elif what == 3:
        table.expire(key, choose.choice([1, 500]))
    elif what == 4 and key in table:
        table.forget([table.cells[key]])
    elif what == 5:
        table.collect(choose.randrange(3), held=False)
    elif what == 6:
        table.scan()
    else:
        value = choose.choice([None, "came", "late"])
        came = Row(key, value, max(1, floor + choose.choice([-9, 0, 1, 9, 1 << 26])), 0, 0, 0, None)
        Arrivals(table, StoreCounters()).merge_rows([came], "another")


@pytest.mark.parametrize("seed", range(60))
def test_what_is_prepared_in_steps_is_what_is_done_at_once(seed: int) -> None:
    hands = Hands()
    prepared, at_once = (make_table(hands=hands, limits=TableLimits(tombstone_limit=2))[0] for _ in range(2))
    choose = Random(seed)

    def both(floor: int) -> None:
        state = choose.getstate()
        change(prepared, choose, floor)
        choose.setstate(state)
        change(at_once, choose, floor)

    for _ in range(choose.choice([20, 100])):
        both(prepared.clock.version())
        hands.seconds += 0.01
    floor = prepared.clock.version()
    for _ in range(choose.choice([0, 3, 60])):
        both(floor)
        hands.seconds += 0.01
    is_long_ago(prepared, hands)
    is_long_ago(at_once, hands)
    for _ in prepare(prepared, floor):
        for _ in range(choose.randrange(3)):
            both(floor)
        hands.seconds += choose.choice([0, 0.3])
        prepared.sweep(5)
        at_once.sweep(5)
        agree(prepared)
    held = len(prepared)
    assert raise_floor(prepared, floor) == raise_floor(at_once, floor) == held - len(prepared)
    for table in (prepared, at_once):
        agree(table)
        assert table.floor == floor and all(cell.stamp > floor for cell in table.cells.values())
    assert dict(prepared.items()) == dict(at_once.items())
    assert {key: cell.stamp for key, cell in prepared.cells.items()} == {
        key: cell.stamp for key, cell in at_once.cells.items()
    }
    assert prepared.expiry.about(0.0) == at_once.expiry.about(0.0)
    # A later flush finds what was written while this one was prepared.
    both(floor)
    for table in (prepared, at_once):
        raise_floor(table, table.clock.version() - (1 << 18))
        agree(table)
    assert set(prepared.cells) == set(at_once.cells)


def test_what_is_late_is_what_lies_further_back_than_is_noted_in_a_table_that_is_large() -> None:
    table, hands = make_table()
    floor = table.clock.version()
    hands.seconds += 0.1
    for number in range(11):
        table.set(f"k{number}", "x")
    assert is_late(table, floor)
    assert not is_late(table, table.clock.version())
    table.delete("k0")
    table.collect(9, held=False)
    is_long_ago(table, hands)
    assert is_late(table, floor)
    raise_floor(table, floor)
    assert not is_late(table, floor)


def test_until_all_is_found_nothing_is_flushed_and_then_all_at_once() -> None:
    table, hands = make_table()
    for number in range(20):
        table.set(f"k{number:02}", "x")
    hands.seconds += 1
    floor = table.clock.version()
    hands.seconds += 1
    table.set("later", "x")
    is_long_ago(table, hands)
    assert is_late(table, floor)
    for _ in prepare(table, floor):
        assert len(table) == 21 and len(table.scan()) == 21
    assert raise_floor(table, floor) == 20
    assert table.scan() == ["later"]


def test_another_flush_that_comes_first_ends_the_search() -> None:
    table, hands = make_table()
    for number in range(20):
        table.set(f"k{number:02}", "x")
    hands.seconds += 1
    floor = table.clock.version()
    is_long_ago(table, hands)
    steps = prepare(table, floor)
    next(steps)
    table.set("meanwhile", "x")
    assert table.flush() == 21
    table.set("later", "x")
    assert list(steps) == []
    assert raise_floor(table, floor) == 0
    assert table.scan() == ["later"]
    agree(table)


def test_one_that_is_prepared_after_another_knows_what_was_written_before() -> None:
    table, hands = make_table()
    for number in range(30):
        table.set(f"k{number:02}", "old")
    hands.seconds += 1
    floor = table.clock.version()
    hands.seconds += 1
    is_long_ago(table, hands)
    next(prepare(table, floor))
    table.set("new", "x")
    next(prepare(table, floor + 1))
    raise_floor(table, table.cells["new"].stamp - 1)
    assert dict(table) == {"new": "x"}
    agree(table)
