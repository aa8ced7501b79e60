"""The index of a table's leaves: in steps, complete, and never missing what was born since."""

from __future__ import annotations

from dmqcache.store.table.cell import NEVER
from dmqcache.store.table.digest import MAX_DEPTH
from dmqcache.store.table.floor_raising import sink
from dmqcache.store.table.leaves import BORN, KEPT_S, STEP, LeafIndex, LeafIndexes
from dmqcache.store.table.new_books import NewBooks
from dmqcache.store.table.table import Table
from tests.bus.virtual import Clock, VirtualRuntime
from tests.store.fixtures import make_table


def setup() -> tuple[Table, LeafIndexes, Clock]:
    clock = Clock()
    return make_table()[0], LeafIndexes(VirtualRuntime(clock)), clock


def keys(index: LeafIndex, depth: int = 0, place: int = 0) -> list[str]:
    return sorted(cell.key for cell in index.below(depth, place))


def take(indexes: LeafIndexes, table: Table, clock: Clock) -> LeafIndex:
    got: list[LeafIndex] = []
    indexes.get(table, got.append)
    clock.run(1)
    return got[0]


def test_every_live_cell_stands_below_its_part_at_every_depth() -> None:
    table, indexes, clock = setup()
    for number in range(600):
        table[f"k{number}"] = number
    del table["k7"]
    index = take(indexes, table, clock)
    assert len(keys(index)) == 599
    for depth in (1, 2, 3, 4):
        parts = [keys(index, depth, place) for place in range(16**depth)]
        assert sum(map(len, parts)) == 599
        for place in (0, 16**depth - 1):
            sums = sum(cell.digest for cell in index.below(depth, place)) % (1 << 64)
            assert depth > table.digest.depth or sums == table.digest.node(depth, place)


def test_an_index_of_a_large_table_is_no_more_lists_than_python_s_collector_leaves_alone() -> None:
    """A node has it run at 50,000 new lists, and a run over these took 10 to 40 ms."""
    table, indexes, clock = setup()
    table.adopt(NewBooks(MAX_DEPTH))
    for number in range(6_000):
        table[f"k{number}"] = number
    index = take(indexes, table, clock)
    assert len(set(map(id, index._leaves))) <= 16**3
    place = table.cells["k77"].hash >> table.digest.shift
    assert "k77" in keys(index, MAX_DEPTH, place)
    assert sum(cell.digest for cell in index.below(MAX_DEPTH, place)) == table.digest.leaves[place]


def test_a_large_table_is_sorted_in_by_steps_and_all_who_ask_get_one_index() -> None:
    table, indexes, clock = setup()
    for number in range(STEP + 10):
        table[f"k{number}"] = number
    got: list[LeafIndex] = []
    indexes.get(table, got.append)
    indexes.get(table, got.append)
    assert got == []
    table["born meanwhile"] = 1
    clock.run(0.1)
    assert got[0] is got[1]
    assert len(keys(got[0])) == STEP + 11


def test_each_who_waited_for_an_index_has_a_turn_of_the_loop_to_use_it() -> None:
    table, indexes, clock = setup()
    table["a"] = 1
    turns: list[int] = []
    clock.call_later(0, lambda: turns.append(0))

    def use(index: LeafIndex) -> None:
        clock.call_later(0, lambda: turns.append(2))
        turns.append(1)

    for _ in range(3):
        indexes.get(table, use)
    clock.run(0.1)
    assert turns == [0, 1, 1, 1, 2, 2, 2]


def test_what_was_born_since_is_there_and_what_died_is_not() -> None:
    table, indexes, clock = setup()
    table["a"] = 1
    first = take(indexes, table, clock)
    table["b"] = 2
    del table["a"]
    second = take(indexes, table, clock)
    assert second is first
    assert keys(second) == ["b"]
    table["c"] = 3
    table["a"] = 4
    assert keys(take(indexes, table, clock)) == ["a", "b", "c"]


def test_what_is_listed_born_or_lives_again_while_an_index_is_made_stands_there_once() -> None:
    table, indexes, clock = setup()
    for number in range(3 * STEP):
        table[f"k{number:05}"] = number
    del table["k00007"]
    got: list[LeafIndex] = []
    indexes.get(table, got.append)
    table.scan()
    table["k00007"] = 7
    table["born"] = 1
    clock.run(0.1)
    assert keys(got[0]) == table.scan() and len(table) == 3 * STEP + 1


def test_a_key_that_was_forgotten_and_lives_again_while_an_index_is_made_stands_there_once() -> None:
    table, indexes, clock = setup()
    for number in range(3 * STEP):
        table[f"k{number:05}"] = number
    late = f"k{3 * STEP - 1:05}"
    del table[late]
    got: list[LeafIndex] = []
    indexes.get(table, got.append)
    table.forget([table.cells[late]])
    table[late] = 1
    clock.run(0.1)
    assert keys(got[0]) == sorted(table) and len(table) == 3 * STEP
    assert keys(take(indexes, table, clock)) == sorted(table)


def test_an_index_of_an_empty_table_catches_up() -> None:
    table, indexes, clock = setup()
    assert keys(take(indexes, table, clock)) == []
    table["a"] = 1
    assert keys(take(indexes, table, clock)) == ["a"]


def test_the_index_is_made_anew_after_a_flush_or_very_many_births() -> None:
    table, indexes, clock = setup()
    table["a"] = 1
    first = take(indexes, table, clock)
    table.flush()
    table["b"] = 2
    second = take(indexes, table, clock)
    assert second is not first
    assert keys(second) == ["b"]
    for number in range(BORN + 1):
        table[f"k{number}"] = number
    third = take(indexes, table, clock)
    assert third is not second
    assert len(keys(third)) == BORN + 2


def test_an_index_is_forgotten_after_a_while() -> None:
    table, indexes, clock = setup()
    table["a"] = 1
    first = take(indexes, table, clock)
    clock.run(KEPT_S + 1)
    assert take(indexes, table, clock) is not first


def test_what_a_flush_leaves_while_an_index_is_made_stands_there() -> None:
    table, indexes, clock = setup()
    for number in range(6 * STEP):
        table[f"old{number:05}"] = number
    floor = max(cell.stamp for cell in table.cells.values())
    for number in range(STEP):
        table._write(None, f"new{number:05}", number, 0, NEVER, 0)
    got: list[LeafIndex] = []
    indexes.get(table, got.append)
    for _ in sink(table, floor)[1]:
        pass
    clock.run(1)
    assert len(keys(got[0])) == len(table)
