"""What is sent to dmqcache nodes: in batches of the right size, and nobody waits for a node that is mute."""

from __future__ import annotations

import logging

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.native.native_courier import BATCH_TIMEOUT_S, MAX_BATCH_BYTES, MIN_BATCH_BYTES
from tests.store.harness import Played, World, equal
from tests.store.native.native_hosts import rows, with_node


def test_a_change_is_sent_at_once_with_its_version() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(0.002)
    stamp = side.table.cells["a"].stamp
    assert other.seen() == [{"rows": {"t": [["a", "x", stamp]]}}]


def test_what_changes_while_the_window_is_full_goes_together_in_the_next_batch() -> None:
    world, side, other = with_node()
    for number in range(50):
        side.table["a"] = str(number)
        side.table[f"k{number}"] = "x"
        world.run(0.00002)
    world.run(1)
    assert [row[1] for row in rows(other) if row[0] == "a"] == ["0", "1", "2", "3", "49"]
    assert len(other.got) == 5
    assert side.outbox(other).waiting() == 0


def test_nobody_waits_for_a_node_that_does_not_answer() -> None:
    world, side, other = with_node()
    mute = Played(world, "127.0.0.13", ours=True)
    mute.answer = lambda sent: None
    side.meet(mute)
    world.run(0.1)
    other.got.clear()
    for number in range(100):
        side.table["a"] = str(number)
        world.run(0.01)
    assert rows(other)[-1][1] == "99"
    assert side.outbox(mute).waiting() <= 5
    mute.answer = lambda sent: Reply(200)
    mute.got.clear()
    world.run(BATCH_TIMEOUT_S + 1)
    assert [row[1] for row in rows(mute)][-1] == "99"


def test_a_table_that_is_not_replicated_is_not_sent() -> None:
    world, side, other = with_node("t", "own=>dmqreplicate=0")
    side.store.tables["own"]["a"] = "x"
    side.store.tables["own"].flush()
    world.run(1)
    assert rows(other) == []


def test_batches_grow_while_all_goes_well_and_start_anew_after_a_failure() -> None:
    world, side, other = with_node()
    for number in range(3000):
        side.table[f"k{number}"] = "x" * 50
    world.run(2)
    outbox = side.outbox(other)
    assert outbox.budget == MAX_BATCH_BYTES["udp"]
    assert max(len(sent.body) for sent in other.got) <= 1.3 * MAX_BATCH_BYTES["udp"]
    other.answer = lambda sent: Reply(503)
    side.table["a"] = "x"
    world.run(0.1)
    assert outbox.budget == MIN_BATCH_BYTES
    other.answer = lambda sent: Reply(200)
    world.run(1)
    assert outbox.waiting() == 0


def test_cells_that_swell_when_written_still_fit_a_datagram() -> None:
    world, side, other = with_node()
    for number in range(60):
        side.table[f"k{number}"] = "\x01" * 8000
    world.run(3)
    assert {row[0] for row in rows(other)} == set(side.table)
    assert max(len(sent.body) for sent in side.bus.sent) < 64_500


def test_a_cell_that_no_datagram_holds_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world, side, other = with_node()
    # A client's write would be refused; one that came over a connection is here all the same.
    side.store.arrivals["t"].arrive_set("big", "x" * 200_000, None, "elsewhere")
    side.table["a"] = "x"
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        side.store.outboxes.name_keys(side.table, ["big", "a"], [side.outbox(other)])
        world.run(1)
    assert [row[0] for row in rows(other)] == ["a"]
    assert side.store.counters.withheld["t", "too_large"] == 1
    assert "too large" in caplog.text
    assert side.outbox(other).waiting() == 0


def test_a_node_that_cannot_read_a_batch_is_marked_for_repair() -> None:
    world, side, other = with_node()
    other.answer = lambda sent: Reply(400)
    side.table["a"] = "x"
    world.run(0.1)
    assert side.store.counters.refused["", "batch_refused"] == 1
    assert side.outbox(other).overflowed


def test_any_bytes_arrive_as_they_were() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    world.mesh(one, two)
    for number in range(256):
        one.table[f"k{number}\udcff"] = bytes([number, 0, 255 - number])
    one.table["plain"] = "x"
    world.until(lambda: equal(one, two), 5)
