"""The words in which a Kamailio is told: its version's dialect, and no time that it would not believe."""

from __future__ import annotations

import logging

import pytest

from dmqcache.store.kamailio.kamailio_courier import BATCH_KEYS
from dmqcache.store.table.clock import ms_of
from tests.store.harness import (
    NEW,
    World,
    all_cells,
    new_kamailio,
    old_kamailio,
    set_body,
    with_kamailio,
)


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
    side.table["first"] = "shows that the node has the table"
    world.run(1)
    kamailio.got.clear()
    for number in range(2 * BATCH_KEYS):
        side.table[f"k{number}"] = "\x01" * 400
    world.run(5)
    assert {cell["cname"] for cell in all_cells(kamailio)} == set(side.table) - {"first"}
    assert max(len(sent.body) for sent in side.bus.sent) < 62_000
    assert all("strval" in cell and cell["expire"] == 0 for cell in all_cells(kamailio))


def test_without_autoexpire_a_time_is_not_told_but_the_end_is() -> None:
    world, side, kamailio = with_kamailio()
    side.table.set("a", "x", 2)
    world.run(1)
    assert [body["action"] for body in kamailio.seen()] == [2]
    world.run(3)
    assert kamailio.seen()[1:] == [{"action": 4, "htname": "t", "cname": "a", "mode": 0}]


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


def test_a_node_of_6_2_gets_versions() -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    side.table["a"] = "x"
    world.run(1)
    many = [f"b{number}" for number in range(40)]
    side.table.update(dict.fromkeys(many, "y"))
    world.run(1)
    stamps = [kamailio.seen()[0]["last_modified"], *(cell["last_modified"] for cell in all_cells(kamailio))]
    assert stamps == [ms_of(side.table.cells[key].last_modified()) for key in ("a", *many)]


def test_while_a_node_of_6_2_may_hold_a_time_that_nobody_believes_it_is_told_without_one() -> None:
    world, side, kamailio = with_kamailio(agent=NEW)
    far = side.store.clock.wall_ms() + 60_000
    kamailio.say(side, set_body("a", "of the future", stamp=far))
    assert side.table["a"] == "of the future"
    assert ms_of(side.table.cells["a"].stamp) <= side.store.clock.wall_ms()
    assert side.store.counters.clamped["t"] == 1
    world.run(1)
    kamailio.got.clear()
    side.table["a"] = "ours"
    world.run(1)
    assert ["last_modified" in body for body in kamailio.seen()] == [False]
    world.run(60)
    kamailio.got.clear()
    side.table["a"] = "later"
    world.run(1)
    assert kamailio.seen()[0]["last_modified"] > far


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
