"""What a table tells those who listen, once each, and what bounds it."""

from __future__ import annotations

from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.row import Row
from tests.store.fixtures import make_arrivals, make_table


def test_each_event_is_told_once_and_to_whom_it_concerns() -> None:
    told: list[tuple[str, object]] = []
    listener = TableListener(
        changed=lambda cell: told.append(("changed", cell.key)),
        overwritten=lambda cell: told.append(("overwritten", (cell.key, cell.value))),
        flushed=lambda apart: told.append(("flushed", [keys for keys in apart if keys])),
        buried=lambda apart: told.append(("buried", [keys for keys in apart if keys])),
        expired=lambda cell: told.append(("expired", cell.key)),
        floor_raised=lambda floor: told.append(("floor", floor)),
    )
    one, hands = make_arrivals(listener=listener)
    table = one.table
    one.merge_rows([Row("a", "theirs", table.clock.version())], "sip:127.0.0.12:5060")
    assert not told
    table.set("a", "ours", ttl=1)
    assert told == [("overwritten", ("a", "theirs")), ("changed", "a")]
    told.clear()
    hands.seconds += 1
    assert "a" not in table
    table.sweep(10)
    assert told == [("expired", "a")]
    told.clear()
    table["b"] = "x"
    hands.seconds += 1
    table.flush()
    assert told == [("changed", "b"), ("floor", table.floor), ("flushed", [["b"]])]
    told.clear()
    hands.seconds += 1
    floor = table.clock.version()
    assert raise_floor(table, floor) == 0
    assert told == [("floor", floor), ("buried", [])]
    hands.seconds += 1
    table["c"] = "x"
    told.clear()
    assert raise_floor(table, table.clock.version()) == 1
    assert told == [("floor", table.floor), ("buried", [["c"]])]


def test_a_table_that_nobody_listens_to_has_the_limits_of_the_options() -> None:
    table, _ = make_table()
    table["a"] = "x"
    table.flush()
    assert table.limits == TableLimits()
    assert table.max_value_bytes == table.limits.max_value_bytes
