"""A Kamailio that asks for all cells: who gets them, and how often."""

from __future__ import annotations

import pytest

from dmqcache.bus.peer import SILENCE
from dmqcache.store.kamailio import sync_requests
from dmqcache.store.kamailio.sync_requests import COPY_S
from tests.store.harness import (
    Played,
    Side,
    World,
    all_cells,
    old_kamailio,
    with_kamailio,
)


def test_a_known_node_gets_200_first_and_then_all_cells_in_batches_with_their_times() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=3600", "own=>dmqreplicate=0")
    for number in range(2_000):
        side.table[f"k{number}"] = f"v{number}"
    side.table.set("short", "x", 20)
    side.store.tables["own"]["a"] = "mine"
    world.run(10)
    kamailio.got.clear()
    assert kamailio.say(side, {"action": 1}).status == 200
    assert kamailio.got == []
    world.run(2)
    cells = {cell["cname"]: cell for cell in all_cells(kamailio)}
    assert len(cells) == len(all_cells(kamailio)) == 2_001
    assert abs(cells["short"]["expire"] - (side.store.clock.wall_ms() / 1000 + 8)) < 3
    assert {cell["htname"] for cell in cells.values()} == {"t"}
    assert max(len(sent.body) for sent in kamailio.got) < 64_000


def test_a_node_that_asks_twice_while_it_is_served_gets_one_stream() -> None:
    world, side, kamailio = with_kamailio()
    for number in range(3_000):
        side.table[f"k{number}"] = "x"
    world.run(10)
    kamailio.got.clear()
    kamailio.say(side, {"action": 1})
    kamailio.say(side, {"action": 1})
    world.run(3)
    assert len(all_cells(kamailio)) == 3_000
    kamailio.say(side, {"action": 1, "htname": "t"})
    world.run(3)
    assert len(all_cells(kamailio)) == 6_000


def test_the_cells_are_gathered_in_pieces_and_not_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(sync_requests, "PIECE", 20)
    world, side, kamailio = with_kamailio()
    for number in range(300):
        side.table[f"k{number}"] = "x"
    world.run(10)
    kamailio.got.clear()
    kamailio.say(side, {"action": 1})
    kamailio.say(side, {"action": 1, "htname": "t"})
    assert not side.store.outboxes[kamailio.uri].transfers
    side.table["meanwhile"] = "y"
    side.table.delete("k7")
    world.run(3)
    shown = [cell["cname"] for cell in all_cells(kamailio)]
    assert {f"k{number}" for number in range(300)} - {"k7"} <= set(shown)
    assert len(shown) <= 301
    kamailio.say(side, {"action": 1})
    world.clock.call_later(0.0, side.store.stop)
    kamailio.got.clear()
    world.run(3)
    assert all_cells(kamailio) == []


def test_a_stranger_gets_silence_and_when_it_has_answered_its_cells_once() -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "x"
    stranger = old_kamailio(world)
    assert stranger.say(side, {"action": 1}).status == SILENCE
    world.run(1)
    assert stranger.got == []
    side.meet(stranger)
    world.run(0.4)
    assert [cell["cname"] for cell in all_cells(stranger)] == ["a"]
    assert stranger.say(side, {"action": 1}).status == 200  # The copy of its first question.
    world.run(0.4)
    assert len(all_cells(stranger)) == 1
    assert stranger.say(side, {"action": 1}).status == 200  # A question of its own.
    world.run(0.4)
    assert len(all_cells(stranger)) == 2


def test_a_question_long_after_is_no_copy() -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "x"
    stranger = old_kamailio(world)
    stranger.say(side, {"action": 1})
    side.meet(stranger)
    world.run(COPY_S + 1)
    before = len(all_cells(stranger))
    stranger.say(side, {"action": 1})
    world.run(0.4)
    assert len(all_cells(stranger)) == before + 1


def test_strangers_who_ask_take_no_room_without_end() -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(500):
        Played(world, f"127.0.{number // 250}.{number % 250 + 1}:7000").say(side, {"action": 1})
    assert len(side.store.sync_requests._unproven) <= 64


def gathering(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Side, Played, Played]:
    """A node whose cells are gathered a few at a time for a Kamailio that asks, and another one of ours."""
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(sync_requests, "PIECE", 20)
    world, side, kamailio = with_kamailio()
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    for number in range(300):
        side.table[f"old{number}"] = "x"
    return world, side, kamailio, other


def test_one_that_is_lost_while_its_cells_are_gathered_asks_anew_and_gets_those_of_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, side, kamailio, other = gathering(monkeypatch)
    world.run(10)
    kamailio.say(side, {"action": 1})
    side.lose(kamailio)
    world.run(10)
    assert not side.outbox(kamailio).transfers
    # Another node told the Kamailio this before that one was restarted.
    other.tell(side, rows={"t": [["theirs", "y", side.store.clock.version()]]})
    side.meet(kamailio)
    kamailio.got.clear()
    kamailio.say(side, {"action": 1})
    world.run(5)
    assert "theirs" in {cell["cname"] for cell in all_cells(kamailio)}


def test_what_a_flush_leaves_while_the_cells_are_gathered_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world, side, kamailio, other = gathering(monkeypatch)
    world.run(1)
    floor = side.store.clock.version()
    stamp = floor + (1 << 16)
    other.tell(side, rows={"t": [[f"new{number}", "y", stamp] for number in range(60)]})
    world.run(1)
    kamailio.got.clear()
    kamailio.say(side, {"action": 1})
    other.tell(side, floors={"t": floor})
    world.run(0.5)
    shown = {cell["cname"] for cell in all_cells(kamailio)}
    assert {f"new{number}" for number in range(60)} <= shown
