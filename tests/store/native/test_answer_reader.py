"""What an answer says beside what was asked: it moves clocks only if it is known when it was given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.bus.peer import Reply, Response
from dmqcache.store.native.answer_reader import NONE_S
from dmqcache.store.native.native_message import Answer, encode
from dmqcache.store.table import redating
from dmqcache.store.table.clock import MAX_AHEAD_MS, MAX_ROUND_TRIP_S, ms_of
from dmqcache.store.table.table import Table
from tests.store.harness import Played, Sent, Side, World

HOUR_MS = 3_600_000


def with_others(count: int = 2) -> tuple[World, Side, list[Played]]:
    world = World()
    side = world.side("127.0.0.11")
    others = [Played(world, f"127.0.0.{12 + number}", ours=True) for number in range(count)]
    for other in others:
        side.meet(other)
    world.run(3)
    return world, side, others


def answered(
    side: Side, other: Played, ahead: bool = False, rtt: float | None = 0.01, ms: int = 0
) -> Answer | None:
    """``other`` answers that it is ``ms`` later than here."""
    body = encode(Answer(side.store.clock.raw_ms() + ms, ahead))
    return side.store._answers.read(Response(200, other.uri, body, rtt=rtt))


def test_the_time_in_an_answer_counts_if_its_way_was_short() -> None:
    for rtt, moved in ((0.01, True), (MAX_ROUND_TRIP_S + 0.1, False), (None, False)):
        _world, side, others = with_others()
        for other in others:
            assert answered(side, other, rtt=rtt, ms=HOUR_MS) is not None
        assert (side.store.clock.correction > HOUR_MS - 1_000) is moved


def test_no_request_moves_a_clock_however_old_it_is() -> None:
    _world, side, others = with_others()
    for other in others:
        other.tell(side, now=side.store.clock.raw_ms() - 60_000, rows={"t": [["a", "x", 5]]}, repair=True)
    assert side.store.clock.correction == 0 and not side.store.clock._samples


def test_of_a_node_that_is_not_there_nothing_is_kept() -> None:
    world, side, others = with_others()
    stranger = Played(world, "127.0.0.99", ours=True)
    assert answered(side, stranger, ms=HOUR_MS, ahead=True) is not None
    assert not side.store.clock._samples
    for other in others:
        answered(side, other, ms=HOUR_MS)
    for other in others:
        side.lose(other)
    assert not side.store.clock._samples and side.store.clock.correction == 0


@pytest.mark.parametrize("response", [(200, b""), (200, b"{}"), (200, b"\xff"), (500, b'{"now":5}')])
def test_what_is_no_answer_says_nothing(response: tuple[int, bytes]) -> None:
    _world, side, others = with_others(1)
    status, body = response
    assert side.store._answers.read(Response(status, others[0].uri, body, rtt=0.01)) is None
    assert not side.store.clock._samples


def test_what_a_node_refused_as_too_far_ahead_is_dated_anew_if_our_clock_was_wrong() -> None:
    world, side, others = with_others()
    side.table["a"] = "x"
    world.run(1)
    for other in others:
        answered(side, other, ms=-HOUR_MS)
    assert ms_of(side.table.cells["a"].stamp) > side.store.clock.wall_ms()
    answered(side, others[0], ms=-HOUR_MS, ahead=True)
    assert ms_of(side.table.cells["a"].stamp) == side.store.clock.wall_ms()
    assert [side.outbox(other).overflowed for other in others] == [True, False]
    # It is told to all, and the one that refused it is compared with besides.
    assert all(side.outbox(other).backlog() == 1 for other in others)


def test_all_that_refused_what_was_dated_anew_are_compared_with_soon() -> None:
    world, side, others = with_others(4)
    side.table["a"] = "x"
    world.run(1)
    for other in others:
        other.got.clear()
        answered(side, other, ms=-HOUR_MS, ahead=True)
    world.run(4)
    asked = [other for other in others if any(sent.message.ask is not None for sent in other.got)]
    assert len(asked) == 4
    # Where nothing of ours was wrong, the next comparison of the usual ones finds it.
    world.run(NONE_S)
    for other in others:
        other.got.clear()
        answered(side, other, ahead=True)
    world.run(4)
    assert not [other for other in others if any(sent.message.ask is not None for sent in other.got)]


def test_who_says_again_and_again_that_something_lies_ahead_makes_us_look_through_our_tables_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, side, others = with_others()
    side.table["a"] = "x"
    looks: list[float] = []
    redate = Table.redate_in_pieces

    def noting(self: Table) -> Iterator[int]:
        looks.append(side.store.clock.now())
        return redate(self)

    monkeypatch.setattr(Table, "redate_in_pieces", noting)
    for _ in range(100):
        answered(side, others[0], ahead=True)
        world.run(0.25)
    assert len(looks) == 3
    # A clock is set back: at once.
    world.run(NONE_S)
    answered(side, others[0], ahead=True)
    assert len(looks) == 4
    for other in others:
        answered(side, other, ms=-HOUR_MS, ahead=True)
    assert len(looks) >= 5 and ms_of(side.table.cells["a"].stamp) < side.store.clock.raw_ms() - HOUR_MS / 2


def test_who_refuses_what_lies_too_far_ahead_has_not_acknowledged_it_when_it_is_dated_anew() -> None:
    world, side, others = with_others()
    side.table.flush()
    world.run(1)
    for other in others:
        other.answer = lambda sent: Reply(
            200, body=encode(Answer(side.store.clock.raw_ms() - HOUR_MS, bool(sent.message.rows)))
        )
    side.table["a"] = "x"
    counts: list[int] = []
    side.store.waiters.wait(1, 1.0, counts.append)
    world.run(2)
    assert side.store.counters.clamped["t"] >= 1
    assert counts == [0]


def test_if_the_other_clock_was_wrong_nothing_is_dated_anew() -> None:
    world, side, others = with_others()
    side.table["a"] = "x"
    stamp = side.table.cells["a"].stamp
    world.run(1)
    answered(side, others[0], ahead=True)
    assert side.table.cells["a"].stamp == stamp
    assert side.outbox(others[0]).overflowed


def test_a_wrong_clock_of_ours_follows_the_others_and_old_versions_with_it() -> None:
    world = World()
    side = world.side("127.0.0.11")
    others = [Played(world, f"127.0.0.{host}", ours=True) for host in (12, 13, 14)]
    for other in others:
        side.meet(other)
    world.run(3)
    side.table["a"] = "x"
    world.run(1)

    def answer(sent: Sent) -> Reply:
        """They are right, and our version of a moment ago is of tomorrow."""
        right = side.store.clock.raw_ms() - 86_400_000
        ahead = any(ms_of(row.stamp) > right + MAX_AHEAD_MS for row in sent.message.rows.get("t", []))
        return Reply(200, body=encode(Answer(right, ahead)))

    for other in others:
        other.answer = answer
        other.got.clear()
    side.table["a"] = "y"
    world.run(1)
    right = side.store.clock.raw_ms() - 86_400_000
    assert abs(side.store.clock.wall_ms() - right) < 10
    assert ms_of(side.table.cells["a"].stamp) <= right
    assert side.store.counters.clamped["t"] >= 1  # Once for each step in which the median moved.
    for other in others:
        told = [row for sent in other.got for row in sent.message.rows.get("t", [])]
        assert (told[-1].value, told[-1].stamp) == ("y", side.table.cells["a"].stamp)
    assert all(box.overflowed for box in side.store.outboxes.values())


def test_a_large_table_is_dated_anew_in_steps_and_who_refused_meanwhile_is_compared_with_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(redating, "PIECE", 10)
    world, side, others = with_others(3)
    for number in range(45):
        side.table[f"k{number}"] = "x"
    world.run(1)
    for other in others:
        other.got.clear()
        # With the second answer it is known that our clock was wrong, and begun anew.
        answered(side, other, ms=-HOUR_MS, ahead=True)
    limit = side.store.clock.limit()
    ahead = [cell.key for cell in side.table.cells.values() if cell.stamp > limit]
    assert (len(ahead), side.store.counters.clamped["t"]) == (45, 0)
    side.table[ahead[0]] = "meanwhile"
    assert side.table.cells[ahead[0]].stamp <= limit
    world.run(0)
    assert max(cell.stamp for cell in side.table.cells.values()) <= limit
    assert side.table.redating is None and side.store.counters.clamped["t"] == 44
    world.run(4)
    assert all(any(sent.message.ask is not None for sent in other.got) for other in others)
