"""A table's digest, kept with each change: sums of cell numbers in leaves by the key's hash.

Two nodes compare the sum of all leaves, then of 16 parts of what differs, and so on down to the leaves:
equal tables of a million cells are compared by one number. The tree above the leaves is summed when asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from dmqcache.store.table.cell import MASK

#: Children of a tree node: four bits of the key's hash a level.
FANOUT_BITS = 4
#: 256 leaves in a small table (2 kB), 65,536 in a large one: about 15 cells a leaf at a million.
MIN_DEPTH = 2
MAX_DEPTH = 4
#: A table gets the next level of leaves when these are so full: a leaf's summary stays about 100 bytes.
CELLS_PER_LEAF = 16


class Digest:
    """Leaves are numbered by the top ``4 * depth`` bits of the key's hash."""

    def __init__(self, depth: int = MIN_DEPTH) -> None:
        self.depth = depth
        self.shift = 64 - FANOUT_BITS * depth
        self.leaves: list[int] = [0] * (1 << FANOUT_BITS * depth)

    def change(self, key_hash: int, before: int, after: int) -> None:
        """A cell's number changed. The table's hot paths do the same in line."""
        leaf = key_hash >> self.shift
        self.leaves[leaf] = (self.leaves[leaf] + after - before) & MASK

    def emptied(self, count: int) -> Iterator[None]:
        """Give the memory back, ``count`` leaves at a time: nobody asks for sums any more."""
        while self.leaves:
            del self.leaves[-count:]
            yield

    def roomy(self) -> float:
        """Up to how many cells these leaves are enough."""
        return CELLS_PER_LEAF * len(self.leaves) if self.depth < MAX_DEPTH else float("inf")

    def node(self, depth: int, index: int) -> int:
        """The sum below one node of the tree; depth 0, index 0 is the whole table."""
        width = 1 << FANOUT_BITS * (self.depth - depth)
        return sum(self.leaves[index * width : (index + 1) * width]) & MASK

    def children(self, depth: int, index: int) -> list[int]:
        """The sums below a node's 16 children."""
        first = index << FANOUT_BITS
        return [self.node(depth + 1, child) for child in range(first, first + (1 << FANOUT_BITS))]
