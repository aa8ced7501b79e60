"""A Kamailio handles a copy of a message after later ones: it is told once more what is so."""

from __future__ import annotations

from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.store.kamailio.kamailio_courier import LOOK_S
from dmqcache.store.kamailio.late_copies import LATE_COPY_S
from tests.store.harness import NEW, Played, Sent, World, with_kamailio

#: Longer than any copy is waited for without a sign of it.
LONG_S = LATE_COPY_S + 3


def came_late(sent: Sent) -> None:
    """The Kamailio answers a message that is over."""
    assert sent.on_late is not None
    sent.on_late()


def given_up(world: World, kamailio: Played) -> Sent:
    """The first message, which was not answered and gave its place to a newer one; all is told since."""
    (sent,) = kamailio.got
    kamailio.answer = lambda sent: Reply(200)
    world.run(LONG_S)
    kamailio.got.clear()
    world.run(LONG_S)
    assert sent.cancelled and not kamailio.got
    return sent


def test_what_was_given_up_and_is_handled_seconds_later_is_undone_when_its_answer_comes() -> None:
    """One of its workers sent all its cells to somebody, or stood still, and had the message in its queue."""
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: Reply(SILENCE)
    side.table["a"] = "first"
    world.run(LOOK_S / 2)
    side.table["a"] = "second"
    sent = given_up(world, kamailio)
    came_late(sent)
    world.run(1)
    assert [body["strval"] for body in kamailio.seen()] == ["second"]
    world.run(LONG_S)
    assert len(kamailio.got) == 1


def test_a_delete_that_was_given_up_too() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "first"
    world.run(1)
    kamailio.got.clear()
    kamailio.answer = lambda sent: Reply(SILENCE)
    del side.table["a"]
    world.run(LOOK_S / 2)
    side.table["a"] = "second"
    came_late(given_up(world, kamailio))
    world.run(1)
    assert [body["strval"] for body in kamailio.seen()] == ["second"]


def test_a_copy_that_says_what_is_so_is_let_be() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "first"
    world.run(1)
    (sent,) = kamailio.got
    came_late(sent)
    world.run(LONG_S)
    assert kamailio.got == [sent]


def test_after_a_set_that_came_late_the_time_is_told_again_as_it_took_the_tables_own() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=3600")
    side.table.set("a", "first", 60)
    world.run(1)
    sent, _ = kamailio.got
    kamailio.got.clear()
    came_late(sent)
    world.run(2)
    assert [(body["action"], body.get("intval")) for body in kamailio.seen()] == [(2, None), (3, 59)]


def test_one_of_many_cells_that_has_changed_is_told_again_alone() -> None:
    world, side, kamailio = with_kamailio()
    side.table["proof"] = "x"
    world.run(1)
    for number in range(100):
        side.table[f"k{number}"] = "first"
    world.run(1)
    sent = next(sent for sent in kamailio.got if "cells" in sent.json)
    side.table["k7"] = "second"
    world.run(LONG_S)
    kamailio.got.clear()
    came_late(sent)
    world.run(1)
    assert [(body["cname"], body["strval"]) for body in kamailio.seen()] == [("k7", "second")]


def test_what_a_flush_took_away_is_deleted_again() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "first"
    world.run(1)
    (sent,) = kamailio.got
    side.table.flush()
    world.run(LONG_S)
    kamailio.got.clear()
    came_late(sent)
    world.run(1)
    assert [(body["action"], body["cname"]) for body in kamailio.seen()] == [(4, "a")]


def test_a_delete_that_made_room_for_a_value_takes_it_away_when_it_comes_late() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "first"
    world.run(1)
    kamailio.got.clear()
    side.store.compare._inquirer._doubles.note(kamailio.uri, [("t", "a")])
    side.table["a"] = "second"
    world.run(LONG_S)
    room, _ = kamailio.got
    assert room.json["action"] == 4
    kamailio.got.clear()
    came_late(room)
    world.run(1)
    assert [body["strval"] for body in kamailio.seen()] == ["second"]


def test_a_node_of_6_2_which_dates_a_copy_when_it_comes_is_told_with_a_later_time() -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    kamailio.answer = lambda sent: Reply(SILENCE)
    side.table["a"] = "0"
    side.table["a"] = "first"
    world.run(LOOK_S / 2)
    side.table["a"] = "second"
    sent = given_up(world, kamailio)
    assert "last_modified" not in sent.json
    came = side.store.clock.wall_ms()
    came_late(sent)
    world.run(LONG_S)
    *_, last = kamailio.seen()
    assert last["strval"] == "second" and last["last_modified"] >= came


def test_nothing_is_told_when_the_node_stops() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "first"
    world.run(1)
    (sent,) = kamailio.got
    side.table["a"] = "second"
    world.run(1)
    kamailio.got.clear()
    side.store.stop()
    came_late(sent)
    world.run(LONG_S)
    assert not kamailio.got
