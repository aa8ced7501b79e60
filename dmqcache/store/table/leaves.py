"""Which cells lie below a part of a table's digest tree: an index made when a repair needs it.

A table keeps only its leaves' sums. Finding the cells of a leaf takes one pass over the table, made in steps
so that a million cells never hold the loop, and kept for a few seconds as repairs come in series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Final

from dmqcache.bus.runtime import Runtime
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.digest import FANOUT_BITS

#: Cells sorted in at once: a millisecond or two.
STEP: Final = 2_000
#: Cells born since, above which an index is made anew.
BORN: Final = 20_000
#: Levels of the tree, at most, that the index has: where there are more, the cells below 16 of the deepest
#: parts stand together, and of one of these a few hundred are looked through. A list for each of 65,536 parts
#: would have Python's cyclic collector run over all of them, for 10 ms and more.
DEPTH: Final = 3
#: Seconds for which an index is kept.
KEPT_S: Final = 15.0


class LeafIndex:
    """Cells by leaf."""

    def __init__(self, table: Cells) -> None:
        self._table = table
        self._begin()

    def _begin(self) -> None:
        table = self._table
        self.depth = min(DEPTH, table.digest.depth)
        self._shift = 64 - FANOUT_BITS * self.depth
        #: A leaf in which nothing stands yet is this one list.
        empty: list[Cell] = []
        self._leaves: list[list[Cell]] = [empty] * (1 << FANOUT_BITS * self.depth)
        #: For each leaf whether a cell may stand in it twice: 1 or 0.
        self._doubtful = bytearray(len(self._leaves))
        self._newest = next(reversed(table.cells.values()), None)
        self._order, self._listed = table.order, table.order.listed
        self._living, self._dead = table.order.walk(STEP), table.tombstones.walk(STEP)

    def step(self) -> bool:
        """Sort in some more cells; True when all are in."""
        if self._table.order is not self._order:
            # A flush has put the cells that it left into another order: some would be missed.
            self._begin()
        keys = next(self._living, None)
        if keys is not None:
            self._sort_in(map(self._table.cells.get, keys))
            return False
        if self._listed != self._order.listed:
            # Then the walk may have come by a key twice.
            self._doubtful = bytearray(b"\1") * len(self._leaves)
        keys = next(self._dead, None)
        if keys is not None:
            self._sort_in(map(self._table.cells.get, keys), doubtful=True)
        return keys is None

    def _sort_in(self, cells: Iterable[Cell | None], doubtful: bool = False) -> None:
        """``doubtful``: they may be in already."""
        leaves, shift = self._leaves, self._shift
        for cell in cells:
            if cell is not None:
                place = cell.hash >> shift
                leaf = leaves[place]
                if leaf:
                    leaf.append(cell)
                else:
                    leaves[place] = [cell]
                if doubtful:
                    self._doubtful[place] = 1

    def catch_up(self) -> bool:
        """Sort in the cells born since; False if they are so many, or so many died at once, that the index is
        to be made anew."""
        if self._table.order is not self._order:
            return False
        born: list[Cell] = []
        # A dictionary keeps the order of birth: what is new stands at its end.
        for cell in reversed(self._table.cells.values()):
            if cell is self._newest:
                break
            born.append(cell)
            if len(born) > BORN:
                return False
        else:
            if self._newest is not None:
                return False
        if born:
            # A key that died and was forgotten, and lives again, stands in the order where it stood.
            self._sort_in(born, doubtful=True)
            self._newest = born[0]
        return True

    def below(self, depth: int, index: int) -> Iterator[Cell]:
        """The live cells below a part of the tree, leaf after leaf."""
        # A cell that a flush killed may still have its value.
        floor = self._table.floor
        if depth > self.depth:
            shift = 64 - FANOUT_BITS * depth
            leaf = index >> FANOUT_BITS * (depth - self.depth)
            return (
                cell
                for cell in self._in(leaf)
                if cell.value is not None and cell.stamp > floor and cell.hash >> shift == index
            )
        width = 1 << FANOUT_BITS * (self.depth - depth)
        places = range(index * width, (index + 1) * width)
        if self._doubtful.find(1, places.start, places.stop) >= 0:
            leaves: Iterable[list[Cell]] = map(self._in, places)
        else:
            leaves = self._leaves[places.start : places.stop]
        below = chain.from_iterable(leaves)
        return (cell for cell in below if cell.value is not None and cell.stamp > floor)

    def _in(self, place: int) -> list[Cell]:
        if self._doubtful[place]:
            self._doubtful[place] = 0
            self._leaves[place] = list({id(cell): cell for cell in self._leaves[place]}.values())
        return self._leaves[place]


class LeafIndexes:
    """The indexes of a store's tables."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ready: dict[str, LeafIndex] = {}
        self._waiting: dict[str, list[Callable[[LeafIndex], None]]] = {}

    def get(self, table: Cells, then: Callable[[LeafIndex], None]) -> None:
        """Call ``then`` with an index of all cells: at once if there is one, else when it is made."""
        held = self._ready.get(table.name)
        if held is not None and held.catch_up():
            then(held)
            return
        if table.name in self._waiting:
            self._waiting[table.name].append(then)
            return
        self._waiting[table.name] = [then]
        self._build(table, LeafIndex(table))

    def _build(self, table: Cells, index: LeafIndex) -> None:
        if not index.step():
            index.catch_up()
            self._runtime.call_later(0, lambda: self._build(table, index))
            return
        if index.catch_up():
            self._ready[table.name] = index
        self._runtime.call_later(KEPT_S, lambda: self._drop(table.name, index))
        # Each on a turn of its own: what they do with it takes a step of the loop each.
        for then in self._waiting.pop(table.name):
            self._runtime.call_later(0, partial(then, index))

    def _drop(self, name: str, index: LeafIndex) -> None:
        if self._ready.get(name) is index:
            del self._ready[name]
