"""A node that stops has told all that it was asked to remember, or says what it has not."""

from __future__ import annotations

import pytest

from dmqcache.bus.peer import Reply
from tests.store.harness import Played, Side, World, old_kamailio


def node_and_others() -> tuple[World, Side, Played, Played]:
    world = World()
    side = world.side("127.0.0.11")
    native, kamailio = Played(world, "127.0.0.12", ours=True), old_kamailio(world)
    for other in (native, kamailio):
        side.meet(other)
    world.run(5)
    return world, side, native, kamailio


def emptied(world: World, side: Side, timeout: float = 10.0) -> list[float]:
    ends: list[float] = []
    began = world.clock.time
    side.store.emptying.start(timeout, lambda: ends.append(world.clock.time - began))
    return ends


def test_where_nothing_waits_it_is_over_at_once_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    world, side, _, _ = node_and_others()
    caplog.set_level("INFO", "dmqcache.store")
    caplog.clear()
    assert emptied(world, side) == [0.0]
    assert caplog.messages == []


def test_it_ends_when_the_last_node_has_acknowledged_the_last_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, side, native, kamailio = node_and_others()
    caplog.set_level("INFO", "dmqcache.store")
    for number in range(20_000):
        side.table[f"k{number}"] = "x"
    ends = emptied(world, side)
    assert ends == []
    world.until(lambda: bool(ends), 10)
    assert side.outbox(native).waiting() == side.outbox(kamailio).waiting() == 0
    assert "40000 changes are not acknowledged by 2 nodes yet: waiting up to 10 s for them" in caplog.messages
    assert caplog.messages[-1].startswith("all changes were acknowledged within")
    world.run(20)
    assert len(ends) == 1


def test_it_ends_after_its_time_and_says_progress_and_what_was_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, side, native, _ = node_and_others()
    native.answer = lambda sent: None
    side.table["a"] = "x"
    caplog.set_level("INFO", "dmqcache.store")
    ends = emptied(world, side, 2.5)
    world.run(20)
    assert ends == [pytest.approx(2.5)]
    assert caplog.messages.count("still waiting: sip:127.0.0.12:5060 lacks 1") == 2
    assert caplog.messages[-1] == ("stopping although not all is acknowledged: sip:127.0.0.12:5060 lacks 1")


def test_a_node_that_goes_away_meanwhile_is_waited_for_no_more() -> None:
    world, side, native, _ = node_and_others()
    native.answer = lambda sent: None
    side.table["a"] = "x"
    ends = emptied(world, side)
    world.run(1)
    side.lose(native)
    world.run(0.1)
    assert len(ends) == 1


def test_a_node_for_which_names_were_forgotten_is_repaired_first(caplog: pytest.LogCaptureFixture) -> None:
    world, side, native, _ = node_and_others()
    native.answer = lambda sent: Reply(503)
    side.outbox(native).overflowed = True
    ends = emptied(world, side, 1.0)
    world.run(3)
    assert ends == [pytest.approx(1.0)]
    assert "lacks changes that were dropped" in caplog.text


def test_who_is_in_a_hurry_waits_no_longer() -> None:
    world, side, native, _ = node_and_others()
    native.answer = lambda sent: None
    side.table["a"] = "x"
    ends = emptied(world, side)
    world.run(0.5)
    side.store.emptying.hurry()
    assert len(ends) == 1
    world.run(20)
    assert len(ends) == 1


def test_no_time_given_is_no_wait() -> None:
    world, side, native, _ = node_and_others()
    native.answer = lambda sent: None
    side.table["a"] = "x"
    assert emptied(world, side, 0.0) == [0.0]


def test_what_was_written_before_a_node_came_is_told_to_it_first() -> None:
    """No outbox names it: a comparison finds it, and is not waited for until its turn."""
    world = World()
    one, other = world.side("127.0.0.11"), world.side("127.0.0.12")
    other.table["b"] = "y"
    # The one with the greater address leaves the first comparison to the other.
    other.meet(one)
    one.meet(other)
    ends = emptied(world, other)
    assert ends == []
    world.until(lambda: bool(ends), 0.5)
    assert one.table["b"] == "y"


def test_a_comparison_that_fails_is_tried_again() -> None:
    world = World()
    one, other = world.side("127.0.0.11"), world.side("127.0.0.12")
    one.table["a"] = "x"
    world.lose = lambda sent: sent.channel == "dmqcache"
    one.meet(other)
    other.meet(one)
    ends = emptied(world, one, 60.0)
    world.run(35)
    assert ends == []
    world.lose = lambda sent: False
    world.until(lambda: bool(ends), 8)
    assert other.table["a"] == "x"


def test_a_node_that_is_never_compared_with_holds_up_nobody_for_longer_than_the_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "x"
    native = Played(world, "127.0.0.12", ours=True)
    native.answer = lambda sent: Reply(503)
    side.meet(native)
    caplog.set_level("INFO", "dmqcache.store")
    ends = emptied(world, side, 1.5)
    world.run(3)
    assert ends == [pytest.approx(1.5)]
    assert "sip:127.0.0.12:5060 was not compared with yet" in caplog.messages[-1]


def test_a_node_that_has_only_just_started_waits_for_the_first_that_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else what it was asked to keep would be gone with it."""
    world = World()
    side, other = world.side("127.0.0.11", ready=False), world.side("127.0.0.12")
    side.table["a"] = "x"
    caplog.set_level("INFO", "dmqcache.store")
    ends = emptied(world, side)
    world.run(2)
    assert ends == []
    assert (
        "no other node has answered yet that could keep 1 changes: waiting up to 10 s for one" in caplog.text
    )
    world.mesh(side, other)
    world.until(lambda: bool(ends), 3)
    assert other.table["a"] == "x"
    assert caplog.messages[-1].startswith("all changes were acknowledged within")


@pytest.mark.parametrize("written", [True, False])
def test_it_waits_for_nobody_longer_than_it_may_and_not_with_nothing_to_tell(
    written: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    side = world.side("127.0.0.11", ready=False)
    if written:
        side.table["a"] = "x"
    caplog.set_level("INFO", "dmqcache.store")
    ends = emptied(world, side, 3)
    world.run(20)
    assert ends == [pytest.approx(3.0 if written else 0.0)]
    assert ("stopping although no other node has heard of 1 changes" in caplog.text) is written


@pytest.mark.parametrize("lost", [True, False])
def test_it_says_what_nobody_has_as_all_others_are_lost(lost: bool, caplog: pytest.LogCaptureFixture) -> None:
    world, side, native, kamailio = node_and_others()
    side.lose(native)
    if lost:
        side.lose(kamailio)
    side.table["a"] = "x"
    world.run(1)
    assert emptied(world, side) == [0.0]
    assert ("stopping although no other node has heard of 1 changes" in caplog.text) is lost
