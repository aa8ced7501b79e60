"""The digest of a table: the sum of its cells whatever came in which order, and the tree above the leaves."""

from __future__ import annotations

import random

from dmqcache.store.table.cell import MASK, cell_digest
from dmqcache.store.table.digest import CELLS_PER_LEAF, FANOUT_BITS, MAX_DEPTH, MIN_DEPTH, Digest
from tests.store.fixtures import make_table


def test_children_add_up_to_their_parent_down_to_the_leaves() -> None:
    digest = Digest(3)
    chance = random.Random(1)
    for _ in range(2000):
        digest.change(chance.getrandbits(64), 0, chance.getrandbits(64))
    for depth, index in ((0, 0), (1, 9), (2, 200)):
        assert sum(digest.children(depth, index)) & MASK == digest.node(depth, index)
    assert digest.children(2, 17) == digest.leaves[17 * 16 : 18 * 16]


def test_a_change_lands_below_the_top_bits_of_the_hash() -> None:
    digest = Digest()
    digest.change(0xAB << 56, 0, 5)
    assert (digest.node(1, 0xA), digest.node(2, 0xAB), digest.node(2, 0xAC)) == (5, 5, 0)
    digest.change(0xAB << 56, 5, 3)
    digest.change(0xAB << 56, 3, 0)
    assert digest.node(0, 0) == 0


def test_leaves_grow_with_the_table_and_no_further_than_the_deepest() -> None:
    assert Digest(MIN_DEPTH).roomy() == CELLS_PER_LEAF << FANOUT_BITS * MIN_DEPTH
    assert Digest(MAX_DEPTH).roomy() == float("inf")


def test_a_table_that_outgrew_its_leaves_has_the_same_sum_in_deeper_ones() -> None:
    table, _ = make_table()
    for number in range(CELLS_PER_LEAF << FANOUT_BITS * MIN_DEPTH):
        table[f"k{number}"] = "x"
    assert table.digest.depth == MIN_DEPTH
    table["one more"] = "x"
    assert table.digest.depth == MIN_DEPTH + 1
    assert table.digest.node(0, 0) == sum(cell_digest(cell) for cell in table.cells.values()) & MASK
    for key in list(table):
        del table[key]
    assert not any(table.digest.leaves)


def test_the_memory_of_the_leaves_is_given_back_some_at_a_time() -> None:
    digest = Digest()
    assert [len(digest.leaves) for _ in digest.emptied(100)] == [156, 56, 0]
