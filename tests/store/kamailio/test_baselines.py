"""What came to a Kamailio after a flush is news, what was there before goes."""

from __future__ import annotations

import pytest

from dmqcache.store.kamailio.baselines import SETTLED_MS
from dmqcache.store.kamailio.compare import ROUTINE_S, STRAY_S
from tests.store.harness import Side, World, cells_body, shown
from tests.store.kamailio.holder import Holder

HOUR_S = 3600.0


def flushed() -> tuple[World, Side, Side, Holder]:
    """Two nodes and a Kamailio; a table is flushed on the one that does not look after the Kamailio."""
    world = World()
    side, other = world.side("127.0.0.11"), world.side("127.0.0.12")
    holder = Holder(world, [side, other])
    world.mesh(side, other)
    side.table["a"] = "x"
    for one in (side, other):
        one.meet(holder.node)
    world.run(STRAY_S + 10)
    assert holder.cells == {"a": "x"}
    other.table.flush()
    world.run(1)
    assert holder.cells == {}
    return world, side, other, holder


def test_what_a_kamailio_loads_from_its_database_after_a_flush_goes_everywhere() -> None:
    world, _, other, holder = flushed()
    world.run(SETTLED_MS / 1000 + 10)
    holder.cells = {"loaded": "from a database", "number": 7}
    world.run(ROUTINE_S + 10)
    assert holder.cells == shown(other) == {"loaded": "from a database", "number": 7}


def test_so_does_what_one_brings_that_starts_an_hour_later() -> None:
    world, side, other, holder = flushed()
    world.run(HOUR_S)
    late = Holder(world, [side, other], "127.0.0.91")
    late.cells = {"loaded": "from a database"}
    for one in (side, other):
        one.meet(late.node)
    world.run(STRAY_S + 10)
    assert holder.cells == late.cells == shown(other) == {"loaded": "from a database"}


@pytest.mark.parametrize("asked", [True, False])
def test_what_a_kamailio_still_holds_of_before_a_flush_goes(asked: bool) -> None:
    """Another one told it, late."""
    world, side, other, holder = flushed()
    world.run(10)
    holder.cells = {"old": "x", "number": 3}
    if asked:
        side.store.compare_all()
    else:
        holder.node.say(side, cells_body(("old", "x"), ("number", 3)))
    world.run(STRAY_S + 10)
    assert holder.cells == shown(side) == shown(other) == {}


def test_a_dump_that_was_asked_for_before_a_flush_brings_nothing_back() -> None:
    world, side, other, holder = flushed()
    world.run(SETTLED_MS / 1000 + 10)
    holder.cells = {"b": "y"}
    world.run(ROUTINE_S + 10)
    assert shown(side) == {"b": "y"}
    body = cells_body(("b", "y"), ("c", "unheard"))
    other.table.flush()
    world.run(0.5)
    holder.node.say(side, body)
    world.run(STRAY_S + 10)
    assert holder.cells == shown(side) == shown(other) == {}
