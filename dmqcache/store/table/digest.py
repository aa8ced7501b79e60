"""A table's digest, kept with each change: sums of cell numbers in leaves by the key's hash.

Two nodes compare the sum of all leaves, then of 16 parts of what differs, and so on down to the leaves:
equal tables of a million cells are compared by one number. Two levels are kept, the leaves and the 256 nodes
above all of them; what lies between and above is summed when asked, of 256 numbers at most. To sum up 65,536
leaves takes 3 ms, and 10 where they lie about in memory, in each comparison.
"""

from __future__ import annotations

from collections.abc import Iterator

from dmqcache.store.table.cell import MASK

#: Children of a tree node: four bits of the key's hash a level.
FANOUT_BITS = 4
#: 256 leaves in a small table (2 kB), 65,536 in a large one: about 15 cells a leaf at a million.
MIN_DEPTH = 2
MAX_DEPTH = 4
#: A table gets the next level of leaves when these are so full on average: at 1,024 cells and at 16,384. All
#: cells are sorted in anew then, in one step of the loop.
CELLS_PER_LEAF = 4
#: By so many bits of a key's hash, the node above its leaf, at the depth MIN_DEPTH, is numbered.
UPPER_SHIFT = 64 - FANOUT_BITS * MIN_DEPTH


class Digest:
    """Leaves are numbered by the top ``4 * depth`` bits of the key's hash."""

    def __init__(self, depth: int = MIN_DEPTH) -> None:
        self.depth = depth
        self.shift = 64 - FANOUT_BITS * depth
        #: Sums as they are, not yet cut down to 64 bits: that is one operation less for each write.
        self.leaves: list[int] = [0] * (1 << FANOUT_BITS * depth)
        #: The same of the nodes at MIN_DEPTH.
        self.upper: list[int] = [0] * (1 << FANOUT_BITS * MIN_DEPTH)

    def change(self, key_hash: int, before: int, after: int) -> None:
        """A cell's number changed. The table's hot paths do the same in line."""
        self.leaves[key_hash >> self.shift] += after - before
        self.upper[key_hash >> UPPER_SHIFT] += after - before

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
        kept, at = (self.upper, MIN_DEPTH) if depth <= MIN_DEPTH else (self.leaves, self.depth)
        width = 1 << FANOUT_BITS * (at - depth)
        return sum(kept[index * width : (index + 1) * width]) & MASK

    def children(self, depth: int, index: int) -> list[int]:
        """The sums below a node's 16 children."""
        first = index << FANOUT_BITS
        return [self.node(depth + 1, child) for child in range(first, first + (1 << FANOUT_BITS))]
