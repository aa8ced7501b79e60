"""Who waits for acknowledgements is told once: when enough nodes have everything, or when time is up."""

from __future__ import annotations

from dmqcache.bus.peer import Reply
from tests.store.harness import Played, Side, World, old_kamailio


def cluster(count: int = 2) -> tuple[World, Side, list[Played]]:
    world = World()
    side = world.side("127.0.0.11")
    others = [Played(world, f"127.0.0.{12 + number}", ours=True) for number in range(count)]
    for other in others:
        side.meet(other)
    world.run(5)
    return world, side, others


def mute(*nodes: Played) -> None:
    for node in nodes:
        node.answer = lambda sent: None


def test_all_active_nodes_are_waited_for() -> None:
    world, side, _ = cluster(3)
    told: list[int] = []
    side.table["a"] = "x"
    side.store.waiters.wait(None, None, told.append)
    assert told == []
    world.run(0.0025)
    assert told == [3]


def test_so_many_as_asked_are_enough() -> None:
    world, side, (_one, two, three) = cluster(3)
    mute(two, three)
    told: list[int] = []
    side.table["a"] = "x"
    side.store.waiters.wait(1, None, told.append)
    world.run(0.0025)
    assert told == [1]


def test_time_that_is_up_tells_how_many_have_it() -> None:
    world, side, (one, _two) = cluster()
    mute(one)
    told: list[int] = []
    side.table["a"] = "x"
    side.store.waiters.wait(2, 0.5, told.append)
    side.store.waiters.wait(99, 0.5, told.append)
    world.run(0.49)
    assert told == []
    world.run(0.02)
    assert told == [1, 1]
    world.run(30)
    assert told == [1, 1]


def test_nothing_written_or_nobody_there_is_no_wait() -> None:
    _world, side, _ = cluster()
    told: list[int] = []
    side.store.waiters.wait(None, None, told.append)
    assert told == [2]
    alone = World().side("127.0.0.11")
    alone.table["a"] = "x"
    alone.store.waiters.wait(None, None, told.append)
    alone.store.waiters.wait(0, None, told.append)
    assert told == [2, 0, 0]


def test_what_is_written_after_the_question_is_not_waited_for() -> None:
    world, side, (one, two) = cluster()
    told: list[int] = []
    side.table["a"] = "x"
    side.store.waiters.wait(None, None, told.append)
    world.run(0.0015)
    mute(one, two)
    side.table["b"] = "x"
    world.run(0.001)
    assert told == [2]


def test_a_node_that_goes_away_is_waited_for_no_more() -> None:
    world, side, (one, _two) = cluster()
    mute(one)
    told: list[int] = []
    side.table["a"] = "x"
    side.store.waiters.wait(None, None, told.append)
    world.run(1)
    assert told == []
    side.lose(one)
    assert told == [1]


def test_a_node_that_is_back_has_nothing_until_it_has_acknowledged_it() -> None:
    world, side, (one, two) = cluster()
    mute(one, two)
    # Batches of several sizes, so that the last to fail is not the newest.
    for number in range(400):
        side.table[f"k{number:03}"] = "x" * 100
    world.run(0.01)
    number = side.store.outboxes.latest_number()
    for node in (one, two):
        side.lose(node)
    side.table["later"] = "y"
    for node in (one, two):
        side.meet(node)
    assert side.store.waiters.acknowledged(0) == 2
    assert side.store.waiters.acknowledged(1) == 0
    for outbox in side.store.outboxes.values():
        assert outbox.first_unacknowledged() == 1
    one.answer = two.answer = lambda sent: Reply(200)
    world.run(30)
    assert side.store.waiters.acknowledged(number) == 2


def test_the_oldest_change_is_known_in_whatever_order_batches_fail() -> None:
    world, side, (one, two) = cluster()
    mute(one, two)
    outbox = side.outbox(one)
    outbox.budget = 1
    for number in range(4):
        side.table[f"k{number}"] = "x"
        world.run(0.0001)
        outbox.budget = 1
    assert len(outbox.flying) == 4
    for batch in list(outbox.flying):
        outbox.failed(batch)
    first = outbox.first_unacknowledged()
    assert first == min(outbox._again["t"].values())
    assert list(outbox._again["t"]) == [f"k{number}" for number in range(4)]


def test_a_node_that_must_be_repaired_first_does_not_count() -> None:
    world, side, (one, _two) = cluster()
    side.table["a"] = "x"
    world.run(1)
    side.outbox(one).overflowed = True
    assert side.store.waiters.acknowledged(side.store.outboxes.latest_number()) == 1
    told: list[int] = []
    side.store.waiters.wait(None, 0.1, told.append)
    world.run(0.2)
    assert told == [1]


def test_a_kamailio_counts_when_it_has_answered() -> None:
    world, side, _ = cluster(0)
    kamailio = old_kamailio(world)
    side.meet(kamailio)
    world.run(5)
    told: list[int] = []
    side.table["a"] = "x"
    side.store.waiters.wait(None, None, told.append)
    world.run(0.01)
    assert told == [1]


def test_nobody_waits_for_ever_on_a_node_that_stops() -> None:
    world, side, (one, _two) = cluster()
    mute(one)
    told: list[int] = []
    side.table["a"] = "x"
    world.run(0.01)
    side.store.waiters.wait(2, None, told.append)
    side.store.stop()
    assert len(told) == 1


def test_a_node_that_has_come_counts_when_it_has_what_was_written_before() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    for number in range(5_000):
        one.table[f"k{number}"] = "x"
    counts: list[tuple[int, int]] = []
    one.meet(two)
    for timeout in (0.0005, 0.003, 10.0):
        one.store.waiters.wait(1, timeout, lambda count: counts.append((count, len(two.table))))
    two.meet(one)
    world.run(11)
    assert counts[0][0] == 0 and counts[-1] == (1, 5_000)
    assert all(held == 5_000 for count, held in counts if count)
    # And from then on as ever.
    one.table["new"] = "x"
    one.store.waiters.wait(1, 1.0, lambda count: counts.append((count, len(two.table))))
    world.run(0.01)
    assert counts[-1] == (1, 5_001)


def test_who_goes_away_is_not_told_and_not_remembered() -> None:
    world, side, (one, _two) = cluster()
    mute(one)
    told: list[int] = []
    side.table["a"] = "x"
    forget = side.store.waiters.wait(9, None, told.append)
    timed = side.store.waiters.wait(9, 1.0, told.append)
    forget()
    timed()
    forget()
    assert not side.store.waiters._waiting
    world.run(5)
    assert told == []


def test_a_node_that_was_started_anew_counts_when_it_has_been_given_all_again() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    world.mesh(one, two)
    one.table["a"] = "x"
    world.run(5)
    number = one.store.outboxes.latest_number()
    assert one.store.waiters.acknowledged(number) == 1
    world.kill(two)
    one.lose(two)
    reborn = world.side("127.0.0.12")
    node = one.bus.nodes.get(two.uri)
    assert node is not None
    node.instance = "another life"
    one.meet(reborn)
    assert one.store.waiters.acknowledged(number) == 0
    reborn.meet(one)
    world.until(lambda: one.store.waiters.acknowledged(number) == 1, 10)
    assert reborn.table["a"] == "x"


def test_a_node_that_was_only_cut_off_still_has_what_it_had() -> None:
    world, side, (one, _two) = cluster()
    node = side.bus.nodes.get(one.uri)
    assert node is not None
    node.instance = "one life"
    side.meet(one)
    world.run(5)
    side.table["a"] = "x"
    world.run(1)
    assert side.store.waiters.acknowledged(side.store.outboxes.latest_number()) == 2
    side.lose(one)
    side.meet(one)
    assert side.store.waiters.acknowledged(side.store.outboxes.latest_number()) == 2


def test_a_node_without_tables_is_neither_counted_nor_waited_for() -> None:
    world, side, _ = cluster(1)
    busonly = old_kamailio(world)
    busonly.answer = lambda sent: Reply(404)
    side.meet(busonly)
    side.table["a"] = "x"
    told: list[int] = []
    world.run(5)
    side.store.waiters.wait(None, None, told.append)
    side.store.waiters.wait(2, 0.5, told.append)
    world.run(1)
    assert told == [1, 1]


def test_a_flush_is_waited_for_as_a_write_is() -> None:
    world, side, (one, _two) = cluster()
    side.table["a"] = "x"
    world.run(1)
    mute(one)
    side.table.flush()
    told: list[int] = []
    side.store.waiters.wait(None, 0.5, told.append)
    assert told == []
    world.run(1)
    assert told == [1]
    one.answer = lambda sent: Reply(200)
    side.store.waiters.wait(None, None, told.append)
    world.run(10)
    assert told == [1, 2]
