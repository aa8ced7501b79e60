"""New books of a table, for the cells that a flush leaves: a table with few of its cells left takes these.

Owns what is entered where, as :class:`~dmqcache.store.table.cells.Cells` keeps it with each change. Which
cells are left, and when the table takes the books, is decided in ``floor_raising.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

from dmqcache.store.table.cell import EXPIRED, NEVER, Cell
from dmqcache.store.table.digest import Digest
from dmqcache.store.table.expiry import ExpiryIndex
from dmqcache.store.table.hashed_dict import hashed_dict
from dmqcache.store.table.order import KeyOrder
from dmqcache.store.table.text_size import size_of
from dmqcache.store.table.tombstones import Tombstones


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What of a cell stands in the books. Of half a million of them Python's cyclic collector would look at
    all, now and then, for 10 ms and more."""

    hash: int
    digest: int
    expires: float
    #: Bytes of key and value; -1: it is a tombstone.
    size: int


class NewBooks:
    """Cells, and what is kept beside them."""

    def __init__(self, depth: int) -> None:
        """``depth``: of the digest."""
        self.cells: dict[str, Cell] = hashed_dict()
        self.live = 0
        self.text_bytes = 0
        self.order = KeyOrder()
        self.expiry = ExpiryIndex()
        self.tombstones = Tombstones()
        self.digest = Digest(depth)

    def with_all(self, cells: Iterable[Cell], former: Tombstones) -> Self:
        """Enter these. ``former``: where it says when they died."""
        for cell in cells:
            self.enter(cell, former)
        return self

    def enter(self, cell: Cell, former: Tombstones) -> Entry:
        """Enter a cell that is not there; what it returns :meth:`leave` needs."""
        key, size = cell.key, -1
        self.cells[key] = cell
        self.digest.change(cell.hash, 0, cell.digest)
        if cell.expires != NEVER:
            self.expiry.move(key, NEVER, cell.expires)
        if cell.value is not None:
            size = size_of(key) + size_of(cell.value)
            self.live += 1
            self.text_bytes += size
            self.order.add(key)
        elif (died := former.died_at(key)) is not None:
            self.tombstones.add(key, died, bool(cell.flags & EXPIRED))
        return Entry(cell.hash, cell.digest, cell.expires, size)

    def leave(self, key: str, entry: Entry) -> None:
        """Take out a cell, whatever it has become since it was entered."""
        del self.cells[key]
        self.digest.change(entry.hash, entry.digest, 0)
        if entry.expires != NEVER:
            self.expiry.move(key, entry.expires, NEVER)
        if entry.size >= 0:
            self.live -= 1
            self.text_bytes -= entry.size
            self.order.discard(key)
        self.tombstones.remove(key)
