"""What is on its way to a node."""

from __future__ import annotations

from collections import deque

from dmqcache.store.outbox.batch import Batch, Transfer
from tests.store.harness import World


def test_a_transfer_is_over_when_nothing_of_it_is_left_here_or_under_way() -> None:
    table = World().side("127.0.0.11").table
    table["a"] = "x"
    transfer = Transfer(table, deque(table.cells.values()), lambda: None)
    assert not transfer.finished()
    transfer.cells.clear()
    transfer.flying = 1
    assert not transfer.finished()
    transfer.flying = 0
    assert transfer.finished()


def test_a_batch_names_each_cell_with_its_table() -> None:
    side = World().side("127.0.0.11")
    side.table["a"] = "x"
    side.table["b"] = "y"
    batch = Batch(by_table=[(side.table, list(side.table.cells.values()))])
    assert [(table is side.table, cell.key) for table, cell in batch.cells] == [(True, "a"), (True, "b")]
