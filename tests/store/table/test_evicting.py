"""What cells take is counted, and of those that may go the right ones go first."""

from __future__ import annotations

import random

import pytest

from dmqcache.store.table.cell import NEVER, Evicted
from dmqcache.store.table.evicting import (
    CELL_BYTES,
    Policy,
    candidates,
    evict,
    forget_evicted,
    made_whole,
    may_evict,
    parse_size,
    remembered_by,
    used_by,
    was_evicted,
)
from dmqcache.store.table.listener import TableLimits
from tests.store.fixtures import agree, make_table

CHANCE = random.Random(5).random


def test_what_is_used_follows_each_write() -> None:
    table, _ = make_table()
    assert used_by(table) == 0
    table.set("abc", "12345")
    table.set("n", 7)
    assert used_by(table) == 2 * CELL_BYTES + 3 + 5 + 1 + 8
    table.delete("abc")
    # What is deleted takes something else that nobody can evict, and that is counted apart.
    assert (used_by(table), remembered_by(table)) == (CELL_BYTES + 9, CELL_BYTES)
    table.flush()
    assert (used_by(table), remembered_by(table)) == (0, 0)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("100", 100), ("1k", 1000), ("2KB", 2048), ("100mb", 100 << 20), ("1GB", 1 << 30)],
)
def test_sizes_are_read_as_redis_reads_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5mb", "1tb", "mb", "1 0"])
def test_what_is_no_size_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        parse_size(text)


def test_what_was_not_used_for_longest_goes_first_and_counters_stay() -> None:
    table, _ = make_table()
    for number in range(60):
        table.tick = number + 1
        table.set(f"k{number}", "x")
    table.incr("count")
    table.tick = 1000
    table.get("k0")
    table.live_cell("k1")
    gone = []
    while len(table) > 21:
        for cell in candidates(table, Policy.ALLKEYS_LRU, CHANCE)[:1]:
            gone.append(int(cell.key[1:]))
            evict(table, cell)
        agree(table)
    assert "count" in table and table.partial
    assert not {0, 1} & set(gone)
    # By samples, so nearly: of forty that went hardly one is of the latest ten.
    assert sum(number >= 50 for number in gone) <= 2
    assert table.counters.evictions == len(gone) == 40
    assert not table.tombstones


def test_volatile_policies_take_only_what_has_a_time_and_ttl_what_ends_first() -> None:
    table, _ = make_table()
    for number in range(20):
        table.set(f"for ever{number}", "x")
        table.set(f"timed{number:02}", "x", ttl=1000 + 10 * number)
    for policy in (Policy.VOLATILE_LRU, Policy.VOLATILE_TTL):
        found = candidates(table, policy, CHANCE)
        assert found and all(cell.key.startswith("timed") for cell in found)
    assert candidates(table, Policy.VOLATILE_TTL, CHANCE)[0].key == "timed00"
    for cell in list(table.cells.values()):
        table.delete(cell.key)
    assert all(candidates(table, policy, CHANCE) == [] for policy in Policy)


def test_a_flush_makes_a_table_whole_and_a_table_of_a_database_is_never_partial() -> None:
    table, _ = make_table()
    table.set("a", "x")
    evict(table, table.cells["a"])
    assert table.partial
    table.flush()
    assert not table.partial
    table.set("a", "x")
    assert may_evict(table, Policy.ALLKEYS_LRU) and not may_evict(table, Policy.VOLATILE_TTL)
    loaded, _ = make_table("t=>dbtable=htable")
    assert not may_evict(loaded, Policy.ALLKEYS_LRU)


def test_that_a_key_was_evicted_is_known_for_as_long_as_that_may_matter() -> None:
    table, hands = make_table()
    for key, ttl in (("a", None), ("short", 5), ("back", None), ("flushed", None)):
        table.set(key, "1", ttl=ttl)
        evict(table, table.cells[key])
    assert all(was_evicted(table, key) for key in ("a", "short", "back", "flushed"))
    assert not was_evicted(table, "never")
    with pytest.raises(ValueError, match="evicted"):
        table.incr("a")
    # It is back; it is over everywhere; it is deleted here.
    table.set("back", "2")
    assert not was_evicted(table, "back") and table.incr("back") == 3
    hands.seconds += 6
    assert not was_evicted(table, "short") and table.incr("short") == 1
    table.delete("a")
    assert not was_evicted(table, "a") and table.incr("a") == 1
    hands.seconds += table.limits.tombstone_ttl
    assert not was_evicted(table, "flushed")


def test_evicted_keys_are_remembered_within_bounds() -> None:
    table, hands = make_table(limits=TableLimits(1_000, 60.0, 5))
    most = table.limits.tombstone_limit
    for number in range(most + 2):
        table.set(f"k{number}", "x")
        evict(table, table.cells[f"k{number}"])
    assert len(table.evicted) == most and not was_evicted(table, "k1") and was_evicted(table, "k2")
    # A node alone has nobody to ask, and forgets.
    table.set("alone", "x")
    evict(table, table.cells["alone"], shared=False)
    assert not was_evicted(table, "alone")
    hands.seconds += table.limits.tombstone_ttl
    forget_evicted(table)
    assert not table.evicted
    table.set("a", "x")
    evict(table, table.cells["a"])
    made_whole(table)
    assert not table.partial and not was_evicted(table, "a")
    table.set("b", "x")
    evict(table, table.cells["b"])
    table.delete("b")
    hands.seconds += 2 * table.limits.tombstone_ttl
    table.collect(10, False)
    assert "b" not in table.cells and "b" not in table.evicted


def test_what_was_evicted_can_still_be_deleted_everywhere() -> None:
    told: list[str] = []
    table, hands = make_table()
    assert not table.delete("never here")
    assert "never here" not in table.cells
    table.set("a", "x")
    stamp = table.cells["a"].stamp
    evict(table, table.cells["a"])
    told.clear()
    hands.seconds += 1
    assert not table.delete("a")
    dead = table.cells["a"]
    assert dead.value is None and dead.stamp > stamp
    agree(table)


def test_that_very_many_keys_were_evicted_is_forgotten_in_one_look() -> None:
    """With a plain dict it takes half a minute."""
    table, hands = make_table()
    for number in range(100_000):
        table.evicted[f"k{number}"] = Evicted(1, NEVER, hands.seconds + 1)
    table.evicted["later"] = Evicted(1, NEVER, hands.seconds + 3)
    hands.seconds += 2
    forget_evicted(table)
    assert list(table.evicted) == ["later"]
