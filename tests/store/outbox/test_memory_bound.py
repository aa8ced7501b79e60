"""A bound on memory: it is held, it is said when it cannot be, and the cluster neither loses nor loops."""

from __future__ import annotations

import logging

import pytest

from dmqcache.store.outbox.memory_bound import LOOK_S
from dmqcache.store.table.evicting import Policy, used_by
from dmqcache.store.table.use import idle_s
from tests.store.harness import Played, Side, World, set_body, with_kamailio

LIMIT = 20_000


def filled(world: World, *hosts: str, count: int = 100, **options: float) -> list[Side]:
    """Nodes that are equal, the first of them about to be bounded."""
    sides = [world.side(host, **options) for host in hosts]
    world.mesh(*sides)
    for number in range(count):
        sides[-1].table.set(f"k{number:03}", "x" * 50)
    world.run(5)
    assert {len(side.table) for side in sides} == {count}
    return sides


@pytest.mark.parametrize("policy", [Policy.ALLKEYS_LRU, Policy.VOLATILE_LRU, Policy.VOLATILE_TTL])
def test_the_bound_is_held_here_and_nobody_else_loses_anything(policy: Policy) -> None:
    world = World()
    small, large = filled(world, "127.0.0.11", "127.0.0.12", repair_interval=5)
    for key in list(large.table):
        large.table.expire(key, 10_000)
    world.run(2)
    small.store.memory.bound(LIMIT, policy)
    world.run(LOOK_S)
    assert used_by(small.table) <= LIMIT < used_by(large.table)
    assert small.table.partial and not small.store.memory.full
    held, evicted = set(small.table), small.table.counters.evictions
    moved = dict(small.store.counters.repair_cells)
    # Comparisons every few seconds bring nothing back and call nothing lost.
    world.run(300)
    assert (set(small.table), small.table.counters.evictions) == (held, evicted)
    assert small.store.counters.repair_cells == moved
    assert len(large.table) == 100
    # What is written is told as ever, both ways, and a delete of what is not here reaches the others.
    gone = next(key for key in large.table if key not in held)
    small.table.delete(gone)
    small.table.set("mine", "x")
    large.table.set("theirs", "x")
    world.run(2)
    assert gone not in large.table and "mine" in large.table and "theirs" in small.table


def test_what_a_full_node_missed_is_brought_once_and_not_for_ever() -> None:
    world = World()
    small, large = filled(world, "127.0.0.11", "127.0.0.12", repair_interval=5, outbox_limit=10)
    small.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.run(2)
    small.lose(large)
    large.lose(small)
    for number in range(50):
        large.table.set(f"k{number:03}", "new")
    world.run(2)
    assert large.outbox(small).overflowed
    world.mesh(small, large)
    world.run(60)
    assert used_by(small.table) <= LIMIT
    assert all(small.table[key] == large.table[key] for key in small.table)
    evicted = small.table.counters.evictions
    world.run(300)
    assert small.table.counters.evictions == evicted
    assert len(large.table) == 100


@pytest.mark.parametrize("limit", [0, 30_000])
def test_what_was_evicted_comes_back_when_the_bound_is_raised_or_gone(limit: int) -> None:
    world = World()
    small, large = filled(world, "127.0.0.11", "127.0.0.12", repair_interval=5)
    small.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.run(30)
    held = len(small.table)
    small.store.memory.bound(limit, Policy.ALLKEYS_LRU)
    world.run(10)
    assert held < len(small.table) <= len(large.table) == 100
    if limit:
        assert used_by(small.table) <= limit and small.table.partial
        evicted = small.table.counters.evictions
        world.run(60)
        assert small.table.counters.evictions == evicted
    else:
        assert dict(small.table) == dict(large.table)
        assert not small.table.partial and not small.table.evicted


def test_what_was_evicted_comes_back_as_far_as_it_fits_when_that_is_asked_for() -> None:
    world = World()
    small, large = filled(world, "127.0.0.11", "127.0.0.12")
    small.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.run(5)
    for key in list(small.table)[::2]:
        small.table.delete(key)
    world.run(5)
    few = len(small.table)
    small.store.compare_all()
    world.run(10)
    assert few < len(small.table) and used_by(small.table) <= LIMIT
    assert all(small.table[key] == large.table[key] for key in small.table)


@pytest.mark.parametrize("remembered", [1000, 0])
def test_a_count_begun_where_the_number_was_evicted_is_refused_or_heals(remembered: int) -> None:
    world = World()
    hosts = ("127.0.0.11", "127.0.0.12")
    small, large = filled(world, *hosts, repair_interval=5, tombstone_limit=remembered)
    large.table.set("n", "100")
    world.run(2)
    small.store.memory.bound(1, Policy.ALLKEYS_LRU)
    world.run(2)
    assert "n" not in small.table
    if remembered:
        with pytest.raises(ValueError, match="evicted"):
            small.table.incr("n")
        return
    # That it was evicted is known no more, as too many were since: the two do not stay apart.
    assert small.table.incr("n") == 1
    world.run(5)
    # The number came, and went again for want of memory, as no counter would.
    assert "n" not in small.table and large.table["n"] == "100"


def test_a_node_that_holds_less_starts_and_is_ready() -> None:
    world = World()
    (large,) = filled(world, "127.0.0.12")
    small = world.side("127.0.0.11", ready=False, repair_interval=5)
    small.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.mesh(small, large)
    world.run(30)
    assert small.store.ready
    assert 0 < used_by(small.table) <= LIMIT and len(large.table) == 100


def test_what_a_node_that_is_there_has_not_been_told_stays() -> None:
    world = World()
    side = world.side("127.0.0.11")
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    world.run(3)
    other.answer = lambda sent: None
    for number in range(100):
        side.table.set(f"k{number:03}", "x" * 50)
    side.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.run(LOOK_S)
    assert len(side.table) == 100 and side.store.memory.full
    side.lose(other)
    world.run(2 * LOOK_S)
    assert used_by(side.table) <= LIMIT and not side.store.memory.full


def test_a_node_that_may_evict_nothing_says_that_it_is_full(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    side = world.side("127.0.0.11")
    told: list[bool] = []
    memory = side.store.memory
    memory.listen(lambda: told.append(memory.full))
    for number in range(100):
        side.table.set(f"k{number:03}", "x" * 50)
    with caplog.at_level(logging.WARNING):
        memory.bound(LIMIT, Policy.NOEVICTION)
        world.run(1)
        assert (len(side.table), told, memory.used) == (100, [True], used_by(side.table))
    assert [one.getMessage() for one in caplog.records if "memory" in one.getMessage()] == [memory.words]
    assert memory.words.startswith(
        f"memory is full: cells take {memory.used} of {LIMIT} bytes, by noeviction"
    )
    memory.bound(0, Policy.NOEVICTION)
    assert told == [True, False] and memory.limit == 0 and memory.words == ""


@pytest.mark.parametrize("policy", [Policy.NOEVICTION, Policy.ALLKEYS_LRU])
def test_deletes_and_expiries_that_are_remembered_refuse_no_writes(policy: Policy) -> None:
    world = World()
    side, _ = filled(world, "127.0.0.11", "127.0.0.12")
    memory = side.store.memory
    memory.bound(LIMIT, policy)
    world.run(2 * LOOK_S)
    assert memory.full == (policy is Policy.NOEVICTION)
    # A client that deletes has room again, at once.
    for key in list(side.table):
        side.table.delete(key)
    world.run(2 * LOOK_S)
    assert not memory.full
    # What lives for half a second may come and go as long as one likes: nothing was evicted for it.
    evicted = side.table.counters.evictions
    for turn in range(5):
        for number in range(30):
            side.table.set(f"short{turn}.{number}", "v", ttl=0.5)
        world.run(1.5)
        assert not memory.full
    assert (len(side.table), memory.used) == (0, 0)
    assert memory.remembered > LIMIT and side.table.counters.evictions == evicted


def test_without_a_bound_it_is_told_all_the_same_when_a_cell_was_used() -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.store.memory.bound(0, Policy.NOEVICTION)
    side.table.set("a", "x")
    world.run(75)
    assert 73 <= idle_s(side.table, side.table.cells["a"]) <= 76
    side.table.get("a")
    assert idle_s(side.table, side.table.cells["a"]) == 0


def test_what_a_kamailio_shows_of_a_cell_that_was_evicted_is_no_news() -> None:
    world, side, kamailio = with_kamailio("t")
    for number in range(100):
        kamailio.say(side, set_body(f"k{number:03}", "x" * 50))
    side.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.run(LOOK_S)
    held = set(side.table)
    assert len(held) < 100
    gone = next(f"k{number:03}" for number in range(100) if f"k{number:03}" not in held)
    kamailio.got.clear()
    batch = {"cells": [{"htname": "t", "cname": gone, "type": 2, "strval": "x" * 50, "mode": 0}]}
    kamailio.say(side, {"action": 1, **batch})
    world.run(60)
    assert set(side.table) <= held
    assert not any(body.get("cname") == gone for body in kamailio.seen())


def test_what_is_evicted_while_another_node_is_being_given_it_lives_there() -> None:
    world = World()
    small, large = filled(world, "127.0.0.11", "127.0.0.12", count=2000)
    small.lose(large)
    large.lose(small)
    small.table.set("news", "x")
    # The answers to what is given are lost: most of it still waits.
    world.lose = lambda sent: bool(sent.channel == "dmqcache" and sent.message.repair)
    starting = world.side("127.0.0.13", ready=False)
    world.mesh(small, starting)
    world.run(1)
    assert small.outbox(starting).transfers
    small.store.memory.bound(LIMIT, Policy.ALLKEYS_LRU)
    world.run(1)
    world.lose = lambda sent: False
    world.run(20)
    world.mesh(starting, large)
    world.run(20)
    assert len(small.table) < 100 and set(large.table) >= {f"k{number:03}" for number in range(2000)}


@pytest.mark.parametrize("policy", [Policy.VOLATILE_LRU, Policy.VOLATILE_TTL])
def test_what_may_go_is_found_beside_a_large_table_of_which_nothing_may(policy: Policy) -> None:
    world = World()
    side = world.side("127.0.0.11", "large", "small")
    large, small = side.store.tables["large"], side.store.tables["small"]
    for number in range(10_000):
        large.set(f"k{number:05}", "x")
    for number in range(10):
        small.set(f"k{number}", "x", 3600)
    memory = side.store.memory
    memory.bound(memory.used - 2_000, policy)
    world.run(LOOK_S)
    assert not memory.full and (len(large), len(small)) == (10_000, 5)


def test_a_node_that_was_emptied_is_full_no_more_before_the_next_look() -> None:
    world = World()
    (side,) = filled(world, "127.0.0.11")
    memory = side.store.memory
    memory.bound(1000, Policy.NOEVICTION)
    assert memory.full and memory.words.startswith("memory is full")
    side.table.flush()
    assert not memory.full and memory.words == ""
    side.table.set("k", "x" * 2000)
    assert memory.full
