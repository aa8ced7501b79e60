"""The ``dmqcache`` channel: changes go in batches and are merged, questions answered, strangers refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.native.courier import BATCH_TIMEOUT_S, CEILING, FLOOR
from dmqcache.store.native.message import decode
from tests.store.harness import Played, Side, World, equal, shown
from tests.store.native.test_message import HOSTILE


def with_node(*tables: str, **options: Any) -> tuple[World, Side, Played]:
    world = World()
    side = world.side("127.0.0.11", *tables, **options)
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    world.run(3)
    other.got.clear()
    return world, side, other


def rows(other: Played) -> list[list[Any]]:
    return [row for body in other.seen() for some in body.get("rows", {}).values() for row in some]


# -- what goes -----------------------------------------------------------------------------------------------


def test_a_change_is_sent_at_once_with_its_version() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(0.002)
    stamp = side.table.cells["a"].stamp
    assert other.seen() == [{"now": side.store.clock.raw_ms() - 2, "rows": {"t": [["a", "x", stamp]]}}]


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


def test_a_flush_travels_with_everything_sent_after_it() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(0.1)
    side.table.flush()
    side.table["b"] = "y"
    world.run(0.1)
    told = [body["floors"] for body in other.seen() if body.get("floors")]
    assert told == [{"t": side.table.floor}] * len(told) and len(told) >= 2


def test_batches_grow_while_all_goes_well_and_start_anew_after_a_failure() -> None:
    world, side, other = with_node()
    for number in range(3000):
        side.table[f"k{number}"] = "x" * 50
    world.run(2)
    outbox = side.outbox(other)
    assert outbox.budget == CEILING["udp"]
    assert max(len(sent.body) for sent in other.got) <= 1.3 * CEILING["udp"]
    other.answer = lambda sent: Reply(503)
    side.table["a"] = "x"
    world.run(0.1)
    assert outbox.budget == FLOOR
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


# -- what comes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_gets_a_400_a_counted_reason_and_changes_nothing(name: str) -> None:
    _world, side, other = with_node()
    assert other.say(side, HOSTILE[name], "dmqcache").status == 400
    refused = side.store.counters.refused
    assert sum(refused.values()) == 1
    assert all(table == "" for table, _ in refused)
    assert not side.table.cells


def test_a_stranger_gets_a_403_and_is_not_remembered() -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(100):
        stranger = Played(world, f"127.0.0.12:{7000 + number}", ours=True)
        assert (
            stranger.tell(side, rows={"t": [["a", "x", 5]]}, want={"id": 1, "table": "t", "parts": []}).status
            == 403
        )
    assert side.store.counters.refused == {("", "unknown_node"): 100}
    assert not side.table.cells
    assert not side.store.clock._ahead


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


def test_rows_of_tables_that_are_not_here_or_not_shared_are_counted_under_no_name() -> None:
    _world, side, other = with_node("t", "own=>dmqreplicate=0")
    reply = other.tell(
        side,
        rows={"none": [["a", "x", 5]] * 3, "own": [["a", "x", 5]], "t": [["a", "x", 5]]},
        floors={"none": 9, "own": 9},
    )
    assert reply.status == 200
    assert shown(side) == {"a": "x"}
    assert side.store.tables["own"].floor == 0
    assert side.store.counters.refused == {("", "unknown_table"): 3, ("", "not_replicated"): 1}


def test_names_from_the_wire_grow_no_counter() -> None:
    _world, side, other = with_node()
    for number in range(200):
        other.tell(
            side, rows={f"t{number}": [["a", "x", 5]]}, ask={f"u{number}": []}, floors={f"v{number}": 1}
        )
    counters = side.store.counters
    assert len(counters.refused) + len(counters.changes) + len(counters.repairs) <= 3


def test_repairing_rows_that_are_older_are_answered_with_what_is_held() -> None:
    world, side, other = with_node()
    side.table["a"] = "new"
    side.table["gone"] = "x"
    del side.table["gone"]
    world.run(1)
    other.got.clear()
    other.tell(side, rows={"t": [["a", "old", 5], ["gone", "old", 5]]}, repair=True)
    world.run(1)
    assert sorted(row[:2] for row in rows(other)) == [["a", "new"], ["gone", None]]
    other.got.clear()
    other.tell(side, rows={"t": [["a", "old", 5]]})
    world.run(1)
    assert other.got == []


def ask(other: Played, side: Side, **parts: Any) -> Any:
    return decode(other.tell(side, ask=parts).body)


def test_a_question_is_answered_with_the_sums() -> None:
    _world, side, other = with_node("t", "u", "own=>dmqreplicate=0")
    side.store.tables["t"]["a"] = "x"
    digest = side.store.tables["t"].digest
    answer = ask(other, side, t=[], u=[], own=[], none=[])
    assert set(answer.sums) == {"t", "u"}
    assert answer.sums["t"].root == digest.node(0, 0) != 0
    assert (answer.sums["t"].cells, answer.sums["u"].root) == (1, 0)
    below = ask(other, side, t=[[0, 0], [4, 5], [1, 3]]).sums["t"].sums
    assert below == [digest.children(0, 0), [], digest.children(1, 3)]


def test_an_answer_says_how_much_is_still_on_its_way() -> None:
    _world, side, other = with_node()
    side.table["a"] = "x"
    assert ask(other, side, t=[]).waiting == 1


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
