"""A flush, made here or heard of, raises a table's floor: what has a version up to it is dead in one moment.

Owns how that is done: the dead are taken out of the table's books one by one, or the table takes new books
for the few cells that are left. Owns too whether a flush comes so late that it must be prepared in steps;
the steps are ``late_flush.py``'s. What was written lately, and taking the dead apart, are ``flushing.py``'s;
which floors are believed, and who is told of them, ``native/floors.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.flushing import APART, take_apart
from dmqcache.store.table.happenings import FLUSHED, NOTHING
from dmqcache.store.table.late_flush import LateFlush
from dmqcache.store.table.new_books import NewBooks

#: Where a flush leaves less than one cell in so many, the table's books are made anew.
FEW_KEPT: Final = 4
#: By so much a write may be earlier than a flush and not be known where that is made.
JUST_BEFORE: Final = version_at(1_000)
#: Cells that a flush may look at, or leave, at once: some milliseconds.
AT_ONCE: Final = 1_000


def is_late(table: Cells, floor: int) -> bool:
    """Whether :func:`raise_floor` would take long now, so that :func:`prepare` is to come before."""
    if floor <= table.floor or len(table.cells) <= AT_ONCE:
        return False
    return floor < table.recent.horizon or len(table.recent.noted_above(floor, AT_ONCE)) > AT_ONCE


def prepare(table: Cells, floor: int) -> Iterator[None]:
    """Who runs through this, some pieces at a time, and then calls :func:`raise_floor` in the same turn
    of the loop, holds nobody up. Until then nothing is flushed. One at a time."""
    unprepare(table)
    table.late = LateFlush(table, floor)
    table.use_recent()
    return table.late.steps()


def unprepare(table: Cells) -> LateFlush | None:
    """The flush that was prepared happens now, or not at all: for it nothing is noted any more."""
    late, table.late = table.late, None
    if late is not None:
        late.end()
    return late


def raise_floor(table: Cells, floor: int) -> int:
    """Everything with a version up to ``floor`` is dead, tombstones too; returns how many cells died."""
    unknown = _written_just_before(table, floor)
    count, apart = sink(table, floor)
    table.listener.buried(apart)
    if unknown:
        table.listener.unknown_died(unknown)
    return count


def _written_just_before(table: Cells, floor: int) -> list[str]:
    """Keys that this node wrote so shortly before a flush that is heard of now that who made it need not have
    known them."""
    if floor <= table.floor or floor < table.recent.horizon:
        return []
    noted = table.recent.noted_above(max(table.recent.horizon, floor - JUST_BEFORE))
    cells = (table.cells.get(key) for key in noted)
    return [
        cell.key
        for cell in cells
        if cell and cell.stamp <= floor and cell.value is not None and not cell.writer
    ]


def sink(table: Cells, floor: int) -> tuple[int, Iterator[list[str]]]:
    """The same. What died is hidden from everybody at once; who runs through the iterator takes it apart,
    tells those who watch, and gets the keys, some at a time."""
    late = unprepare(table)
    if floor <= table.floor:
        return 0, iter(())
    table.floor = floor
    if late is not None and late.ready and late.floor == floor:
        memory = late.emptied(APART)
        count, apart = (
            _kill(table, late.dead, memory) if late.books is None else _adopt(table, late.books, memory)
        )
    else:
        kept = table.recent.above(floor, table.cells)
        if len(kept) * FEW_KEPT <= len(table.cells):
            count, apart = _adopt(table, NewBooks(table.digest.depth).with_all(kept, table.tombstones))
        else:
            count, apart = _kill(table, list(table.cells))
    table.listener.floor_raised(floor)
    table.tell("", FLUSHED)
    return count, apart


def _kill(table: Cells, keys: Iterable[str], *memory: Iterator[None]) -> tuple[int, Iterator[list[str]]]:
    """Forget those cells of these keys that a flush killed, one by one; returns how many lived, and their
    keys."""
    lived: list[str] = []
    for key in keys:
        cell = table.cells.get(key)
        if cell is None or cell.stamp > table.floor:
            continue
        if cell.value is not None:
            lived.append(key)
            table._to_tombstone(cell, NOTHING)
        table.tombstones.remove(key)
        del table.cells[key]
    return len(lived), chain([lived], take_apart({}, table.floor, dict, table.tell, *memory))


def _adopt(table: Cells, books: NewBooks, *memory: Iterator[None]) -> tuple[int, Iterator[list[str]]]:
    """Forget all cells but those in new books: that takes no longer the more there are. Returns how many
    lived, and who takes them apart."""
    former, lived = table.cells, table.live
    order, expiry, digest, tombstones = table.order, table.expiry, table.digest, table.tombstones
    emptied = (part.emptied(APART) for part in (order, expiry, digest, tombstones))
    table.adopt(books)
    apart = take_apart(former, table.floor, lambda: table.cells, table.tell, *emptied, *memory)
    return lived - table.live, apart
