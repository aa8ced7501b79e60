"""A clock that stands still until it is moved, and tables on it."""

from __future__ import annotations

from typing import Any

from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.native.native_message import decode, encode_rows
from dmqcache.store.table.cell import cell_digest
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.row import Row, escaped, row_of
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from dmqcache.store.table.text_size import size_of

START_MS = 1_700_000_000_000


class Hands:
    """The hands of a clock."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.jump_ms = 0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return START_MS + int(self.seconds * 1000) + self.jump_ms


def nobody_watches(*_: object) -> Any:
    """With what a table of no loop is watched: not at all."""


def make_table(
    declared: str = "t", hands: Hands | None = None, identity: str = "me", **given: Any
) -> tuple[Table, Hands]:
    """``given``: limits, listener and home of the table."""
    hands = hands or Hands()
    clock = Clock(hands.now, hands.wall_ms)
    return Table(TableSettings.parse(declared), clock, identity=identity, **given), hands


def make_arrivals(
    declared: str = "t", hands: Hands | None = None, identity: str = "me", **given: Any
) -> tuple[KamailioArrivals, Hands]:
    table, hands = make_table(declared, hands, identity, **given)
    return KamailioArrivals(table, StoreCounters()), hands


def rows_of(table: Table, *keys: str) -> list[Row]:
    """Rows as they come out at another node."""
    now = table.clock.now()
    rows = [row_of(table.cells[key], now) for key in keys]
    try:
        body = encode_rows({"t": rows}, {}, False)
    except UnicodeError:
        body = encode_rows({"t": [escaped(row) for row in rows]}, {}, False)
    return decode(body).rows["t"]


def books(table: Table) -> tuple[object, ...]:
    """What a table keeps beside its cells: alike before and after, nothing was changed."""
    return (table.live, table.text_bytes, list(table.cells), table.digest.leaves[:], len(table.tombstones))


def agree(table: Table) -> None:
    """Count everything again from the cells alone."""
    live = [cell for cell in table.cells.values() if cell.value is not None]
    assert table.live == len(live)
    assert table.text_bytes == sum(size_of(cell.key) + size_of(cell.value) for cell in live)
    assert sorted(table.tombstones) == sorted(cell.key for cell in table.cells.values() if cell.value is None)
    assert sum(table.digest.leaves) == sum(table.digest.upper) == sum(map(cell_digest, live))
