"""A flush reaches every dmqcache node, and none from the future is believed."""

from __future__ import annotations

from dmqcache.store.native.native_message import decode_answer
from tests.store.harness import shown
from tests.store.native.native_hosts import with_node


def test_a_flush_travels_with_everything_sent_after_it() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(0.1)
    side.table.flush()
    side.table["b"] = "y"
    world.run(0.1)
    told = [body["floors"] for body in other.seen() if body.get("floors")]
    assert told == [{"t": side.table.floor}] * len(told) and len(told) >= 2


def test_a_flush_of_another_node_is_heard_but_not_one_from_the_future() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(1)
    limit = side.store.clock.limit()
    assert other.tell(side, floors={"t": side.store.clock.version()}).body == b""
    assert shown(side) == {}
    floor = side.table.floor
    assert decode_answer(other.tell(side, floors={"t": limit + 1}).body).ahead is True
    assert (side.table.floor, side.store.counters.refused["t", "future"]) == (floor, 1)
    side.table["b"] = "still possible"
    assert shown(side) == {"b": "still possible"}
