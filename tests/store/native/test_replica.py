"""The ``dmqcache`` channel: what comes is merged, questions are answered, strangers refused."""

from __future__ import annotations

from typing import Any

import pytest

from dmqcache.store.native.native_message import Answer, decode_answer
from tests.store.harness import Played, Side, World, shown
from tests.store.native.native_hosts import rows, with_node
from tests.store.native.test_native_message import HOSTILE


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
    return decode_answer(other.tell(side, ask=parts).body)


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


def test_an_answer_says_that_a_row_was_refused_as_too_far_ahead() -> None:
    _world, side, other = with_node()
    far = side.store.clock.limit() + 1
    for some, ahead in (([["a", "x", far], ["b", "x", 5]], True), ([["c", "x", 5]], False)):
        reply = other.tell(side, rows={"t": some})
        assert (reply.status, bool(reply.body)) == (200, ahead)
        if ahead:
            assert decode_answer(reply.body) == Answer(side.store.clock.raw_ms(), True)
    assert shown(side) == {"b": "x", "c": "x"}
