"""The digest of a table: the sum of its cells whatever came in which order, and the tree above the leaves."""

from __future__ import annotations

import random
from typing import Any

import pytest

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
    assert digest.children(2, 17) == [leaf & MASK for leaf in digest.leaves[17 * 16 : 18 * 16]]


class Looked(list[int]):
    """Numbers, of which it is counted how many are looked at."""

    count = 0

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        self.count += len(found) if isinstance(place, slice) else 1
        return found


@pytest.mark.parametrize("depth", range(MAX_DEPTH))
def test_no_sum_of_a_large_table_looks_at_more_than_a_few_hundred_numbers(depth: int) -> None:
    """One comparison asks for the sums of each table in one step of the loop."""
    digest = Digest(MAX_DEPTH)
    digest.leaves, digest.upper = Looked(digest.leaves), Looked(digest.upper)
    digest.node(depth, 0)
    digest.children(depth, 0)
    assert digest.leaves.count + digest.upper.count <= 2 << FANOUT_BITS * MIN_DEPTH


def test_a_change_lands_below_the_top_bits_of_the_hash() -> None:
    digest = Digest()
    digest.change(0xAB << 56, 0, 5)
    assert (digest.node(1, 0xA), digest.node(2, 0xAB), digest.node(2, 0xAC)) == (5, 5, 0)
    digest.change(0xAB << 56, 5, 3)
    digest.change(0xAB << 56, 3, 0)
    assert digest.node(0, 0) == 0


def test_no_level_of_leaves_is_made_of_more_cells_than_a_step_sorts_in() -> None:
    assert max(Digest(depth).roomy() for depth in range(MIN_DEPTH, MAX_DEPTH)) <= 20_000


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
