"""How a Kamailio is told of changes: each version's dialect, order, and what no Kamailio can carry."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.store.kamailio.kamailio_courier import LOOK_S, SINGLE_TIMEOUT_S
from dmqcache.store.kamailio.late_copies import LATE_COPY_S
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.patterns import MatchKind
from tests.store.harness import (
    NEW,
    Sent,
    World,
    old_kamailio,
    with_kamailio,
)


def test_a_removal_by_pattern_and_a_flush_are_told_key_by_key() -> None:
    world, side, kamailio = with_kamailio()
    for key in ("a1", "a2", "b"):
        side.table[key] = "x"
    world.run(1)
    kamailio.got.clear()
    side.table.delete_matching(MatchKind.SUFFIX, "1")
    world.run(1)
    assert [(body["action"], body["cname"]) for body in kamailio.seen()] == [(4, "a1")]
    kamailio.got.clear()
    side.table.flush()
    world.run(1)
    assert sorted((body["action"], body["cname"]) for body in kamailio.seen()) == [(4, "a2"), (4, "b")]


def test_where_a_set_does_not_renew_the_time_it_is_always_told() -> None:
    """A Kamailio that has not swept yet what is over would give a new cell the old one's time."""
    world, side, kamailio = with_kamailio("t=>autoexpire=60;updateexpire=0")
    side.table["a"] = "x"
    world.run(1)
    assert [(body["action"], body.get("intval")) for body in kamailio.seen()] == [(2, None), (3, 60)]


def test_a_key_that_changes_while_it_is_told_is_told_again_and_never_out_of_order() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "1"
    world.run(0.0005)
    side.table["a"] = "2"
    side.table["a"] = "3"
    world.run(1)
    assert [body["strval"] for body in kamailio.seen()] == ["1", "3"]


def test_what_is_not_so_any_more_is_not_repeated() -> None:
    """Another node may have told what is newer meanwhile: the older word would undo that."""
    world, side, kamailio = with_kamailio()
    heard: list[str] = []

    def says_nothing(sent: Sent) -> Reply:
        heard.append(sent.json.get("strval", "gone"))
        return Reply(SILENCE)

    kamailio.answer = says_nothing
    side.table["a"] = "1"
    world.run(LOOK_S / 2)
    del side.table["a"]
    world.run(LOOK_S)
    side.table["a"] = "3"
    world.run(LOOK_S + 0.2)
    assert heard == ["1", "gone", "3"]
    kamailio.answer = lambda sent: Reply(200)
    kamailio.got.clear()
    world.run(LATE_COPY_S + 2)
    assert side.outbox(kamailio).waiting() == 0
    # By the repetition, and once more for each that was given up: a copy of it may have come after that.
    assert [body["strval"] for body in kamailio.seen()] == ["3", "3", "3"]


def test_what_was_given_up_and_had_no_time_does_not_outlive_what_is_newer() -> None:
    """A 6.2 dates it when it comes, which may be long after."""
    world, side, kamailio = with_kamailio(agent=NEW)
    kamailio.answer = lambda sent: Reply(SILENCE)
    side.table["a"] = "1"
    side.table["a"] = "2"
    world.run(LOOK_S / 2)
    side.table["a"] = "3"
    world.run(10)
    came = side.store.clock.wall_ms()
    kamailio.answer = lambda sent: Reply(200)
    kamailio.got.clear()
    world.run(10)
    *_, last = kamailio.seen()
    assert last["strval"] == "3" and last["last_modified"] > came - 9_900


def test_a_key_that_is_written_all_the_time_is_set_aside_like_any_other_that_is_not_answered() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: Reply(SILENCE if sent.json.get("cname") == "hot" else 200)
    for number in range(int(SINGLE_TIMEOUT_S / 0.1) + 5):
        side.table["hot"] = number
        world.run(0.1)
    assert side.store.held_back.was_unanswered(kamailio.uri, "t", "hot")


def test_a_node_that_does_not_answer_is_told_again_after_a_while() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: None
    side.table["a"] = "x"
    world.run(SINGLE_TIMEOUT_S + 0.1)
    kamailio.answer = lambda sent: Reply(200)
    world.run(2)
    assert [body["strval"] for body in kamailio.seen()] == ["x", "x"]
    assert side.outbox(kamailio).waiting() == 0


def test_a_key_with_a_nul_is_never_spoken_of_as_it_would_mean_another_there() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "x"
    side.table["a\0b"] = "y"
    world.run(1)
    del side.table["a\0b"]
    world.run(1)
    assert [body["cname"] for body in kamailio.seen()] == ["a"]
    assert side.store.counters.withheld["t", "nul_in_text"] == 1
    assert side.outbox(kamailio).waiting() == 0


def test_of_writes_in_one_millisecond_a_node_of_6_2_takes_the_last_too_and_later_its_time() -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    for number in range(3):
        side.table["a"] = f"v{number}"
        world.run(0.00001)
    first = ms_of(side.table.cells["a"].stamp)
    world.run(3)
    last = ms_of(side.table.cells["a"].stamp)
    assert [(body["strval"], body.get("last_modified")) for body in kamailio.seen()] == [
        ("v0", first),
        ("v2", None),
        ("v2", last),
    ]
    assert first < last <= side.store.clock.wall_ms()
    kamailio.got.clear()
    world.run(10)
    assert kamailio.got == []


def strict(agent_fields: set[str]) -> Any:
    """An answer of 400 to a message with one of these fields."""

    def answer(sent: Sent) -> Reply:
        return Reply(400 if any(field.encode() in sent.body for field in agent_fields) else 200)

    return answer


def test_a_400_makes_the_dialect_stricter_for_good_and_nothing_is_lost() -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    kamailio.answer = strict({"last_modified"})
    side.table["a"] = "x"
    side.table["b"] = "y"
    world.run(1)
    said = [body for body in kamailio.seen() if "last_modified" not in str(body)]
    assert sorted(body["cname"] for body in said) == ["a", "b"]
    kamailio.got.clear()
    side.table["c"] = "z"
    world.run(1)
    assert ["last_modified" in body for body in kamailio.seen()] == [False]
    assert side.outbox(kamailio).waiting() == 0
    side.lose(kamailio)
    side.meet(kamailio)  # It may be another version now.
    side.table["d"] = "z"
    world.run(2)
    assert any("last_modified" in body for body in kamailio.seen() if body.get("cname") == "d")


def test_one_bad_cell_of_a_batch_does_not_take_the_others_with_it() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: Reply(400 if b'"bad"' in sent.body else 200)
    for key in ("a", "bad", "c"):
        side.table[key] = "x"
    world.run(1)
    accepted = [body["cname"] for body in kamailio.seen() if "cells" not in body and body["cname"] != "bad"]
    assert sorted(accepted) == ["a", "c"]
    assert side.store.counters.withheld["t", "answered_400"] == 1
    assert side.outbox(kamailio).waiting() == 0


@pytest.mark.parametrize("status", [404, 500])
def test_a_node_without_the_table_is_not_told_again_but_it_is_said(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: Reply(status)
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        for key in "abc":
            side.table[key] = "x"
            world.run(1)
    assert len(kamailio.got) == 1
    assert side.store.counters.withheld["t", f"answered_{status}"] == 3
    assert len([line for line in caplog.messages if str(status) in line]) == 1
    assert side.outbox(kamailio).waiting() == 0


def test_a_503_is_tried_again() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: Reply(503)
    side.table["a"] = "x"
    world.run(3)
    kamailio.answer = lambda sent: Reply(200)
    world.run(6)
    assert side.outbox(kamailio).waiting() == 0
    assert 3 <= len(kamailio.got) < 12


def test_counters_are_shown_by_the_designated_node_alone() -> None:
    world = World()
    first, second = world.side("127.0.0.11"), world.side("127.0.0.12")
    kamailio = old_kamailio(world)
    world.mesh(first, second, kamailio)
    world.run(8)
    kamailio.got.clear()
    first.bus.sent.clear()
    second.bus.sent.clear()
    for _ in range(5):
        first.table.incr("n")
        second.table.incr("n")
    world.run(2)
    assert second.bus.bodies("htable") == []
    last = [body for body in kamailio.seen() if body.get("cname") == "n"][-1]
    assert last["intval"] == first.table["n"] == second.table["n"] == 10


def test_a_copy_of_an_older_message_does_not_have_the_last_word() -> None:
    """A Kamailio that stalls answers a message whose copy it handles after the next one."""
    world, side, kamailio = with_kamailio()
    world.retransmissions = 1
    side.table["a"] = "first"
    world.run(0.0004)
    side.table["a"] = "second"
    world.run(0.2)
    assert [body["strval"] for body in kamailio.seen()] == ["first", "second"]
    world.retransmissions = 0
    world.run(1)  # Meanwhile the copy comes.
    assert [body["strval"] for body in kamailio.seen()] == ["first", "second", "second"]
    world.run(10)
    # Once more for a copy that waited longer, and then never again.
    assert [body["strval"] for body in kamailio.seen()] == ["first", "second", "second", "second"]


def test_batches_that_are_stuck_while_a_node_begins_anew_take_no_room_from_those_after_them() -> None:
    world = World()
    side = world.side("127.0.0.11")
    kamailio = old_kamailio(world)
    side.meet(kamailio)
    world.run(5)
    kamailio.answer = lambda sent: Reply(SILENCE)
    for number in range(1_000):
        side.table[f"k{number}"] = "x"
    for _ in range(6):
        world.run(SINGLE_TIMEOUT_S / 4)
        side.meet(kamailio)
    world.run(3 * SINGLE_TIMEOUT_S)
    kamailio.answer = lambda sent: Reply(200)
    for number in range(1_000):
        side.table[f"k{number}"] = "y"
    world.run(10 * SINGLE_TIMEOUT_S)
    assert side.outbox(kamailio).waiting() == 0
