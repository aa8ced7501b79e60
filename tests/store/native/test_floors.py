"""A flush reaches every dmqcache node, and none from the future is believed."""

from __future__ import annotations

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
    other.tell(side, floors={"t": side.store.clock.raw_ms()})
    assert shown(side) == {}
    other.tell(side, floors={"t": 8_000_000_000_000})
    assert side.table.floor < side.store.clock.raw_ms() + 400_000
    side.table["b"] = "still possible"
    assert shown(side) == {"b": "still possible"}
