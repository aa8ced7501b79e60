"""A Kamailio is asked for its cells: what it lacks it is sent, lost questions and answers are no obstacle."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.kamailio.compare import SETTLE_S
from dmqcache.store.kamailio.inquirer import ASK_AGAIN_S, LOST_ANSWER_S
from tests.store.harness import Sent, World, cells_body, old_kamailio, shown
from tests.store.kamailio.holder import Holder, again, apart


def test_equal_tables_are_asked_for_once_and_nobody_is_told_anything() -> None:
    world, side, holder = apart()
    again(world, side, holder)
    assert holder.orders() == []
    assert len(holder.asked) == 1
    assert side.store.counters.repairs["equal"] >= 1
    assert side.outbox(holder.node).lost_at is None


def test_what_it_lacks_it_is_sent_and_it_is_never_taken_for_a_delete() -> None:
    world, side, holder = apart()
    holder.cells.clear()
    again(world, side, holder)
    assert holder.cells == shown(side) == {"same": "x"}


def test_what_no_kamailio_can_hold_is_no_difference() -> None:
    world, side, holder = apart()
    side.table["big"] = 1 << 40
    world.run(1)
    again(world, side, holder, 20)
    assert len(holder.asked) == 1
    assert side.store.counters.repairs["equal"] >= 1


def test_a_node_whose_cells_do_not_come_is_given_up() -> None:
    world = World()
    side = world.side("127.0.0.11")
    node = old_kamailio(world)
    node.answer = lambda sent: None
    side.meet(node)
    world.run(20)
    assert side.store.counters.repairs["failed"] >= 1


def test_a_question_that_is_lost_is_put_again_soon() -> None:
    world, side, holder = apart()
    answer, lost = holder.node.answer, []

    def deaf(sent: Sent) -> Reply | None:
        if sent.json == {"action": 1} and not lost:
            lost.append(sent)
            return None
        return answer(sent)

    holder.node.answer = deaf
    holder.cells["new"] = "there"
    again(world, side, holder, SETTLE_S + ASK_AGAIN_S + 2)
    assert lost and side.table["new"] == "there"


def test_cells_whose_200_is_lost_are_as_good() -> None:
    world, side, holder = apart()
    answer = holder.node.answer

    def half(sent: Sent) -> Reply | None:
        reply = answer(sent)
        return None if sent.json == {"action": 1} else reply

    holder.node.answer = half
    holder.cells = {"same": "wrong"}
    side.table["same"] = "ours"
    side.table["more"] = "x"
    side.outbox(holder.node).changed["t"].clear()
    again(world, side, holder, SETTLE_S + LOST_ANSWER_S + 2)
    assert holder.cells == {"same": "ours", "more": "x"}
    assert len(holder.asked) <= 2


class Doubled(Holder):
    """Holds the key ``same`` twice until one of the two is deleted, and shows both."""

    older: str | None = "stale"

    def answer(self, sent: Sent) -> Reply:
        if sent.json.get("action") == 4 and self.older is not None:
            self.cells["same"], self.older = self.older, None
            return Reply(200)
        return super().answer(sent)

    def send(self) -> None:
        if self.older is None:
            super().send()
            return
        body = cells_body(("same", self.cells["same"]), ("same", self.older))
        for side in self.to:
            self.world.later(0.0005, partial(self.node.say, side, body))


def test_a_key_that_it_holds_twice_it_holds_once_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    """And what its script does not see is never taken for a write."""
    world = World()
    side = world.side("127.0.0.11")
    holder = Doubled(world, [side])
    holder.cells = {"same": "theirs"}
    with caplog.at_level(logging.INFO):
        side.meet(holder.node)
        world.run(1)
        side.table["same"] = "ours"
        world.run(12)
    assert side.table["same"] == "ours"
    assert (holder.cells, holder.older) == ({"same": "ours"}, None)
    assert "holds 1 keys twice" in caplog.text
    assert side.store.counters.repairs["equal"] >= 1


@pytest.mark.parametrize("asked", [True, False])
def test_a_late_copy_of_an_earlier_answer_says_nothing_of_what_the_node_holds(asked: bool) -> None:
    """It was deleted since, and nobody remembers that: not told to others as news, nor missed there later."""
    world, side, holder = apart()
    again(world, side, holder)

    def say(number: int, *cells: tuple[str, str | int]) -> None:
        message = holder.node.message(side, cells_body(*cells))
        side.bus.peers["htable"].handle(replace(message, call_id=f"{number:016x}-7@127.0.0.90"))

    say(1 << 50, ("same", "x"))
    world.run(10)
    if asked:
        side.store.compare.all_later()
        world.until(lambda: side.store.compare._inquirer.is_asking(holder.node.uri))
    say((1 << 50) - 100, ("same", "x"), ("deleted", "y"))
    if asked:
        # Nothing tells when the process sent those two, but that each ended an answer.
        say((1 << 50) + 2, ("same", "x"))
        say((1 << 50) + 1, ("same", "x"), ("deleted", "y"))
    assert shown(side) == {"same": "x"}
    # The next one in turn is none.
    say((1 << 50) + 3, ("new", "y"))
    assert shown(side) == {"same": "x", "new": "y"}
