"""A dictionary that keeps hashes, however it grows; the tables have such."""

from __future__ import annotations

from sys import getsizeof

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.hashed_dict import hashed_dict
from dmqcache.store.table.new_books import NewBooks
from tests.store.fixtures import make_table

#: It has grown several times then.
COUNT = 1_000


def test_it_is_empty_at_first() -> None:
    assert hashed_dict() == {} and not list(hashed_dict())


def test_it_keeps_the_hashes_of_its_keys_beside_them() -> None:
    """By its size, as nothing else shows it: three words for a key, where two are usual."""
    cells = {f"k{number}": Cell(f"k{number}", 1, None, 0) for number in range(COUNT)}
    kept = hashed_dict()
    kept.update((key, cell) for key, cell in cells.items())
    assert kept == cells
    assert getsizeof(kept) > 1.2 * getsizeof(cells)


def test_tables_have_such_a_one_before_and_after_a_flush() -> None:
    table, _ = make_table()
    for cells in (table.cells, NewBooks(2).cells):
        assert getsizeof(cells) > getsizeof({"": None})
    for number in range(COUNT):
        table[f"k{number}"] = "x"
    former = getsizeof(table.cells)
    table.flush()
    for number in range(COUNT):
        table[f"k{number}"] = "x"
    assert getsizeof(table.cells) == former > 1.2 * getsizeof(dict(table.cells.items()))
