"""What a Kamailio lacks: what was lost on its way it is sent, what was removed there is left, or followed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import pytest

from dmqcache.bus.loop_steps import step
from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.store.kamailio import lacking
from dmqcache.store.kamailio.compare import ROUTINE_S, STRAY_S
from dmqcache.store.kamailio.lacking import (
    AGAIN_S,
    LIKE_A_FLUSH,
    LONG_BYTES,
    QUIET_REFILLS,
    REMOVED,
    TIMES,
    Lacking,
)
from dmqcache.store.kamailio.shown_cells import RECENT_MS
from dmqcache.store.table.table import Table
from tests.store.harness import Sent, Side, World, shown
from tests.store.kamailio.holder import Holder, again

ALL = {f"k{number}": "v" for number in range(2 * LIKE_A_FLUSH)}


def compared(declared: str = "t", cells: dict[str, str] = ALL) -> tuple[World, Side, Side, Holder]:
    """Two nodes and a Kamailio that was seen to hold all that they hold, a while after it was written."""
    world = World()
    side, other = world.side("127.0.0.11", declared), world.side("127.0.0.12", declared)
    holder = Holder(world, [side, other])
    world.mesh(side, other)
    for key, value in cells.items():
        side.table[key] = value
    for one in (side, other):
        one.meet(holder.node)
    world.run(2 * STRAY_S + 10)
    side.store.compare_all()
    world.run(20)
    assert holder.cells == shown(side) == cells
    holder.node.got.clear()
    return world, side, other, holder


def look(world: World, side: Side) -> None:
    side.store.compare_all()
    world.run(20)


def test_a_flush_there_is_left_alone_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    world, side, other, holder = compared()
    holder.cells.clear()
    for _ in range(3):
        look(world, side)
    assert holder.cells == {} and shown(side) == shown(other) == ALL
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        REMOVED % ("t", len(ALL), len(ALL), holder.node.uri) + "; they stay on all other nodes"
    ]
    assert side.store.compare.left(holder.node.uri) == {"t": len(ALL)}
    assert side.store.counters.removed["t", "left"] == len(ALL)
    # What is written after it arrives as ever.
    side.table["k0"] = "new"
    look(world, side)
    assert holder.cells == {"k0": "new"}
    assert side.store.compare.left(holder.node.uri) == {"t": len(ALL) - 1}


def test_a_flush_there_takes_newer_keys_along_and_what_is_written_after_it_is_sent() -> None:
    world, side, _, holder = compared()
    side.table["fresh"] = "v"
    world.run(1)
    holder.cells.clear()
    look(world, side)
    assert holder.cells == {}
    side.table["lost"] = "v"
    world.run(1)
    del holder.cells["lost"]
    look(world, side)
    assert holder.cells == {"lost": "v"}


def test_a_flush_there_is_followed_where_the_table_says_so() -> None:
    world, side, other, holder = compared("t=>removals=follow")
    holder.cells = {"k1": "v"}
    look(world, side)
    assert holder.cells == shown(side) == shown(other) == {"k1": "v"}
    assert side.store.counters.removed["t", "followed"] == len(ALL) - 1


def test_a_flush_there_is_undone_where_the_table_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world, side, other, holder = compared("t=>removals=refill")
    caplog.clear()
    holder.cells.clear()
    look(world, side)
    assert holder.cells == shown(side) == shown(other) == ALL
    assert f"lacks {len(ALL)} of {len(ALL)} cells; they are sent to it" in caplog.text


def test_a_few_keys_are_sent_again_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world, side, _, holder = compared("t=>removals=refill")
    caplog.clear()
    for number in range(QUIET_REFILLS):
        del holder.cells[f"k{number}"]
    look(world, side)
    assert holder.cells == ALL
    assert "lacks" not in caplog.text


def test_one_key_that_vanishes_is_left_if_it_was_quiet_and_else_sent_again() -> None:
    world, side, _, holder = compared()
    side.table["young"] = "v"
    look(world, side)  # The node is seen to hold it.
    del holder.cells["young"], holder.cells["k3"]
    look(world, side)
    assert "young" in holder.cells and "k3" not in holder.cells


@pytest.mark.parametrize("removals", ["leave", "follow", "refill"])
def test_a_table_is_looked_through_and_judged_a_few_cells_at_a_time(
    removals: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, side, other, holder = compared(f"t=>removals={removals}")
    work = [0]
    steps: list[int] = []

    def counted(name: str, of: type) -> None:
        do = getattr(of, name)

        def counting(*args: object) -> object:
            work[-1] += 1
            return do(*args)

        monkeypatch.setattr(of, name, counting)

    def noting(pieces: Iterator[object], now: Callable[[], float]) -> None:
        work.append(0)
        try:
            step(pieces, now)
        finally:
            steps.append(work.pop())

    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr("dmqcache.bus.loop_steps.step", noting)
    monkeypatch.setattr(lacking, "PIECE", 3)
    monkeypatch.setattr(lacking, "NAMED", 4)
    counted("_look_at", Lacking)
    counted("delete", Table)
    held = dict(holder.cells)
    holder.cells.clear()
    # Meanwhile others write, and list: what was written moves within the order of keys.
    world.clock.call_later(3.0, lambda: side.table.scan())
    for _ in range(3):
        look(world, side)
    assert max(steps) == 3 and sum(steps) >= 3 * len(held)
    wanted = {"leave": ({}, ALL), "follow": ({}, {}), "refill": (ALL, ALL)}[removals]
    assert (holder.cells, shown(side)) == wanted and shown(other) == shown(side)


@pytest.mark.parametrize("declared", ["t", "t=>removals=follow"])
def test_what_was_never_seen_there_was_lost_on_its_way(declared: str) -> None:
    world, side, other, holder = compared(declared)
    side.table["lost"] = "v"
    world.run(1)
    del holder.cells["lost"]
    look(world, side)
    assert holder.cells == shown(other) == ALL | {"lost": "v"}


@pytest.mark.parametrize("declared", ["t", "t=>removals=follow"])
def test_a_node_that_was_lost_or_began_anew_is_sent_all(declared: str) -> None:
    world, side, other, holder = compared(declared)
    side.lose(holder.node)
    holder.cells.clear()
    again(world, side, holder)
    assert holder.cells == shown(other) == ALL
    holder.cells.clear()
    holder.node.say(side, b'{"action":1}')
    look(world, side)
    assert holder.cells == shown(other) == ALL


def test_cells_that_do_not_come_once_are_not_deleted() -> None:
    """All that it shows was lost: looked at again, it shows them."""
    world, side, other, holder = compared("t=>removals=follow")
    answer, held = holder.node.answer, dict(holder.cells)

    def hides(sent: Sent) -> Reply | None:
        if sent.json == {"action": 1}:
            holder.node.answer = answer
            return Reply(200)
        return answer(sent)

    holder.node.answer = hides
    look(world, side)
    assert holder.cells == held == shown(side) == shown(other)


def test_what_is_written_anew_between_two_looks_is_not_deleted() -> None:
    world, side, other, holder = compared("t=>removals=follow")
    holder.cells.clear()
    world.later(RECENT_MS / 1000, partial(side.table.set, "k7", "new"))
    look(world, side)
    assert holder.cells == shown(side) == shown(other) == {"k7": "new"}


def test_a_node_that_takes_over_the_kamailios_sends_again_what_was_removed_there() -> None:
    """It has not seen what was there before."""
    world, side, other, holder = compared()
    holder.cells.clear()
    look(world, side)
    other.lose(side)
    world.run(ROUTINE_S)
    assert holder.cells == ALL


def _hiding(holder: Holder, hidden: set[str]) -> None:
    """Have it show nothing of some keys, as one does whose batch is longer than a datagram."""
    send = holder.send

    def part() -> None:
        held, holder.cells = holder.cells, {k: v for k, v in holder.cells.items() if k not in hidden}
        send()
        holder.cells = held

    holder.send = part  # type: ignore[method-assign]


def test_what_it_takes_and_never_shows_is_sent_ever_more_rarely() -> None:
    world, side, _, holder = compared()
    side.table["new"] = "v"
    world.run(1)
    _hiding(holder, {"new"})
    holder.node.got.clear()

    def told() -> int:
        return len([body for body in holder.orders() if body.get("cname") == "new"])

    look(world, side)
    assert told() == TIMES
    for doublings in (0, 1, 2):
        world.run(AGAIN_S[0] * 2**doublings + 30)
        look(world, side)
        assert told() == TIMES + doublings + 1
    side.table["new"] = "w"
    world.run(1)
    assert holder.cells["new"] == "w"


def test_what_was_lost_however_often_it_was_told_is_there_in_the_end() -> None:
    world, side, _, holder = compared()
    answer = holder.node.answer

    def loses(sent: Sent) -> Reply | None:
        return Reply(200) if b"new" in sent.body else answer(sent)

    holder.node.answer = loses
    side.table["new"] = "v"
    for _ in range(3):
        look(world, side)
    holder.node.answer = answer
    world.run(2 * AGAIN_S[0] + ROUTINE_S)
    assert holder.cells == ALL | {"new": "v"}


def test_a_table_with_a_cell_that_hides_others_over_udp_is_never_followed() -> None:
    """A Kamailio ends a batch after the cell with which it has 60,000 bytes: no datagram carries that."""
    world, side, other, holder = compared("t=>removals=follow")
    side.table["long"] = "x" * LONG_BYTES
    world.run(1)
    _hiding(holder, set(holder.cells))
    for _ in range(5):
        look(world, side)
    assert holder.cells == shown(side) == shown(other) == ALL | {"long": "x" * LONG_BYTES}


def test_more_than_an_outbox_takes_is_sent_bit_by_bit_and_nothing_is_taken_for_told() -> None:
    world = World()
    side = world.side("127.0.0.11", "t", outbox_limit=10)
    holder = Holder(world, [side])
    answer = holder.node.answer
    for number in range(100):
        side.table[f"k{number}"] = "v"
    asked = count(1)
    # It answers every other message: the outbox is seldom empty.
    holder.node.answer = lambda sent: Reply(SILENCE) if next(asked) % 2 else answer(sent)
    side.meet(holder.node)
    world.run(AGAIN_S[0] / 2)
    assert holder.cells == shown(side)
