"""The way to one node: cells go to its outbox while it has one, and to nobody when it left."""

from __future__ import annotations

from collections import deque

from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.floors import Floors
from dmqcache.store.native.native_message import NativeMessage, decode
from dmqcache.store.native.with_node import ANSWER_TIMEOUT_S, Ways
from dmqcache.store.outbox.batch import Transfer
from dmqcache.store.table.leaves import LeafIndexes
from tests.store.native.native_hosts import rows, with_node


def test_it_asks_the_node_and_gives_it_cells_while_it_is_there() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(1)
    store = side.store
    ground = Ground(side.runtime, store.clock, store.counters, store.tables)
    channel = Channel(side.bus, "dmqcache")
    answers = AnswerReader(ground, store.outboxes, lambda node: None)
    floors = Floors(ground, store.outboxes, channel, answers)
    leaves = LeafIndexes(side.runtime)
    way = Ways(ground, store.outboxes, channel, leaves, floors, answers).to(other.uri)
    statuses: list[int] = []
    other.got.clear()
    way.send(NativeMessage(ask={"t": []}), lambda response: statuses.append(response.status))
    world.run(1)
    assert statuses == [200]
    assert decode(other.got[0].body).ask == {"t": []} and other.got[0].timeout == ANSWER_TIMEOUT_S
    other.got.clear()
    way.give(Transfer(side.table, deque(side.table.cells.values()), lambda: None))
    world.run(1)
    assert [row[:2] for row in rows(other)] == [["a", "x"]]
    side.part(other)
    other.got.clear()
    way.give(Transfer(side.table, deque(side.table.cells.values()), lambda: None))
    world.run(1)
    assert way.outbox() is None and other.got == []
