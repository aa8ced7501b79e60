"""What texts take: as much as Python says, whatever holds them; and what is sent leaves nothing in them."""

from __future__ import annotations

import gc
import sqlite3
import tracemalloc
from sys import getsizeof

import msgspec
import pytest

from dmqcache.store.native.native_message import encode_rows
from dmqcache.store.table.evicting import taken_by, used_by
from dmqcache.store.table.json_bytes import quote
from dmqcache.store.table.kept import KeptPart, rows_of
from dmqcache.store.table.row import row_of
from dmqcache.store.table.table import Table
from dmqcache.store.table.text_size import apart, size_of
from tests.store.fixtures import agree, make_table

UNITS = {
    "ASCII": "abcd",
    "Latin-1": "K\xf6ln",
    "Cyrillic": "\u041c\u043e\u0441\u043a",
    "emoji": "ok \U0001f600",
    "binary": bytes((0x80, 0x04, 0x95, 0xFF)).decode("utf-8", "surrogateescape"),
}


def fresh(unit: str, length: int) -> str:
    """A text that nobody else has."""
    return (unit * (length // len(unit) + 1))[:length]


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_a_text_is_counted_with_what_it_takes(unit: str) -> None:
    for length in (4, 5, 100, 5_000):
        text = fresh(unit, length)
        taken = getsizeof(text) - getsizeof("")
        assert size_of(text) == taken
        if unit != UNITS["binary"]:
            sqlite3.connect(":memory:").execute("SELECT ?", (text,)).fetchall()
            msgspec.json.encode(text)
            assert size_of(text) == taken, "the same when it has its UTF-8 with it"
    assert size_of("") == 0 and size_of(7) == 8


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_many_cells_take_what_is_counted_of_their_texts(unit: str) -> None:
    """Beside the same number of cells with empty values."""
    length, cells = 3_000, 100

    def taken(value_length: int) -> tuple[int, int]:
        table, _ = make_table()
        gc.collect()
        tracemalloc.start()
        for number in range(cells):
            table.set(f"k{number}", fresh(unit, value_length))
        found = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return found, used_by(table)

    small, large = taken(0), taken(length)
    assert (large[0] - small[0]) / (large[1] - small[1]) == pytest.approx(1, abs=0.02)


@pytest.fixture
def mixed() -> Table:
    table, _ = make_table()
    for name, unit in UNITS.items():
        table.set(fresh(unit, 6), fresh(unit, 50))
        table.set(name, fresh(unit, 9), ttl=60)
    return table


def test_the_books_agree_whatever_is_written_over_and_deleted(mixed: Table) -> None:
    agree(mixed)
    assert used_by(mixed) == sum(taken_by(cell) for cell in mixed.cells.values())
    units = list(UNITS.values())
    for place, name in enumerate(UNITS):
        mixed.set(name, fresh(units[place - 1], 20))
        agree(mixed)
    for key in list(mixed):
        del mixed[key]
        agree(mixed)
    assert mixed.text_bytes == 0


def test_what_is_sent_or_kept_leaves_nothing_in_the_texts(mixed: Table) -> None:
    def taken() -> list[int]:
        return [getsizeof(text) for cell in mixed.cells.values() for text in (cell.key, cell.value)]

    before, part = taken(), KeptPart()
    part.add(mixed, list(mixed.cells), 0.0, 0)
    kept = [*rows_of(part.plain), *part.rows]
    for cell, row in zip(mixed.cells.values(), kept, strict=True):
        quote(cell.key)
        quote(str(cell.value))
        for one in (row_of(cell, 0.0), (row.key, row.value)):
            try:
                encode_rows({"t": [one]}, {}, False)
                sqlite3.connect(":memory:").execute("SELECT ?, ?", one[:2]).fetchall()
            except UnicodeError:
                assert "\udc80" in str(one[1])
    assert taken() == before


def test_an_ascii_text_is_not_copied() -> None:
    for text, copied in (("abc", False), ("K\xf6ln", True), ("", False)):
        assert (apart(text) is not text) is copied
        assert apart(text) == text
