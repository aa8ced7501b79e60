"""New books say of the cells that are entered what a table's own say, and nothing of one that leaves."""

from __future__ import annotations

from dmqcache.store.table.new_books import NewBooks
from tests.store.fixtures import make_table


def test_books_with_all_cells_are_those_of_the_table_and_empty_again_when_all_have_left() -> None:
    table, hands = make_table()
    table.set("a", "xyz", ttl=60)
    table.set("n", 7)
    table.incr("count")
    table.set("gone", "x")
    table.delete("gone")
    books = NewBooks(table.digest.depth)
    entries = {key: books.enter(cell, table.tombstones) for key, cell in table.cells.items()}
    assert (books.live, books.text_bytes) == (table.live, table.text_bytes)
    assert books.digest.leaves == table.digest.leaves
    assert list(books.order.after(None)) == table.scan()
    assert books.tombstones.died_at("gone") == hands.seconds and len(books.tombstones) == 1
    assert books.expiry.about(hands.seconds) == table.expiry.about(hands.seconds)
    table.set("a", "another", ttl=90)
    table.delete("n")
    for key, entry in entries.items():
        books.leave(key, entry)
    assert (books.cells, books.live, books.text_bytes, len(books.tombstones)) == ({}, 0, 0, 0)
    assert not any(books.digest.leaves)
    assert list(books.order.after(None)) == [] and books.expiry.due(float("inf"), 10) == []
