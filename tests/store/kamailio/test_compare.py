"""A Kamailio's table against ours: who is right, who is told, and that nobody is asked in a frenzy."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.kamailio.compare import DEAF_S, MAX_UNSENT, ROUNDS, ROUTINE_S, SETTLE_S, STRAY_S
from dmqcache.store.kamailio.inquirer import ASK_AGAIN_S, LOST_ANSWER_S
from dmqcache.store.table.cell import PROVISIONAL
from tests.store.harness import NEW, OLD, Played, Sent, Side, World, cells_body, old_kamailio, shown


class Holder:
    """A Kamailio's table: answers a sync request with its cells, and applies what it is told."""

    def __init__(self, world: World, to: list[Side], host: str = "127.0.0.90", agent: str = OLD) -> None:
        self.node = Played(world, host, agent)
        self.node.answer = self.answer
        self.world = world
        self.to = to
        self.cells: dict[str, str | int] = {}
        self.stamps: dict[str, int] = {}
        self.expire = 0
        self.asked: list[float] = []

    def answer(self, sent: Sent) -> Reply:
        body = sent.json
        for cell in body.get("cells", [body]):
            stamp = cell.get("last_modified", 0)
            if stamp and self.stamps.get(cell["cname"], 0) >= stamp:
                continue
            if "strval" in cell or ("intval" in cell and cell.get("action", 2) == 2):
                self.cells[cell["cname"]] = cell.get("strval", cell.get("intval"))
                if "last_modified" in cell:
                    self.stamps[cell["cname"]] = cell["last_modified"]
        if body.get("action") == 4:
            self.cells.pop(body["cname"], None)
        if body.get("action") == 1:
            self.asked.append(self.world.clock.time)
            self.send()
        return Reply(200)

    def send(self) -> None:
        for key, value in self.cells.items():
            body = cells_body((key, value), expire=self.expire, stamp=self.stamps.get(key, 0))
            for side in self.to:
                self.world.later(0.0005, partial(self.node.say, side, body))

    def orders(self) -> list[dict[str, Any]]:
        """What it was told, without questions."""
        return [body for body in self.node.seen() if body != {"action": 1}]


def apart(*tables: str, agent: str = OLD) -> tuple[World, Side, Holder]:
    """A node and a Kamailio that held the same and lost each other; after this each may be written to."""
    world = World()
    side = world.side("127.0.0.11", *tables)
    holder = Holder(world, [side], agent=agent)
    side.meet(holder.node)
    side.table["same"] = "x"
    world.run(5)
    assert holder.cells == {"same": "x"}
    side.lose(holder.node)
    world.run(30)
    holder.node.got.clear()
    holder.asked.clear()
    return world, side, holder


def again(world: World, side: Side, holder: Holder, seconds: float = 12) -> None:
    side.meet(holder.node)
    world.run(seconds)


def test_equal_tables_are_asked_for_once_and_nobody_is_told_anything() -> None:
    world, side, holder = apart()
    again(world, side, holder)
    assert holder.orders() == []
    assert len(holder.asked) == 1
    assert side.store.counters.repairs["equal"] >= 1
    assert side.outbox(holder.node).lost_at is None


def test_what_it_wrote_while_nobody_heard_it_goes_everywhere() -> None:
    world, side, holder = apart()
    other = world.side("127.0.0.12")
    world.mesh(side, other)
    world.run(3)
    holder.cells |= {"same": "changed there", "new": "there", "number": 5}
    again(world, side, holder)
    assert shown(side) == shown(other) == {"same": "changed there", "new": "there", "number": 5}
    # What was unknown is worth less than whatever anybody knows of it.
    assert other.table.cells["new"].stamp == 1
    # A number may be the shadow of a counter: whatever anybody knows of it is worth more.
    assert other.table.cells["number"].stamp == 1


def test_a_node_that_has_just_started_brings_nothing_back_that_others_know_to_be_deleted() -> None:
    world = World()
    fresh, knows = world.side("127.0.0.11"), world.side("127.0.0.12")
    knows.table["a"] = "x"
    del knows.table["a"]
    holder = Holder(world, [fresh])
    holder.cells["a"] = "x"
    fresh.meet(holder.node)
    world.run(8)
    assert shown(fresh) == {"a": "x"}
    world.mesh(fresh, knows)
    world.run(20)
    assert shown(fresh) == shown(knows) == holder.cells == {}


def test_ours_goes_there_if_it_was_written_since_deletes_too() -> None:
    world, side, holder = apart()
    side.table["a"] = "before"
    world.run(1)
    holder.cells["a"] = "there"
    side.table["a"] = "ours"
    del side.table["same"]
    side.outbox(holder.node).changed["t"].clear()  # As if too much had changed to be kept.
    again(world, side, holder)
    assert holder.cells == shown(side) == {"a": "ours"}


@pytest.mark.parametrize("asks", [True, False])
def test_what_a_node_shows_that_began_anew_was_told_it_by_others_who_may_be_behind(asks: bool) -> None:
    world = World()
    side = world.side("127.0.0.11")
    holder = Holder(world, [side])
    side.meet(holder.node)
    side.table["k"] = "v"
    world.run(5)
    del side.table["k"]
    world.run(5)
    side.lose(holder.node)
    world.run(30)
    side.meet(holder.node)
    if asks:
        holder.node.say(side, b'{"action":1}')
    holder.cells["k"] = "v"
    world.run(12)
    assert ("k" in side.table) is not asks
    assert ("k" in holder.cells) is not asks


def test_a_node_that_was_never_lost_is_told_ours() -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "ours"
    world.run(5)
    holder = Holder(world, [side])
    holder.cells["a"] = "theirs"
    side.meet(holder.node)
    world.run(12)
    assert holder.cells == {"a": "ours"}


def test_what_it_lacks_it_is_sent_and_it_is_never_taken_for_a_delete() -> None:
    world, side, holder = apart()
    holder.cells.clear()
    again(world, side, holder)
    assert holder.cells == shown(side) == {"same": "x"}


def test_with_versions_the_later_wins_whenever_it_was_lost() -> None:
    world, side, holder = apart(agent=NEW)
    side.table["a"] = "ours, earlier"
    world.run(1)
    now = side.store.clock.wall_ms()
    holder.cells["a"], holder.stamps["a"] = "theirs, later", now
    holder.cells["b"], holder.stamps["b"] = "theirs, earlier", now
    world.run(1)
    side.table["b"] = "ours, later"
    side.outbox(holder.node).changed["t"].clear()
    again(world, side, holder)
    assert shown(side) == holder.cells == {"same": "x", "a": "theirs, later", "b": "ours, later"}


def test_a_cell_whose_time_differs_gets_ours() -> None:
    world, side, holder = apart("t=>autoexpire=3600")
    side.table.set("same", "x", 100)
    side.outbox(holder.node).changed["t"].clear()
    holder.expire = side.store.clock.wall_ms() // 1000 + 3000
    again(world, side, holder, 4)
    assert [(body["action"], body["cname"]) for body in holder.orders()][:2] == [(2, "same"), (3, "same")]


def test_what_no_kamailio_can_hold_is_no_difference() -> None:
    world, side, holder = apart()
    side.table["big"] = 1 << 40
    world.run(1)
    again(world, side, holder, 30)
    assert len(holder.asked) == 1
    assert side.store.counters.repairs["equal"] >= 1


def test_cells_that_nobody_asked_for_bring_only_what_is_not_here() -> None:
    world, side, holder = apart()
    again(world, side, holder)
    side.table["gone"] = "x"
    del side.table["gone"]
    world.run(1)
    holder.node.say(side, cells_body(("same", "other"), ("new", 1), ("gone", "late")))
    assert shown(side) == {"same": "x", "new": 1}
    later = side.store.clock.wall_ms() + 5
    holder.node.say(side, cells_body(("same", "later"), stamp=later))
    assert side.table["same"] == "later"


def test_a_value_larger_than_the_table_takes_is_refused_and_the_rest_is_not() -> None:
    world = World()
    side = world.side("127.0.0.11", max_value_bytes=2000)
    holder = Holder(world, [side])
    side.meet(holder.node)
    world.run(5)
    side.lose(holder.node)
    holder.cells = {"big": "x" * 5000, "small": "y"}
    again(world, side, holder, 5)
    assert shown(side) == {"small": "y"}
    assert side.store.counters.refused["t", "too_large"] >= 1


def test_a_table_that_is_not_shared_is_neither_told_nor_overwritten() -> None:
    world, side, holder = apart("t", "own=>dmqreplicate=0")
    side.store.tables["own"]["a"] = "mine"
    body = cells_body(("a", "theirs"), table="own")
    sent = holder.answer

    def answer(message: Sent) -> Reply:
        holder.node.say(side, body)
        return sent(message)

    holder.node.answer = answer
    again(world, side, holder)
    assert shown(side, "own") == {"a": "mine"}
    assert all(order.get("htname") != "own" for order in holder.orders())


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
    world.run(200)
    asked = [sent for sent in holder.node.got if sent.json == {"action": 1}]
    assert 2 <= len(asked) <= 2 * ROUNDS


def test_a_node_whose_cells_do_not_come_is_given_up() -> None:
    world = World()
    side = world.side("127.0.0.11")
    node = old_kamailio(world)
    node.answer = lambda sent: None
    side.meet(node)
    world.run(20)
    assert side.store.counters.repairs["failed"] >= 1


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
    holder.asked.clear()
    world.run(ROUTINE_S + SETTLE_S + 1)
    assert len(holder.asked) == 1
    side.store.stop()
    world.run(3 * ROUTINE_S)
    assert len(holder.asked) == 1


def test_a_time_beyond_all_measure_is_taken_as_a_long_one() -> None:
    world, side, holder = apart("t=>autoexpire=3600")
    holder.expire = (1 << 63) - 1
    holder.cells["a"] = "y"
    again(world, side, holder, 4)
    assert side.table["a"] == "y"
    assert (side.table.ttl("a") or 0) < 2**31


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
    world.run(250)
    pauses = [later - earlier for earlier, later in pairwise(holder.asked)][-2:]
    assert pauses[0] >= DEAF_S and pauses[1] >= 2 * DEAF_S
    wrong = False
    world.run(ROUTINE_S + 10)
    assert not side.outbox(holder.node).overflowed
    assert holder.cells == shown(side)


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_delete_that_it_had_not_acknowledged_when_it_was_lost_is_not_undone(limit: int) -> None:
    """However long it took until its loss was noticed, and whether or not the outbox still names the key."""
    world = World()
    side = world.side("127.0.0.11", outbox_limit=limit)
    holder = Holder(world, [side])
    side.meet(holder.node)
    side.table["a"], side.table["b"] = "x", "x"
    world.run(10)
    answer, holder.node.answer = holder.node.answer, lambda sent: None
    for key in ("a", "b"):
        del side.table[key]
    world.run(5)
    assert side.outbox(holder.node).overflowed == (limit == 1)
    side.bus.nodes.get(holder.node.uri).last_answer = side.runtime.now()  # A ping came through.
    side.lose(holder.node)
    world.run(20)
    holder.node.answer = answer
    again(world, side, holder)
    assert shown(side) == holder.cells == {}


def test_numbers_that_only_kamailios_of_6_2_know_and_know_differently_end_alike() -> None:
    world = World()
    side = world.side("127.0.0.11")
    one, two = Holder(world, [side], agent=NEW), Holder(world, [side], "127.0.0.91", agent=NEW)
    for holder, value, stamp in ((one, 2, 12_698), (two, 6, 12_796)):
        holder.cells["n"], holder.stamps["n"] = value, stamp
        side.meet(holder.node)
    world.run(20)
    assert one.cells == two.cells == {"n": 6}
    assert side.table["n"] == 6
    # Whatever another of us knows of the counter is worth more than their memory of its sum.
    counter = side.table.cells["n"]
    assert counter.stamp == side.table.floor + 1 and counter.flags & PROVISIONAL


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
