"""When a Kamailio is asked and by whom: after an absence, now and then, and never in a frenzy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.kamailio import compare
from dmqcache.store.kamailio.compare import (
    DEAF_MOST_S,
    DEAF_S,
    MAX_UNSENT,
    ROUNDS,
    ROUTINE_CELLS,
    ROUTINE_S,
    SETTLE_S,
    STRAY_S,
)
from dmqcache.store.kamailio.inquirer import AT_ONCE, AT_ONCE_CELLS, QUIET_S
from dmqcache.store.table.tombstones import Tombstones
from tests.store.harness import Sent, World, old_kamailio, shown, with_kamailio
from tests.store.kamailio.holder import Holder, again, apart


def test_only_the_designated_node_asks() -> None:
    world = World()
    first, second = world.side("127.0.0.11"), world.side("127.0.0.12")
    holder = Holder(world, [first, second])
    world.mesh(first, second)
    world.run(3)
    for side in (first, second):
        side.meet(holder.node)
    world.run(10)
    assert {sent.channel for sent in first.bus.sent if sent.to == holder.node.uri} == {"htable"}
    assert [sent for sent in second.bus.sent if sent.to == holder.node.uri] == []
    second.lose(first)
    world.run(5)
    assert any(sent.to == holder.node.uri for sent in second.bus.sent)  # It took over.


def test_who_takes_over_looks_for_counters_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(compare, "PIECE", 10)
    world, side, kamailio = with_kamailio("t")
    for number in range(45):
        side.table.incr(f"k{number}") if number % 2 else side.table.set(f"k{number}", "x")
    world.run(3)
    outbox = side.store.outboxes[kamailio.uri]
    kamailio.answer = lambda sent: None
    assert outbox.waiting() == 0
    side.store.compare.took_over()
    assert 0 < outbox.waiting() <= 10
    world.run(0.1)
    assert outbox.waiting() == 22


def test_who_takes_over_looks_through_what_was_deleted_in_steps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(compare, "PIECE", 10)
    world, side, _kamailio = with_kamailio("t")
    for number in range(45):
        side.table.incr(f"k{number}")
        side.table.delete(f"k{number}")
    world.run(3)
    pieces: list[int] = []
    walk = Tombstones.walk

    def counted(tombstones: Tombstones, count: int) -> Iterator[list[str]]:
        for keys in walk(tombstones, count):
            pieces.append(len(keys))
            yield keys

    monkeypatch.setattr(Tombstones, "walk", counted)
    side.store.compare.took_over()
    assert len(pieces) <= 1
    world.run(0.1)
    assert (sum(pieces), max(pieces)) == (45, 10)


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_node_that_refuses_is_asked_now_and_then(status: int) -> None:
    world = World()
    side = world.side("127.0.0.11")
    node = old_kamailio(world)
    node.answer = lambda sent: Reply(status)
    side.meet(node)
    world.run(60)
    times = [sent.time for sent in node.got]
    assert 2 <= len(times) <= 2 * ROUNDS + 60 / DEAF_S + 1
    assert min(later - earlier for earlier, later in pairwise(times)) >= SETTLE_S - 0.01


def test_a_node_that_never_agrees_is_left_alone_after_some_rounds() -> None:
    world, side, holder = apart()

    def answer(sent: Sent) -> Reply:
        if sent.json == {"action": 1}:
            holder.send()
        return Reply(200)

    holder.node.answer = answer
    holder.cells = {"same": "wrong for ever"}
    side.table["same"] = "ours"
    world.run(1)
    side.meet(holder.node)
    world.run(DEAF_MOST_S)
    asked = [sent for sent in holder.node.got if sent.json == {"action": 1}]
    assert 2 <= len(asked) <= 2 * ROUNDS


def test_a_node_that_did_not_agree_while_old_cells_came_is_asked_when_none_comes_any_more() -> None:
    """Copies of what other Kamailio nodes tell it undo each mending: that says nothing of what comes then."""
    world, side, holder = apart()
    side.table["a"] = "ours"

    def copy_comes() -> None:
        holder.cells["a"] = "repeated by another Kamailio"
        if world.clock.time < began + STRAY_S - 5:
            world.later(0.3, copy_comes)

    world.run(1)
    began = world.clock.time
    copy_comes()
    side.meet(holder.node)
    world.run(STRAY_S - 3)
    assert holder.cells["a"] == "repeated by another Kamailio" and len(holder.asked) >= ROUNDS
    world.run(3 + 3 * SETTLE_S)
    assert holder.cells["a"] == "ours"


def test_a_comparison_begins_although_writes_never_stop() -> None:
    world, side, holder = apart()
    count = [0]

    def write() -> None:
        count[0] += 1
        side.table[f"hot{count[0] % (MAX_UNSENT // 10)}"] = "x"
        side.runtime.call_later(0.002, write)

    write()
    holder.cells["new"] = "there"
    again(world, side, holder, 10)
    assert side.table["new"] == "there"


def test_now_and_then_all_are_asked_and_not_after_the_end() -> None:
    world, side, holder = apart()
    again(world, side, holder, STRAY_S + 10)
    world.run(2 * ROUTINE_S)
    holder.asked.clear()
    world.run(ROUTINE_S)
    assert len(holder.asked) == 1
    side.store.stop()
    world.run(3 * ROUTINE_S)
    assert len(holder.asked) == 1


def test_old_cells_that_a_kamailio_sends_to_all_are_mended_at_the_others() -> None:
    """A Kamailio answers a joining one that it does not know yet with a message to all nodes."""
    world = World()
    side = world.side("127.0.0.11")
    behind, other = Holder(world, [side]), Holder(world, [side], "127.0.0.91")
    for holder in (behind, other):
        side.meet(holder.node)
    side.table["a"], side.table["gone"] = "new", "x"
    del side.table["gone"]
    world.run(10)
    assert behind.cells == other.cells == {"a": "new"}
    behind.cells = other.cells = {"a": "old", "gone": "x"}
    behind.send()
    world.run(2)
    assert behind.cells == other.cells == {"a": "new"} == shown(side)


def test_after_stray_cells_all_kamailios_are_compared_with_once_nothing_is_repeated_any_more() -> None:
    world = World()
    side = world.side("127.0.0.11")
    behind, other = Holder(world, [side]), Holder(world, [side], "127.0.0.91")
    for holder in (behind, other):
        side.meet(holder.node)
    side.table["a"] = "ours"
    world.run(STRAY_S + 10)
    behind.send()
    world.run(20)
    other.cells["a"] = "old"  # A repeated message of the other Kamailio's, that was lost to us.
    for holder in (behind, other):
        holder.asked.clear()
    world.run(STRAY_S - 20 + 3 * SETTLE_S)
    assert other.cells == {"a": "ours"}
    assert len(behind.asked) == 1
    side.store.stop()
    asked = len(other.asked)
    behind.send()
    world.run(STRAY_S * 2)
    assert len(other.asked) == asked


def test_a_kamailio_that_came_is_compared_with_again_when_others_have_ceased_to_tell_it() -> None:
    """It asks all Kamailio nodes for their cells; one that was cut off answers late, and with old ones."""
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "new"
    holder = Holder(world, [side])
    side.meet(holder.node)
    world.run(20)
    second = Holder(world, [side], "127.0.0.91")
    side.meet(second.node)
    world.run(10)
    assert second.cells == {"a": "new"}
    world.run(15)
    second.cells = {"a": "old"}
    world.run(STRAY_S)
    assert second.cells == {"a": "new"}


def test_a_node_whose_outbox_overflowed_is_asked_with_growing_pauses_until_it_agrees() -> None:
    world, side, holder = apart()
    wrong = True

    def answer(sent: Sent) -> Reply:
        if wrong and sent.json == {"action": 1}:
            holder.asked.append(world.clock.time)
            holder.send()
            return Reply(200)
        return Reply(200) if wrong else holder.answer(sent)

    holder.node.answer = answer
    holder.cells = {"same": "wrong"}
    side.table["same"] = "ours"
    side.outbox(holder.node).overflowed = True
    side.meet(holder.node)
    world.run(200)
    between = [later - earlier for earlier, later in pairwise(holder.asked)]
    pauses = [pause for pause in between if pause > 2 * SETTLE_S][-2:]
    assert pauses[0] >= DEAF_S and pauses[1] >= 2 * DEAF_S
    # After each pause it is told what it lacks, and asked once more whether it took that.
    assert len(between) <= 2 * (ROUNDS + len(pauses) + 1)
    wrong = False
    asked, deadline = len(holder.asked), world.clock.time + DEAF_MOST_S + ROUTINE_S
    while len(holder.asked) == asked and world.clock.time < deadline:
        world.run(1)
    world.run(2 * (SETTLE_S + QUIET_S))
    assert not side.outbox(holder.node).overflowed
    assert holder.cells == shown(side)


@pytest.mark.parametrize("there", [{}, {"n": 99}])
def test_a_node_that_forgot_what_it_had_to_tell_finds_no_counters_that_another_one_tells(
    there: dict[str, str | int],
) -> None:
    world = World()
    first, second = world.side("127.0.0.11"), world.side("127.0.0.12")
    holder = Holder(world, [second])
    world.mesh(first, second)
    second.meet(holder.node)
    world.run(5)
    second.table.incr("n", 5)
    world.run(1)
    holder.cells = dict(there)
    second.table["a"] = "x"
    version = second.table.cells["n"].last_modified()
    second.outbox(holder.node).overflowed = True
    second.store.compare.overflowed(holder.node.uri)
    world.run(10)
    assert not second.outbox(holder.node).overflowed
    assert holder.cells == there | {"a": "x"}
    assert second.table.cells["n"].last_modified() == version


@pytest.mark.parametrize("times", [2, 6])
def test_large_tables_are_compared_too_in_proportion(times: int) -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(times * ROUTINE_CELLS):
        side.table[f"k{number}"] = 1
    holder = Holder(world, [side])
    holder.send = lambda: None  # type: ignore[method-assign]
    side.meet(holder.node)
    compare = side.store.compare
    asked: list[float] = []
    compare._inquirer.ask = lambda node, adopt, then: asked.append(world.clock.time)  # type: ignore
    compare._compared = lambda *_: None  # type: ignore[assignment]
    world.run(STRAY_S)
    asked.clear()
    world.run(4 * times * ROUTINE_S)
    assert 3 <= len(asked) <= 4
    assert min(later - earlier for earlier, later in pairwise(asked)) >= times * ROUTINE_S - 2.0


def test_a_node_that_refuses_for_a_week_beside_a_large_table_is_asked_all_the_week() -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(ROUTINE_CELLS + 1):
        side.table[f"k{number}"] = 1
    node = old_kamailio(world)
    node.answer = lambda sent: Reply(500)
    side.meet(node)
    compare = side.store.compare
    compare._later(node.uri, 0.0, -1_030)  # As after four days of pauses of 300 s.
    compare._due[node.uri] = (-1_030, 0.0)
    world.run(2 * DEAF_MOST_S)
    assert 1 <= len([sent for sent in node.got if sent.json == {"action": 1}]) <= 4 * ROUNDS
    assert world.clock.pending


@pytest.mark.parametrize(("cells", "together"), [(10, True), (AT_ONCE_CELLS + 10, False)])
def test_kamailios_that_come_back_together_are_asked_together_unless_tables_are_large(
    cells: int, together: bool
) -> None:
    world = World()
    side = world.side("127.0.0.11")
    holders = [Holder(world, [side], host=f"127.0.0.9{number}") for number in range(AT_ONCE + 2)]
    side.table.update({f"k{number}": "x" for number in range(cells)})
    for holder in holders:
        side.meet(holder.node)
    world.run(60)
    first = sorted(holder.asked[0] for holder in holders)
    assert (first[AT_ONCE - 1] - first[0] < 0.1) == together
    assert first[AT_ONCE] - first[0] >= QUIET_S  # And never more than so many.
    assert all(holder.cells == holders[0].cells for holder in holders)
    assert len(holders[0].cells) == cells
