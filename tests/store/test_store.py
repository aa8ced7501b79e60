"""What holds the parts together: couriers, sweeping, the end, and what is kept of nodes that come and go."""

from __future__ import annotations

import logging

import pytest

from dmqcache.bus.node import OWN_TAG
from dmqcache.bus.peer import Reply
from dmqcache.store.store import LOST_BEFORE_MS, MAX_UDP_VALUE_BYTES
from dmqcache.store.sweeping import SWEEP_S
from tests.store.harness import NEW, Played, World, cells_body, equal, old_kamailio, set_body, shown


def test_a_table_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        World().side("127.0.0.11", "t", "t=>autoexpire=5")


def test_a_value_that_no_datagram_carries_is_refused_where_it_is_written() -> None:
    side = World().side("127.0.0.11")
    with pytest.raises(ValueError, match=str(MAX_UDP_VALUE_BYTES)):
        side.table["a"] = "x" * (MAX_UDP_VALUE_BYTES - 1)
    side.table["a"] = "x" * (MAX_UDP_VALUE_BYTES - 2)  # and the quotation marks, as the README has it
    for alone in ("127.0.0.11;transport=tcp", "127.0.0.12"):
        free = World().side(alone, "t" if "tcp" in alone else "t=>dmqreplicate=0")
        free.table["a"] = "x" * (2 * MAX_UDP_VALUE_BYTES)


def test_a_node_is_spoken_to_in_its_own_language_and_that_may_change() -> None:
    world = World()
    side = world.side("127.0.0.11")
    other = Played(world, "127.0.0.12", NEW)
    side.meet(other)
    side.table["a"] = "x"
    world.run(0.1)
    assert {sent.channel for sent in other.got} == {"htable"}
    other.got.clear()
    other.user_agent, other.supported = "dmqcache", frozenset({OWN_TAG})
    side.meet(other)
    side.table["b"] = "x"
    world.run(0.1)
    assert {sent.channel for sent in other.got} == {"dmqcache"}
    assert len(side.store.outboxes) == 1


def test_a_node_of_another_wire_is_no_kamailio_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    side = world.side("127.0.0.11", repair_interval=2)
    side.table["a"] = "ours"
    old = Played(world, "127.0.0.12")
    old.supported = frozenset({"dmqcache-1"})
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        side.meet(old)
    assert "dmqcache-1" in caplog.text and "upgrade" in caplog.text
    side.table["b"] = "ours"
    wall = side.store.clock.wall_ms()
    for reply in (
        old.tell(side, now=wall, rows={"t": [["a", "theirs", wall]]}, floors={"t": wall}),
        old.say(side, set_body("a", "theirs")),
        old.say(side, {"action": 1}),
        old.say(side, {"action": 4, "htname": "t", "cname": "a", "mode": 0}),
        old.say(side, cells_body(("a", "theirs"))),
    ):
        assert (reply.status, reply.reason) == (403, "Upgrade dmqcache")
    world.run(60)
    assert old.got == [] and shown(side) == {"a": "ours", "b": "ours"} and not side.store.outboxes
    assert side.store.counters.refused["", "other_wire"] == 5
    side.lose(old)
    side.meet(old)
    side.part(old)


def test_a_node_that_comes_back_with_another_wire_is_told_nothing_any_more() -> None:
    world = World()
    side = world.side("127.0.0.11")
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    world.run(1)
    other.supported = frozenset({"dmqcache-1"})
    side.meet(other)
    other.got.clear()
    side.table["a"] = "x"
    world.run(10)
    assert other.got == [] and not side.store.outboxes


def test_expired_cells_are_swept_in_bounded_steps() -> None:
    world = World()
    side = world.side("127.0.0.11", "t=>autoexpire=5")
    for number in range(12_000):
        side.table[f"k{number}"] = "x"
    world.run(4.5)
    left = []
    while len(side.table):
        world.run(SWEEP_S / 2)
        left.append(len(side.table))
        assert len(left) < 40
    assert list(dict.fromkeys(left)) == [12_000, 7_000, 2_000, 0]
    assert side.table.counters.expirations == 12_000


def test_tombstones_are_kept_for_their_time_and_then_forgotten() -> None:
    world = World()
    side = world.side("127.0.0.11", tombstone_ttl=60.0)
    side.table["a"] = "x"
    del side.table["a"]
    world.run(59)
    assert "a" in side.table.cells
    world.run(10)
    assert not side.table.cells and not side.table.tombstones


def test_a_node_that_is_away_holds_tombstones_but_not_without_bound() -> None:
    world = World()
    side = world.side("127.0.0.11", tombstone_ttl=60.0, tombstone_limit=100)
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    world.run(3)
    side.lose(other)
    side.table["a"] = "x"
    del side.table["a"]
    world.run(3600)
    assert "a" in side.table.cells
    for number in range(1_000):
        side.table[f"k{number}"] = "x"
        del side.table[f"k{number}"]
    world.run(1)
    assert len(side.table.tombstones) == 100
    assert "a" not in side.table.cells
    side.part(other)
    world.run(100)
    assert not side.table.tombstones


def test_a_cell_with_a_time_in_a_table_without_is_deleted_at_kamailios_by_one_node() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    kamailio = old_kamailio(world)
    world.mesh(one, two, kamailio)
    world.run(10)
    two.table.set("a", "x", 5)
    world.run(2)
    kamailio.got.clear()
    world.run(5)
    assert [body for body in kamailio.seen() if body.get("action") == 4] == [
        {"action": 4, "htname": "t", "cname": "a", "mode": 0}
    ]


def test_after_the_end_nothing_is_sent_and_no_timer_goes_on() -> None:
    world = World()
    side = world.side("127.0.0.11", repair_interval=1.0)
    for other in (Played(world, "127.0.0.12", ours=True), old_kamailio(world)):
        side.meet(other)
    world.run(10)
    side.store.stop()
    side.table["a"] = "x"
    sent = len(side.bus.sent)
    world.run(700)
    assert len(side.bus.sent) == sent
    assert world.clock.pending == 0
    assert shown(side) == {"a": "x"}


def test_hostile_and_long_traffic_leaves_nothing_behind() -> None:
    world = World()
    side = world.side("127.0.0.11", tombstone_ttl=10.0)
    world.run(1)
    for number in range(300):
        node = Played(world, f"127.1.{number // 250}.{number % 250 + 1}", ours=bool(number % 2))
        node.answer = lambda sent: Reply(503)
        side.meet(node)
        node.tell(side, rows={"t": [["a", str(number), side.store.clock.raw_ms() + number]]}, repair=True)
        node.tell(side, want={"id": number, "table": "t", "parts": [[0, 0, []]]}, ask={f"x{number}": []})
        world.run(0.05)
        side.lose(node)
        side.part(node)
    world.run(60)
    store = side.store
    assert not store.outboxes and not store.clock._samples
    assert not store.repair._due and store.repair.session is None
    assert not store.compare._due and not store.donor._indexing
    assert all(not lanes for lanes in store.outboxes._named_in.values())
    assert len(store.counters.refused) < 10
    assert shown(side) == {"a": "299"}


def test_nodes_that_meet_again_and_again_end_alike() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    world.mesh(one, two)
    for number in range(20):
        one.table[f"a{number}"] = "x"
        two.lose(one)
        two.table[f"b{number}"] = "y"
        world.run(0.3)
        if number % 3 == 0:
            one.lose(two)
            one.meet(two)
        two.meet(one)
        del one.table[f"a{number}"]
        world.run(0.7)
    world.until(lambda: equal(one, two), 20)
    assert len(one.table) == 20


def test_up_to_when_kamailio_nodes_were_told_is_bounded_by_what_each_has_not_acknowledged() -> None:
    world = World()
    side = world.side("127.0.0.11")
    assert side.store.told_until() is None
    deaf, other = old_kamailio(world), old_kamailio(world, "127.0.0.91")
    side.meet(deaf)
    side.meet(other)
    world.run(5)
    assert side.store.told_until() == side.runtime.wall_ms()
    # It answers other things all the time.
    deaf.answer = lambda sent: None
    wrote = side.runtime.wall_ms()
    side.table["a"] = "x"
    world.run(3)
    until = side.store.told_until()
    assert until is not None and wrote - 1_000 <= until <= wrote
    # Found to be lost, and back: only a comparison tells what it has heard.
    side.lose(deaf)
    lost = side.store.told_until()
    assert lost is not None and lost <= until
    side.meet(deaf)
    assert side.store.told_until() == lost
    side.part(deaf)
    assert side.store.told_until() == side.runtime.wall_ms()


def test_of_what_was_read_from_disk_a_kamailio_that_is_not_met_has_heard_no_more_than_before() -> None:
    world = World()
    side, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    saved = side.runtime.wall_ms() - 60_000
    side.store.restored(saved)
    world.mesh(side, two)
    world.until(lambda: side.store.outboxes.absent_since is None)
    assert side.store.told_until() == saved - LOST_BEFORE_MS
    side.meet(old_kamailio(world))
    assert side.store.told_until() == side.runtime.wall_ms()
