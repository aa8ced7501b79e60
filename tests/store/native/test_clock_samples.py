"""The others' clocks: whose counts, and what follows for versions that are here."""

from __future__ import annotations

from dmqcache.store.table.clock import MAX_AHEAD_MS
from tests.store.harness import Played, World


def test_of_a_node_that_never_answered_no_clock_is_kept() -> None:
    world = World()
    side = world.side("127.0.0.11")
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other, notify=False)
    other.say(side, {"now": 8_000_000_000_000, "repair": True}, "dmqcache")
    assert not side.store.clock._ahead
    side.meet(other)
    other.say(side, {"now": 5, "repair": True}, "dmqcache")
    assert side.store.clock._ahead
    side.part(other)
    assert not side.store.clock._ahead


def test_a_wrong_clock_of_ours_follows_the_others_and_old_versions_with_it() -> None:
    world = World()
    side = world.side("127.0.0.11")
    others = [Played(world, f"127.0.0.{host}", ours=True) for host in (12, 13, 14)]
    for other in others:
        side.meet(other)
    world.run(3)
    side.table["a"] = "x"
    right = side.store.clock.raw_ms() - 86_400_000
    for other in others:
        other.say(side, {"now": right}, "dmqcache")
    assert abs(side.store.clock.wall_ms() - right) < 10
    assert side.table.cells["a"].stamp <= right + MAX_AHEAD_MS + 10
    # Once for each step in which the median moved.
    assert side.store.counters.clamped["t"] >= 1
    side.table["a"] = "y"
    assert side.table["a"] == "y"
