"""The outboxes as one: who has one, whose change is named where, and who looks after Kamailio nodes."""

from __future__ import annotations

from dmqcache.store.outbox.outboxes import CONGESTED
from tests.store.harness import Played, World


def test_our_own_node_gets_no_outbox() -> None:
    side = World().side("127.0.0.11")
    side.store.node_up(side.bus.local)
    assert not side.store.outboxes


def test_a_node_that_is_away_costs_a_name_for_each_key_and_one_that_left_nothing() -> None:
    world = World()
    side = world.side("127.0.0.11", outbox_limit=100)
    away, left = Played(world, "127.0.0.12", ours=True), Played(world, "127.0.0.13", ours=True)
    for other in (away, left):
        side.meet(other)
    world.run(3)
    side.lose(away)
    side.part(left)
    for round_ in range(5):
        for number in range(50):
            side.table[f"k{number}"] = str(round_)
        world.run(0.1)
    assert set(side.store.outboxes) == {away.uri}
    assert side.outbox(away).backlog() == 50
    for number in range(500):
        side.table[f"more{number}"] = "x"
    world.run(0.1)
    assert side.outbox(away).backlog() <= 100
    assert side.outbox(away).overflowed


def test_the_least_address_is_designated_and_another_takes_over() -> None:
    world = World()
    sides = [world.side(f"127.0.0.{host}") for host in (11, 12, 13)]
    world.mesh(*sides)
    assert [side.store.outboxes.designated for side in sides] == [True, False, False]
    for side in sides[1:]:
        side.lose(sides[0])
    assert [side.store.outboxes.designated for side in sides[1:]] == [True, False]


def test_writers_are_asked_to_wait_when_too_much_is_waiting_for_live_nodes() -> None:
    world = World()
    side = world.side("127.0.0.11")
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    other.answer = lambda sent: None
    for number in range(CONGESTED + 10):
        side.table[f"k{number}"] = "x"
    assert side.store.congested()
    side.lose(other)
    assert not side.store.congested()


def test_a_write_to_a_table_that_is_not_shared_is_no_change() -> None:
    world = World()
    side = world.side("127.0.0.11", "own=>dmqreplicate=0")
    side.store.tables["own"]["a"] = "x"
    assert side.store.outboxes.latest_number() == 0
    assert not side.store.counters.changes


def test_a_flush_from_before_a_node_came_is_acknowledged_when_that_one_has_been_compared_with() -> None:
    world = World()
    one, other = world.side("127.0.0.11"), world.side("127.0.0.12")
    other.table["a"] = "x"
    world.run(1)
    one.table.flush()
    one.meet(other)
    other.meet(one)
    number = one.store.outboxes.latest_number()
    assert not one.outbox(other).acknowledged(number)
    world.until(lambda: one.outbox(other).acknowledged(number), 2)
    assert "a" not in other.table


def test_a_table_that_is_not_shared_keeps_no_node_from_having_all() -> None:
    world = World()
    side = world.side("127.0.0.11", "t=>dmqreplicate=0")
    other = Played(world, "127.0.0.12", ours=True)
    side.table["a"] = "x"
    side.meet(other)
    assert side.outbox(other).acknowledged(side.store.outboxes.latest_number())
