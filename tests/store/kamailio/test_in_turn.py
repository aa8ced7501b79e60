"""Batches are taken in in steps, and what a Kamailio says behind one is done behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dmqcache.bus.peer import SILENCE, Later, Reply
from dmqcache.store.kamailio import htable, in_turn, inquirer
from dmqcache.store.kamailio.in_turn import InTurn
from dmqcache.store.kamailio.shown_cells import ShownCells
from tests.store.harness import Played, Side, cells_body, old_kamailio, set_body, shown, with_kamailio
from tests.store.kamailio.holder import again, apart

#: Cells of a batch here.
CELLS = 40


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven cells are many, and ten are a step."""
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(htable, "AT_ONCE", 10)
    monkeypatch.setattr(inquirer, "PIECE", 10)


def batch(count: int = CELLS, value: str = "x", prefix: str = "k") -> bytes:
    return cells_body(*((f"{prefix}{number}", value) for number in range(count)))


def say(side: Side, other: Played, body: Any, transport: str = "udp") -> list[int]:
    """The status that is answered, once it is."""
    message = other.message(side, body)
    message = replace(message, source=message.source._replace(transport=transport))
    reply = side.bus.peers["htable"].handle(message)
    if isinstance(reply, Reply):
        return [reply.status]
    assert isinstance(reply, Later)
    statuses: list[int] = []
    reply.then(lambda given: statuses.append(given.status))
    return statuses


def test_a_batch_of_many_cells_is_taken_in_in_steps_and_answered_when_all_are_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, side, kamailio = with_kamailio("t")
    came: list[int] = []
    take = ShownCells.came

    def counting(self: ShownCells, inquiry: Any, cells: list[Any], sender: Any) -> None:
        came.append(len(cells))
        take(self, inquiry, cells, sender)

    monkeypatch.setattr(ShownCells, "came", counting)
    statuses = say(side, kamailio, batch())
    assert (came, len(side.table), statuses) == ([10], 10, [])
    world.run(0)
    assert (came, statuses) == ([10] * 4, [200])
    assert shown(side) == {f"k{number}": "x" for number in range(CELLS)}
    assert say(side, kamailio, batch(10, prefix="few")) == [200], "few cells, and nothing waits"


def test_of_one_that_took_a_step_to_read_nothing_is_done_in_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_turn, "LONG", CELLS - 1)
    world, side, kamailio = with_kamailio("t")
    statuses = say(side, kamailio, batch())
    assert (len(side.table), statuses) == (0, [])
    world.run(0)
    assert (len(side.table), statuses) == (CELLS, [200])


def test_what_the_same_node_says_waits_behind_it_and_nobody_else_does() -> None:
    world, side, kamailio = with_kamailio("t")
    other = old_kamailio(world, "127.0.0.91")
    side.meet(other)
    first = say(side, kamailio, batch())
    then = [
        say(side, kamailio, set_body("k39", "later")),
        say(side, kamailio, {"action": 4, "htname": "t", "cname": "k38", "mode": 0}),
        say(side, kamailio, batch(5, prefix="few")),
        say(side, kamailio, {"action": 6, "htname": "t", "type": 2, "strval": "k1", "mode": 0}),
    ]
    assert [first, *then] == [[]] * 5
    assert say(side, kamailio, {"action": 1}) != [], "a question needs no order"
    assert say(side, kamailio, b"{}") == [400]
    assert say(side, other, set_body("of another", "y")) == [200]
    assert "k39" not in side.table and "few0" not in side.table
    world.run(0)
    assert [first, *then] == [[200]] * 5
    held = shown(side)
    assert (held["k39"], "k38" in held, "few4" in held, "k2" in held) == ("later", False, True, True)
    assert not any(key.startswith("k1") for key in held)
    assert say(side, kamailio, set_body("a", "x")) == [200], "at once again"


def test_a_set_that_comes_behind_a_batch_is_dated_by_when_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    _world, side, kamailio = with_kamailio("t")
    times: list[float] = []
    sent = side.store.htable._order.sent

    def noted(call_id: str, now: float) -> Any:
        times.append(now)
        return sent(call_id, now)

    monkeypatch.setattr(side.store.htable._order, "sent", noted)
    say(side, kamailio, batch())
    say(side, kamailio, set_body("a", "x"))
    assert len(times) == 2 and "a" not in side.table


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_turn, "MOST_CELLS", 2 * CELLS)


@pytest.mark.usefixtures("little_room")
def test_where_too_much_waits_a_datagram_is_as_if_it_were_lost() -> None:
    world, side, kamailio = with_kamailio("t")
    answers = [say(side, kamailio, batch(prefix=name)) for name in "abc"]
    assert answers == [[], [], [SILENCE]]
    assert side.store.counters.refused == {("", "too_many_waiting"): 1}
    assert say(side, kamailio, set_body("s", "x")) == [SILENCE]
    world.run(0)
    assert answers == [[200], [200], [SILENCE]]
    assert say(side, kamailio, set_body("s", "x")) == [200]
    statuses = say(side, kamailio, batch(3 * CELLS))
    world.run(0)
    assert statuses == [200], "one that is too large alone"


@pytest.mark.usefixtures("little_room")
def test_for_what_would_not_come_again_there_is_room_as_soon_as_those_before_it_are_done() -> None:
    world, side, kamailio = with_kamailio("t")
    answers = [say(side, kamailio, batch(prefix=name), "tcp") for name in "abcd"]
    assert answers == [[200], [200], [], []]
    answers.append(say(side, kamailio, batch(3 * CELLS, prefix="e"), "tcp"))
    assert answers[:4] == [[200]] * 4
    world.run(0)
    assert answers == [[200]] * 5 and len(side.table) == 7 * CELLS
    assert side.store.counters.refused == {}


def test_one_that_fails_costs_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, side, kamailio = with_kamailio("t")
    take: Callable[..., None] = ShownCells.came

    def failing(self: ShownCells, inquiry: Any, cells: list[Any], sender: Any) -> None:
        if cells[0].cname == "a10":
            raise RuntimeError("broken")
        take(self, inquiry, cells, sender)

    monkeypatch.setattr(ShownCells, "came", failing)
    with caplog.at_level(logging.ERROR):
        answers = [say(side, kamailio, batch(prefix=name)) for name in "ab"]
        world.run(0)
    assert answers == [[500], [200]]
    assert len(side.table) == 10 + CELLS
    assert "could not be taken in" in caplog.text


def test_a_node_that_has_stopped_takes_nothing_in_any_more() -> None:
    world, side, kamailio = with_kamailio("t")
    answer = say(side, kamailio, batch())
    side.store._ground.stopped = True
    world.run(1)
    assert (answer, len(side.table)) == ([], 10)


def test_a_comparison_is_not_over_while_cells_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[bool] = []
    monkeypatch.setattr(InTurn, "busy", lambda self, node: bool(waits))
    monkeypatch.setattr(InTurn, "take", lambda self, node, cells, work, again: in_turn.at_once(work))
    world, side, holder = apart()
    waits.append(True)
    again(world, side, holder, 30)
    assert len(holder.asked) == 1 and side.store.compare._inquirer.is_asking(holder.node.uri)
    waits.clear()
    world.run(3)
    assert not side.store.compare._inquirer.is_asking(holder.node.uri)
    assert side.store.counters.repairs["equal"] >= 1
