"""The ``htable`` channel both ways: every action, each version's dialect, and what no Kamailio can carry."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.store.htable import COPY_S
from dmqcache.store.kamailio_courier import PARCEL_NAMES, PARCEL_TIMEOUT_S
from dmqcache.store.patterns import MatchKind
from tests.store.harness import (
    NEW,
    OLD,
    Played,
    Sent,
    Side,
    World,
    cells_body,
    new_kamailio,
    old_kamailio,
    set_body,
    shown,
)


def with_kamailio(*tables: str, agent: str = OLD, **options: Any) -> tuple[World, Side, Played]:
    """A node and a Kamailio that hold the same (nothing) and have settled."""
    world = World()
    side = world.side("127.0.0.11", *tables, **options)
    kamailio = Played(world, "127.0.0.90", agent)
    side.meet(kamailio)
    world.run(6)
    kamailio.got.clear()
    return world, side, kamailio


def action(**fields: Any) -> dict[str, Any]:
    return {"htname": "t", **fields}


# -- what comes --------------------------------------------------------------------------------------------


def test_every_action_of_a_kamailio_is_applied_and_told_to_nobody() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=60")
    other = old_kamailio(world, "127.0.0.91")
    side.meet(other)
    world.run(6)
    other.got.clear()
    for key in ("ann", "anna", "bob", "carl", "dora"):
        assert kamailio.say(side, set_body(key, f"of {key}")).status == 200
    kamailio.say(side, set_body("n", 7))
    kamailio.say(side, action(action=3, cname="bob", type=0, intval=5, mode=0))
    kamailio.say(side, action(action=4, cname="carl", mode=0))
    kamailio.say(side, action(action=6, type=2, strval="an", mode=0))
    kamailio.say(side, action(action=5, type=2, strval="^OF D", mode=1))
    assert shown(side) == {"bob": "of bob", "n": 7}
    assert side.table.ttl("bob") == 5
    assert side.store.counters.changes["t", "kamailio"] == 11
    world.run(2)
    assert [body for body in other.seen() if body != {"action": 1}] == []


def test_a_batch_is_applied_cell_by_cell_and_the_bad_ones_are_counted() -> None:
    _world, side, kamailio = with_kamailio("t", "u")
    body = cells_body(("a", "x"), ("", "no key"), ("k" * 5000, "long"), ("n", 5))
    assert kamailio.say(side, body).status == 200
    assert kamailio.say(side, cells_body(("a", "x"), table="none")).status == 200
    broken = b'{"cells":[{"htname":"u","cname":"b","type":2,"strval":"y","expire":0},{"htname":5}]}'
    assert kamailio.say(side, broken).status == 200
    assert kamailio.say(side, b'{"cells":[]}').status == 200
    assert shown(side) == {"a": "x", "n": 5}
    assert shown(side, "u") == {"b": "y"}
    refused = side.store.counters.refused
    assert (refused["t", "bad_key"], refused["", "unknown_table"]) == (2, 1)
    assert sum(refused.values()) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b'{"action":"2"}',
        b'{"action":99}',
        b'{"action":2,"htname":"t","cname":"","type":2,"strval":"x","mode":1}',
        b'{"action":4,"htname":"t","cname":"","mode":0}',
        b'{"action":4,"htname":"t","cname":"' + b"k" * 5000 + b'","mode":0}',
        b'{"action":2,"htname":"t","cname":"k","type":0,"intval":' + b"9" * 5000 + b"}",
        b'{"cells":' + b"[" * 100_000,
        b'{"action":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"cells":[{"htname":null}]' + b" " * (1 << 20) + b"}",
    ],
)
def test_what_cannot_be_read_gets_a_400_and_a_named_reason(body: bytes) -> None:
    _world, side, kamailio = with_kamailio()
    assert kamailio.say(side, body).status == 400
    assert sum(side.store.counters.refused.values()) == 1
    assert not side.table.cells


def test_a_table_that_is_not_here_or_a_pattern_that_is_none_gets_a_500() -> None:
    _world, side, kamailio = with_kamailio()
    assert kamailio.say(side, set_body("a", "x", table="none")).status == 500
    assert kamailio.say(side, action(action=5, type=2, strval="a[", mode=0)).status == 500
    assert kamailio.say(side, action(action=5, type=2, strval="(a" * 2000, mode=0)).status == 500
    assert side.store.counters.refused == {("", "unknown_table"): 1, ("t", "bad_pattern"): 2}


def test_a_stranger_changes_nothing() -> None:
    world = World()
    side = world.side("127.0.0.11")
    stranger = old_kamailio(world)
    for body in (set_body("a", "x"), cells_body(("a", "x"))):
        assert stranger.say(side, body).status == 403
    assert not side.table.cells
    assert side.store.counters.refused["", "unknown_node"] == 2


# -- a Kamailio that asks for all ----------------------------------------------------------------------------


def all_cells(node: Played) -> list[dict[str, Any]]:
    return [cell for body in node.seen() if "cells" in body for cell in body["cells"]]


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
    assert len(side.store.compare._wanting) <= 64


# -- what goes -----------------------------------------------------------------------------------------------


def test_each_local_change_is_told_in_the_words_of_its_action() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "x"
    world.run(0.1)
    side.table["n"] = 7
    world.run(0.1)
    del side.table["a"]
    world.run(0.1)
    assert kamailio.seen() == [
        {"action": 2, "htname": "t", "cname": "a", "type": 2, "strval": "x", "mode": 1},
        {"action": 2, "htname": "t", "cname": "n", "type": 0, "intval": 7, "mode": 1},
        {"action": 4, "htname": "t", "cname": "a", "mode": 0},
    ]


def test_many_changes_go_in_batches_that_fit_a_datagram_whatever_is_in_them() -> None:
    world, side, kamailio = with_kamailio()
    for number in range(2 * PARCEL_NAMES):
        side.table[f"k{number}"] = "\x01" * 400
    world.run(5)
    assert {cell["cname"] for cell in all_cells(kamailio)} == set(side.table)
    assert max(len(sent.body) for sent in side.bus.sent) < 62_000
    assert all("strval" in cell and cell["expire"] == 0 for cell in all_cells(kamailio))


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


def test_a_time_of_its_own_follows_the_sets_200() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=3600")
    side.table.set("a", "x", 20)
    world.run(0.0015)
    assert [body["action"] for body in kamailio.seen()] == [2]
    world.run(1)
    assert [body["action"] for body in kamailio.seen()] == [2, 3]
    assert kamailio.seen()[1]["intval"] == 20
    kamailio.got.clear()
    side.table.set("b", "x", 0)
    side.table["c"] = "the table's own"
    world.run(1)
    assert [(body["cname"], body["intval"]) for body in kamailio.seen() if body.get("action") == 3] == [
        ("b", 0)
    ]


def test_without_autoexpire_a_time_is_not_told_but_the_end_is() -> None:
    world, side, kamailio = with_kamailio()
    side.table.set("a", "x", 2)
    world.run(1)
    assert [body["action"] for body in kamailio.seen()] == [2]
    world.run(3)
    assert kamailio.seen()[1:] == [{"action": 4, "htname": "t", "cname": "a", "mode": 0}]


def test_a_key_that_changes_while_it_is_told_is_told_again_and_never_out_of_order() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = "1"
    world.run(0.0005)
    side.table["a"] = "2"
    side.table["a"] = "3"
    world.run(1)
    assert [body["strval"] for body in kamailio.seen()] == ["1", "3"]


def test_a_node_that_does_not_answer_is_told_again_after_a_while() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = lambda sent: None
    side.table["a"] = "x"
    world.run(PARCEL_TIMEOUT_S + 0.1)
    kamailio.answer = lambda sent: Reply(200)
    world.run(1)
    assert [body["strval"] for body in kamailio.seen()] == ["x", "x"]
    assert side.outbox(kamailio).waiting() == 0


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("a", "x\0y", "nul_in_text"),
        ("a", 1 << 31, "integer_over_32_bits"),
        ("a", -(1 << 31) - 1, "integer_over_32_bits"),
        ("k" * 4000, "x" * 55_990, "too_large"),
    ],
)
def test_what_it_cannot_hold_is_deleted_there_counted_and_logged_once(
    key: str, value: str | int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    side.table[key] = "fits"
    world.run(1)
    kamailio.got.clear()
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        for _ in range(3):
            side.table[key] = value
            world.run(1)
    assert {(body["action"], body["cname"]) for body in kamailio.seen()} == {(4, key)}
    assert side.store.counters.withheld["t", reason] == 3
    assert [record.message for record in caplog.records if reason in record.message] == [caplog.messages[0]]


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


def test_a_node_of_6_2_gets_versions() -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    side.table["a"] = "x"
    world.run(1)
    side.table["b"] = "y"
    side.table["c"] = "z"
    world.run(1)
    stamps = [kamailio.seen()[0]["last_modified"], *(cell["last_modified"] for cell in all_cells(kamailio))]
    assert stamps == [side.table.cells[key].last_modified() for key in "abc"]


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
    assert side.store.counters.withheld["", "answered_400"] == 1
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
    assert len(kamailio.got) == 3
    assert side.store.counters.withheld["", f"answered_{status}"] == 3
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


def test_what_is_kept_of_nodes_that_left_is_nothing() -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(20):
        node = Played(world, f"127.0.1.{number}", NEW)
        node.answer = lambda sent: Reply(400)
        node.say(side, {"action": 1})
        side.meet(node)
        side.table["a"] = str(number)
        world.run(3)
        side.part(node)
    world.run(10)
    courier = side.store.htable._courier
    assert not courier._dialects
    assert not side.store.htable._served
    assert not side.store.outboxes
    assert all(not name.startswith("sip:") for name, _ in courier._told)


def test_two_versions_side_by_side_each_hear_their_own_dialect() -> None:
    world = World()
    side = world.side("127.0.0.11")
    old, new = old_kamailio(world), new_kamailio(world)
    world.mesh(side, old, new)
    world.run(8)
    old.got.clear()
    new.got.clear()
    side.table["a"] = "x"
    world.run(1)
    assert [["last_modified" in body for body in node.seen()] for node in (old, new)] == [[False], [True]]
