"""What is asked for: a few cells at a time, in messages that fit, again where it cannot be had yet."""

from __future__ import annotations

import pytest

from dmqcache.store.table import cells as cells_module
from tests.store.harness import World, equal, shown
from tests.store.native.native_hosts import cut_while, pair, rejoin


def test_ten_thousand_cells_come_in_parts_and_a_write_does_not_wait_for_them() -> None:
    world, one, two = pair()
    for number in range(10_000):
        one.table[f"k{number}"] = f"v{number}"
    world.mesh(one, two)
    world.until(lambda: len(two.table) > 100)
    one.table["urgent"] = "now"
    world.until(lambda: "urgent" in two.table, 1)
    assert len(two.table) < 10_000
    world.until(lambda: equal(one, two), 30)
    assert max(len(outbox.flying) for outbox in one.store.outboxes.values()) <= 4
    assert max(len(sent.body) for sent in one.bus.sent) < 64_000


def test_writes_without_end_do_not_keep_a_sync_from_its_end() -> None:
    world, one, two = pair()
    for number in range(10_000):
        one.table[f"k{number}"] = f"v{number}"
    world.mesh(one, two)
    count = [0]

    def write() -> None:
        count[0] += 1
        one.table[f"hot{count[0] % 50}"] = str(count[0])
        one.runtime.call_later(0.0001, write)

    write()
    world.until(lambda: all(f"k{number}" in two.table for number in range(10_000)), 30)


def test_a_large_table_compares_with_a_small_one_in_messages_that_fit_a_datagram() -> None:
    world, one, two = pair()
    for number in range(80_000):
        one.table[f"k{number}"] = 1
    two.table["a"] = "x"
    one.meet(two)
    two.meet(one, notify=False)
    world.run(0.5)
    two.meet(one)
    two.store.repair._due.clear()
    one.store.repair.want(two.uri, first=True)
    world.until(lambda: "a" in one.table, 20)
    assert max(len(sent.body) for sent in one.bus.sent) < 64_000


def test_a_want_that_cannot_be_served_yet_is_said_so_and_asked_again() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12", ready=False)
    one.table["a"] = "x"
    one.meet(two, notify=False)
    two.meet(one)
    world.run(1.0)
    one.meet(two)
    world.until(lambda: two.store.ready, 3)
    assert shown(two) == {"a": "x"}


def test_keys_that_were_chosen_to_fall_into_one_part_stop_no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an outsider does who knows how keys are hashed: no part of the tree holds fewer of them."""
    right = cells_module.key_hash

    def chosen(key: str) -> int:
        return (0xABCD << 48 | right(key) >> 16) | 1 if key.startswith("bad") else right(key)

    monkeypatch.setattr(cells_module, "key_hash", chosen)
    world, one, two = pair()
    for number in range(3_600):
        one.table[f"bad{number}"] = "same"
    one.table["other"] = "old"
    world.mesh(one, two)
    world.until(lambda: equal(one, two), 30)
    cut_while(world, one, two)
    one.table["bad only one"] = "1"
    two.table["bad only two"] = "2"
    one.table["bad7"] = "changed"
    del two.table["bad8"]
    two.table["other"] = "new"
    world.run(0.1)
    rejoin(world, one, two)
    assert (two.table["bad only one"], one.table["bad only two"]) == ("1", "2")
    assert (two.table["bad7"], one.table.get("bad8"), one.table["other"]) == ("changed", None, "new")
    assert max(len(sent.body) for side in (one, two) for sent in side.bus.sent) < 64_000
