"""Large messages have their turns one after the other, and nobody has many that wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dmqcache.bus.loop_steps import step
from dmqcache.bus.peer import Later, Reply
from dmqcache.store.native import replica
from dmqcache.store.native.large_messages import MOST
from dmqcache.store.outbox.outbox import WINDOW
from dmqcache.store.table.merge import Arrivals
from tests.store.harness import Played, Side, shown
from tests.store.native.native_hosts import rows, with_node

#: Rows of a message here.
ROWS = 20


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rows are many."""
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(replica, "AT_ONCE", 10)
    monkeypatch.setattr(replica, "PIECE", 3)


def say(side: Side, other: Played, **fields: object) -> tuple[list[Reply], bool]:
    """What is answered, as soon as it is; and whether that was at once."""
    replies: list[Reply] = []
    reply = side.bus.peers["dmqcache"].handle(other.message(side, fields, "dmqcache"))
    if isinstance(reply, Later):
        reply.then(replies.append)
        return replies, False
    assert isinstance(reply, Reply)
    return [reply], True


def told(value: str, stamp: int, count: int = ROWS) -> dict[str, list[list[object]]]:
    return {"t": [[f"k{number}", value, stamp] for number in range(count)]}


@pytest.mark.usefixtures("small_steps")
def test_so_many_rows_are_merged_in_one_step_and_the_answer_comes_when_all_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _world, side, other = with_node("t", "u")
    merged: list[int] = []
    merge_rows = Arrivals.merge_rows
    steps: list[int] = []

    def counting(self: Arrivals, some: list[object], sender: str) -> list[str]:
        merged.append(len(some))
        return merge_rows(self, some, sender)  # type: ignore[arg-type]

    def noting(pieces: Iterator[object], now: Callable[[], float]) -> None:
        before = sum(merged)
        try:
            step(pieces, now)
        finally:
            steps.append(sum(merged) - before)

    monkeypatch.setattr(Arrivals, "merge_rows", counting)
    monkeypatch.setattr("dmqcache.bus.loop_steps.step", noting)
    replies, at_once = say(side, other, rows=told("x", 5) | {"u": told("y", 6)["t"][:4]})
    assert not at_once and not replies and len(side.table) == 3
    _world.run(0.1)
    assert [reply.status for reply in replies] == [200]
    assert shown(side) == {f"k{number}": "x" for number in range(ROWS)}
    assert len(side.store.tables["u"]) == 4
    assert max(steps) == 3 and sum(steps) == ROWS + 4


def test_the_usual_message_is_answered_at_once() -> None:
    _world, side, other = with_node()
    replies, at_once = say(side, other, rows=told("x", 5, replica.AT_ONCE))
    assert at_once and replies[0].status == 200 and len(side.table) == replica.AT_ONCE


@pytest.mark.usefixtures("small_steps")
def test_what_comes_in_between_is_not_undone_by_older_rows_that_had_to_wait() -> None:
    world, side, other = with_node()
    large, _ = say(side, other, rows=told("old", 5))
    say(side, other, rows={"t": [["k19", "new", 9]]})
    side.table["k18"] = "ours"
    world.run(0.1)
    assert large[0].status == 200
    assert shown(side) == {f"k{number}": "old" for number in range(18)} | {"k18": "ours", "k19": "new"}


@pytest.mark.usefixtures("small_steps")
def test_rows_of_a_repair_are_answered_with_what_is_newer_and_a_flush_goes_before_the_rows() -> None:
    world, side, other = with_node()
    side.table["k0"] = "new"
    side.table["k19"] = "new"
    world.run(1)
    other.got.clear()
    replies, at_once = say(side, other, rows=told("old", 5), repair=True, floors={"t": 4})
    assert not at_once
    world.run(1)
    assert replies[0].status == 200 and side.table.floor == 4
    assert sorted(row[:2] for row in rows(other)) == [["k0", "new"], ["k19", "new"]]
    assert side.store.counters.repair_cells["in"] == ROWS


@pytest.mark.usefixtures("small_steps")
def test_what_lies_too_far_ahead_is_told_though_only_the_last_row_does() -> None:
    world, side, other = with_node()
    late = side.store.clock.limit() + (1 << 40)
    replies, _ = say(side, other, rows={"t": [*told("x", 5)["t"], ["late", "x", late]]})
    world.run(0.1)
    assert b'"ahead":true' in replies[0].body


@pytest.mark.usefixtures("small_steps")
def test_a_node_of_which_many_wait_is_to_come_again_and_others_are_heard() -> None:
    world, side, other = with_node()
    another = Played(world, "127.0.0.13", ours=True)
    side.meet(another)
    world.run(3)
    sent = [say(side, other, rows=told(str(stamp), stamp)) for stamp in range(5, 5 + MOST + 1)]
    one_more, _ = say(side, another, rows={"t": [[f"a{number}", "z", 5] for number in range(ROWS)]})
    assert not any(replies for replies, _ in sent[:-1]) and not one_more
    assert sent[-1][1] and sent[-1][0][0].status == 503
    world.run(0.1)
    assert all(replies[0].status == 200 for replies, _ in sent[:-1]) and one_more[0].status == 200
    assert len(side.table) == 2 * ROWS and side.table["k0"] == str(5 + MOST - 1)
    replies, at_once = say(side, other, rows=told("last", 99))
    world.run(0.1)
    assert not at_once and replies[0].status == 200


@pytest.mark.usefixtures("small_steps")
def test_one_that_cannot_be_merged_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    world, side, other = with_node()
    merge_rows = Arrivals.merge_rows

    def failing(self: Arrivals, some: list[object], sender: str) -> list[str]:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Arrivals, "merge_rows", failing)
    for _ in range(2 * MOST):
        with pytest.raises(RuntimeError):
            say(side, other, rows=told("x", 5))
    monkeypatch.setattr(Arrivals, "merge_rows", merge_rows)
    replies, _ = say(side, other, rows=told("x", 5))
    world.run(0.1)
    assert replies[0].status == 200 and len(side.table) == ROWS


@pytest.mark.usefixtures("small_steps")
def test_a_node_that_stops_merges_no_more() -> None:
    world, side, other = with_node()
    replies, _ = say(side, other, rows=told("x", 5))
    side.store.stop()
    world.run(1)
    assert not replies and len(side.table) == 3


def test_the_bound_is_above_what_nodes_have_on_their_way() -> None:
    assert MOST >= 2 * WINDOW
