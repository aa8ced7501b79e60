"""A flush reaches every dmqcache node, and none from the future is believed."""

from __future__ import annotations

import pytest

from dmqcache.bus.peer import Later, Reply
from dmqcache.store.native.native_message import decode_answer
from dmqcache.store.table import floor_raising, late_flush, redating
from dmqcache.store.table.floor_raising import is_late
from tests.store.harness import Played, Side, World, shown
from tests.store.native.native_hosts import cut_while, pair, rejoin, with_node


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty cells are many."""
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(floor_raising, "AT_ONCE", 10)
    monkeypatch.setattr(late_flush, "LOOKED_AT", 3)
    monkeypatch.setattr(late_flush, "FEW_DEAD", 3)


def test_a_flush_travels_with_everything_sent_after_it() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(0.1)
    side.table.flush()
    side.table["b"] = "y"
    world.run(0.1)
    told = [body["floors"] for body in other.seen() if body.get("floors")]
    assert told == [{"t": side.table.floor}] * len(told) and len(told) >= 2


def test_a_flush_of_another_node_is_heard_but_not_one_from_the_future() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(1)
    limit = side.store.clock.limit()
    assert other.tell(side, floors={"t": side.store.clock.version()}).body == b""
    assert shown(side) == {}
    floor = side.table.floor
    assert decode_answer(other.tell(side, floors={"t": limit + 1}).body).ahead is True
    assert (side.table.floor, side.store.counters.refused["t", "future"]) == (floor, 1)
    side.table["b"] = "still possible"
    assert shown(side) == {"b": "still possible"}


def of_long_ago(world: World, side: Side) -> int:
    """Fill a table; returns the version of a moment between two writes, of which only the second is later."""
    for number in range(20):
        side.table.set(f"k{number:02}", "x")
    world.run(1)
    floor = side.store.clock.version()
    world.run(1)
    side.table["later"] = "y"
    world.run(5)
    return floor


def hear(side: Side, other: Played, **fields: object) -> list[Reply]:
    """What is answered, as soon as it is."""
    replies: list[Reply] = []
    message = other.message(side, fields, "dmqcache")
    later = side.bus.peers["dmqcache"].handle(message)
    assert isinstance(later, Later)
    later.then(replies.append)
    return replies


@pytest.mark.usefixtures("small_steps")
def test_a_flush_that_comes_late_has_its_turns_and_is_answered_when_all_is_gone() -> None:
    world, side, other = with_node()
    floor = of_long_ago(world, side)
    stamp = side.store.clock.version()
    one = hear(side, other, floors={"t": floor}, rows={"t": [["row", "z", stamp, 0, 0, 0]]})
    two = hear(side, other, floors={"t": floor + 1})
    assert len(shown(side)) == 21 and not one and not two
    side.table["meanwhile"] = "m"
    world.run(0.1)
    assert shown(side) == {"later": "y", "meanwhile": "m", "row": "z"}
    assert (side.table.floor, [reply.status for reply in one + two]) == (floor + 1, [200, 200])


@pytest.mark.usefixtures("small_steps")
def test_a_flush_of_which_a_comparison_tells_late_is_followed_in_turns_too() -> None:
    world, one, two = pair()
    cut_while(world, one, two)
    for side in (one, two):
        of_long_ago(world, side)
    one.table.flush()
    world.run(2)
    two.table["after"] = "z"
    world.run(5)
    assert is_late(two.table, one.table.floor)
    rejoin(world, one, two)
    assert shown(one) == shown(two) == {"after": "z"}


@pytest.mark.usefixtures("small_steps")
def test_who_stops_looks_for_nothing_more() -> None:
    world, side, other = with_node()
    floor = of_long_ago(world, side)
    replies = hear(side, other, floors={"t": floor})
    side.store.stop()
    world.run(1)
    assert not replies and len(side.table) == 21


@pytest.mark.usefixtures("small_steps")
def test_a_late_flush_that_is_not_believed_in_the_end_leaves_nothing_behind() -> None:
    world, side, other = with_node()
    floor = of_long_ago(world, side)
    replies = hear(side, other, floors={"t": floor})
    side.store.clock._wall_ms = lambda: side.runtime.wall_ms() - 3_600_000
    world.run(0.1)
    assert [decode_answer(reply.body).ahead for reply in replies] == [True]
    assert len(side.table) == 21 and side.table.late is None


def test_a_flush_just_after_clocks_were_set_back_kills_what_was_written_before_it() -> None:
    world, side, other = with_node()
    side.table["a"] = "x"
    world.run(1)
    clock = side.store.clock
    clock._wall_ms = lambda wall_ms=clock._wall_ms: wall_ms() - 3_600_000  # type: ignore[misc]
    world.run(1)
    floor = clock.version()
    assert side.table.cells["a"].stamp > floor
    other.tell(side, floors={"t": floor})
    assert shown(side) == {} and side.table.floor == floor
    side.table["b"] = "since"
    assert shown(side) == {"b": "since"}


@pytest.mark.usefixtures("small_steps")
def test_in_a_large_table_what_lies_ahead_is_dated_anew_in_turns_before_the_flush_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redating, "PIECE", 3)
    world, side, other = with_node()
    for number in range(20):
        side.table.set(f"k{number:02}", "x")
    world.run(1)
    clock = side.store.clock
    clock._wall_ms = lambda wall_ms=clock._wall_ms: wall_ms() - 3_600_000  # type: ignore[misc]
    world.run(1)
    floor = clock.version()
    world.run(0.01)
    monkeypatch.setattr(side.table, "redate", lambda: pytest.fail("in one step"))
    replies = hear(side, other, floors={"t": floor}, rows={"t": [["new", "y", floor + 1]]})
    again = hear(side, other, floors={"t": floor})
    assert (replies, again, len(side.table), side.table.floor) == ([], [], 20, 0)
    side.table["k00"] = "since"
    world.run(0.1)
    assert shown(side) == {"new": "y", "k00": "since"} and side.table.floor == floor
    assert (len(replies), len(again)) == (1, 1)
    assert side.store.counters.clamped["t"] == 19


@pytest.mark.usefixtures("small_steps")
def test_one_row_that_shows_that_clocks_were_set_back_has_all_others_dated_anew_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redating, "PIECE", 3)
    world, side, other = with_node()
    for number in range(20):
        side.table.set(f"k{number:02}", "x")
    world.run(1)
    clock = side.store.clock
    clock._wall_ms = lambda wall_ms=clock._wall_ms: wall_ms() - 3_600_000  # type: ignore[misc]
    world.run(1)
    now = clock.version()
    other.tell(side, rows={"t": [["k01", "y", now]]})
    assert side.table["k01"] == "y" and side.table.cells["k01"].stamp == now
    ahead = sum(cell.stamp > clock.limit() for cell in side.table.cells.values())
    assert 16 <= ahead < 20
    world.run(0)
    assert max(cell.stamp for cell in side.table.cells.values()) == now
    assert side.store.counters.clamped["t"] == 20
