"""A dmqcache node that was cut off tells a Kamailio what others knew better: no write of the Kamailio's."""

from __future__ import annotations

import pytest

from dmqcache.store.kamailio.behind import HEARS_S
from dmqcache.store.kamailio.compare import ROUTINE_S
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.merge import LATE_MS
from dmqcache.store.table.row import Row
from tests.store.harness import Side, World, shown
from tests.store.kamailio.holder import Holder


def test_what_a_node_told_that_was_behind_does_not_win_over_what_others_wrote_since() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    holder = Holder(world, [one])
    world.mesh(one, two)
    for side in (one, two):
        side.meet(holder.node)
    two.table["a"], two.table["b"] = "old", "old"
    world.run(5)
    assert shown(one) == holder.cells == {"a": "old", "b": "old"}
    one.lose(two)
    two.lose(one)
    two.lose(holder.node)
    del one.table["a"]
    one.table["b"] = "new"
    world.run(10)
    assert holder.cells == {"b": "new"}
    known = one.bus.nodes.get(holder.node.uri)
    assert known is not None
    known.last_answer = one.runtime.now()
    one.lose(holder.node)
    holder.cells.clear()  # It is started anew, and knows nobody else.
    holder.to = [two]
    two.meet(holder.node).started = two.store.clock.now()
    world.run(70)
    assert holder.cells == {"a": "old", "b": "old"}
    holder.to = [one]
    world.mesh(one, two)
    one.meet(holder.node)
    world.run(15)
    assert shown(one) == shown(two) == holder.cells == {"b": "new"}


def test_what_a_node_deleted_that_was_behind_is_not_taken_for_removed_by_a_kamailio() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    holder = Holder(world, [one])
    world.mesh(one, two)
    for side in (one, two):
        side.meet(holder.node)
    one.table["a"], one.table["b"] = "old", "x"
    world.run(5)
    for side, other in ((one, two), (two, one), (two, holder)):
        side.lose(other if isinstance(other, Side) else other.node)
    del two.table["a"]
    world.run(5)
    one.table["a"] = "new"
    world.run(3 * ROUTINE_S)
    assert holder.cells == {"a": "new", "b": "x"}
    # First it tells what it could not tell.
    two.meet(holder.node)
    world.run(1.1)
    assert holder.cells == {"b": "x"}
    world.mesh(one, two)
    world.run(3 * ROUTINE_S)
    assert shown(one) == shown(two) == holder.cells == {"a": "new", "b": "x"}


@pytest.fixture
def side() -> Side:
    """A node that was just alone with a Kamailio, and meets one that looks after it now."""
    world = World()
    side, other = world.side("127.0.0.12"), world.side("127.0.0.11")
    side.meet(Holder(world, [side]).node)
    for key, value in (("a", "old"), ("another's", "old"), ("same", "x"), ("deleted", "x")):
        side.table[key] = value
    side.table.cells["another's"].writer = "sip:127.0.0.13"
    del side.table["deleted"]
    world.run(2 + LATE_MS / 1000)
    world.mesh(side, other)
    world.run(5)
    return side


def replaced(side: Side, *rows: Row) -> list[str]:
    return side.store.replica._behind.replaced(side.table, rows)


def rows(side: Side, seconds: float) -> list[Row]:
    """Of so long ago."""
    stamp = version_at(side.store.clock.wall_ms() - int(seconds * 1000))
    return [Row(key, "x", stamp) for key in ("a", "another's", "deleted", "same", "unknown")]


def test_only_what_was_written_long_ago_and_replaces_something_is_told_once_more(side: Side) -> None:
    assert replaced(side, *rows(side, 1 + LATE_MS / 1000)) == ["a", "another's", "deleted"]
    assert replaced(side, *rows(side, 1)) == []
    # Another one looks after the Kamailio: it tells what it wrote itself.
    side.world.run(HEARS_S)
    assert replaced(side, *rows(side, 5 + LATE_MS / 1000)) == ["a", "deleted"]


def test_what_was_read_from_disk_was_told_by_nobody_here(side: Side) -> None:
    # Without an initial sync it has told its own writes all the same.
    side.store._ground.ready = False
    late = rows(side, 1 + LATE_MS / 1000)
    assert replaced(side, *late) == ["a", "deleted"]
    side.store.replica._behind._began = side.store.clock.version()  # type: ignore[attr-defined]
    assert replaced(side, *late) == []


def test_without_kamailio_nodes_nothing_is_looked_at() -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "old"
    world.run(10 + LATE_MS / 1000)
    assert replaced(side, *rows(side, 5 + LATE_MS / 1000)) == []
