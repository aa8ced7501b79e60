"""After a flush others have their turns, Kamailio nodes are told of each key, and who waits waits for all."""

from __future__ import annotations

import pytest

from dmqcache.store.table import flushing
from dmqcache.store.table.floor_raising import raise_floor
from tests.store.harness import Played, Side, World, with_kamailio

COUNT = 50


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Side, Played]:
    """A Kamailio that has all cells, and steps that are over after ten of them."""
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(flushing, "APART", 10)
    world, side, kamailio = with_kamailio("t")
    for number in range(COUNT):
        side.table.set(f"k{number:02}", "x")
    world.run(3)
    return world, side, kamailio


def test_all_is_gone_at_once_and_a_kamailio_is_told_of_each_key_in_steps(
    world: tuple[World, Side, Played],
) -> None:
    running, side, kamailio = world
    outbox = side.store.outboxes[kamailio.uri]
    assert outbox.waiting() == 0
    side.table.flush()
    assert len(side.table) == 0 and side.table.scan() == []
    assert 0 < outbox.waiting() < COUNT
    side.table.set("k00", "again")
    told: list[int] = []
    side.store.waiters.wait(None, None, told.append)
    running.run(0.0001)
    assert not told
    running.run(5)
    assert told == [1]
    assert (outbox.waiting(), outbox.promises) == (0, [])
    assert list(side.table) == ["k00"]


def test_of_several_tables_one_is_taken_apart_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(flushing, "APART", 10)
    running = World()
    side = running.side("127.0.0.11", "t", "u", "v")
    tables = [side.store.tables[name] for name in "tuv"]
    for table in tables:
        for number in range(COUNT):
            table.set(f"k{number:02}", "x")
    running.run(3)
    held = [cell for table in tables for cell in table.cells.values()]
    for table in tables:
        table.flush()
    assert [len(table) for table in tables] == [0, 0, 0]
    # One piece of all.
    assert sum(cell.value is None for cell in held) == 10
    running.run(1)
    assert all(cell.value is None for cell in held)
    tables[0].set("again", "x")
    tables[0].flush()
    assert len(tables[0]) == 0


def test_who_waits_for_a_flush_waits_until_the_last_key_is_acknowledged(
    world: tuple[World, Side, Played],
) -> None:
    running, side, kamailio = world
    side.table.flush()
    told: list[int] = []
    side.store.waiters.wait(None, 3.0, told.append)
    kamailio.answer = lambda sent: None
    running.run(2)
    assert not told
    running.run(2)
    assert told == [0]


def test_a_table_of_this_node_alone_and_a_flush_of_another_node_need_nobody(
    world: tuple[World, Side, Played],
) -> None:
    running, side, kamailio = world
    held = list(side.table.cells.values())
    running.run(1)
    raise_floor(side.table, side.store.clock.version())
    assert len(side.table) == 0
    assert 0 < sum(cell.value is None for cell in held) < COUNT
    running.run(1)
    assert all(cell.value is None for cell in held)
    assert side.store.outboxes[kamailio.uri].waiting() == 0


def test_what_was_written_just_before_another_nodes_flush_is_deleted_on_kamailio_nodes(
    world: tuple[World, Side, Played],
) -> None:
    """Who made the flush did not know the key, and tells nobody that it is gone."""
    running, side, kamailio = world
    side.table.set("new", "x")
    running.run(0.2)
    kamailio.got.clear()
    flushed = side.store.clock.version()
    running.run(0.1)
    raise_floor(side.table, flushed)
    running.run(2)
    deletes = [body["cname"] for body in kamailio.seen() if body.get("action") == 4]
    assert deletes == ["new"]
