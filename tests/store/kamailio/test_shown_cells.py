"""What a Kamailio shows and what it means: news of a write, or an echo of what it was told."""

from __future__ import annotations

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.table.cell import EXPIRED, PROVISIONAL
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.kept import KeptPart, restore
from tests.store.harness import NEW, Sent, Side, World, cells_body, set_body, shown
from tests.store.kamailio.holder import Holder, again, apart


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


@pytest.mark.parametrize("left_out", [True, False])
def test_what_a_node_that_left_us_out_wrote_is_not_judged_by_our_deletes(left_out: bool) -> None:
    """It got the delete, and sends nothing to a node that its list leaves out."""
    world = World()
    side = world.side("127.0.0.11")
    holder = Holder(world, [side])
    node = side.meet(holder.node)
    side.table["a"] = "x"
    world.run(5)
    del side.table["a"]
    world.run(1)
    assert holder.cells == {}
    assert not side.outbox(holder.node).names(side.table, "a")
    if left_out:
        node.left_out_at = side.store.clock.now()
    holder.cells["a"] = "there"
    side.store.compare.all_later()
    world.run(10)
    assert shown(side) == holder.cells == ({"a": "there"} if left_out else {})
    # Both are equal: from now on what it brings back is an old copy again.
    side.table.delete("a")
    world.run(1)
    holder.cells["a"] = "old"
    side.store.compare.all_later()
    world.run(10)
    assert shown(side) == holder.cells == {}


@pytest.mark.parametrize("case", ["another node's", "no room for it"])
def test_a_delete_that_the_node_never_got_stands_although_it_left_us_out(case: str) -> None:
    world = World()
    side, other = world.side("127.0.0.11"), world.side("127.0.0.12")
    holder = Holder(world, [side])
    world.mesh(side, other)
    node = side.meet(holder.node)
    side.table["a"] = "x"
    world.run(5)
    assert holder.cells == shown(other) == {"a": "x"}
    if case == "no room for it":
        world.cuts.add((side.uri, holder.node.uri))
        side.table.delete("a")
        side.outbox(holder.node).shut()
        side.outbox(holder.node).changed["t"].clear()
        side.outbox(holder.node).overflowed = True
        world.cuts.clear()
        side.outbox(holder.node).reopen()
    else:
        # It tells only us: its way to the Kamailio is long.
        other.table.delete("a")
    world.run(1)
    assert shown(side) == {} and holder.cells == {"a": "x"}
    node.left_out_at = side.store.clock.now()
    side.store.compare.all_later()
    world.run(10)
    assert shown(side) == holder.cells == shown(other) == {}


@pytest.mark.parametrize("restart", ["after the delete", "before it, and after it left us out"])
def test_a_delete_stands_where_the_process_that_left_us_out_has_ended(restart: str) -> None:
    """What the new one shows it has from others, who may never have heard of the delete."""
    world = World()
    side = world.side("127.0.0.11")
    holder = Holder(world, [side])
    node = side.meet(holder.node)
    side.table["a"] = "x"
    world.run(5)
    node.left_out_at = side.store.clock.now()
    world.run(1)
    if restart == "before it, and after it left us out":
        node.started = side.store.clock.now()
    side.table.delete("a")
    world.run(1)
    if restart == "after the delete":
        node.started = side.store.clock.now()
    holder.cells["a"] = "x"
    side.store.compare.all_later()
    world.run(10)
    assert shown(side) == holder.cells == {}


def after_meeting_one_that_leaves_us_out(world: World, side: Side) -> dict[str, str | int]:
    """What a Kamailio holds in the end that shows a cell ``a`` and does not list the node."""
    holder = Holder(world, [side])
    holder.cells["a"] = "x"
    node = side.meet(holder.node)
    node.left_out_at = side.store.clock.now()
    side.store.compare.all_later()
    world.run(10)
    return holder.cells


def test_a_delete_of_before_a_node_was_met_is_no_delete_that_it_has_acknowledged() -> None:
    world = World()
    side = world.side("127.0.0.11")
    side.table["a"] = "x"
    side.table.delete("a")
    world.run(5)
    held = after_meeting_one_that_leaves_us_out(world, side)
    assert shown(side) == held == {}


def test_a_delete_that_came_from_disk_stands_although_the_node_leaves_us_out() -> None:
    """It was another node's, which had yet to tell it: the disk does not say whose it was."""
    world = World()
    before = world.side("127.0.0.12")
    before.table["a"] = "x"
    del before.table["a"]
    kept = KeptPart()
    kept.add(before.table, ["a"], before.store.clock.now(), 0)
    world.run(30)
    side = world.side("127.0.0.11")
    restore(side.table, kept.rows, side.store.clock.now(), 0, 0)
    held = after_meeting_one_that_leaves_us_out(world, side)
    assert shown(side) == held == {}


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


def test_a_time_beyond_all_measure_is_taken_as_a_long_one() -> None:
    world, side, holder = apart("t=>autoexpire=3600")
    holder.expire = (1 << 63) - 1
    holder.cells["a"] = "y"
    again(world, side, holder, 4)
    assert side.table["a"] == "y"
    assert (side.table.ttl("a") or 0) < 2**31


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


@pytest.mark.parametrize("told", [False, True])
def test_what_is_over_stays_so_where_the_node_was_cut_off_before_this_one_could_tell_it(told: bool) -> None:
    """A table without autoexpire: what was told the node it keeps, until it is told that it is over."""
    world = World()
    side, other = world.side("127.0.0.11"), world.side("127.0.0.12")
    world.mesh(side, other)
    other.table.set("a", "x", 1.0)
    world.run(3)
    assert side.table.cells["a"].flags & EXPIRED
    holder = Holder(world, [side])
    if not told:
        holder.cells["a"] = "x"
    side.meet(holder.node)
    world.run(10 if told else 0.1)
    side.lose(holder.node)
    world.run(20)
    if told:
        # Both were compared before: it was written there since.
        holder.cells["a"] = "x"
    again(world, side, holder)
    assert shown(side) == shown(other) == holder.cells == ({"a": "x"} if told else {})


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


def test_a_counter_stays_exact_however_often_a_node_starts_beside_a_6_2() -> None:
    """Each time it looks after the Kamailio, which may have a later time than the last increment's: what it
    writes for that adds nothing, and must not make others' increments part of its own."""
    world = World()
    keeper = world.side("127.0.0.19")
    keeper.table.incr("n", 5)
    for _ in range(12):
        side = world.side("127.0.0.11")
        holder = Holder(world, [side], agent=NEW)
        world.mesh(side, keeper)
        world.run(3)
        holder.cells["n"], holder.stamps["n"] = 4, side.store.clock.wall_ms()
        side.meet(holder.node)
        world.run(12)
        assert holder.cells == {"n": 5}
        assert side.table["n"] == keeper.table["n"] == 5
        keeper.lose(side)
    counts = keeper.table.cells["n"].counts
    assert counts is not None and {name for name in counts.shares if "127.0.0.11" in name} == set()


@pytest.mark.parametrize("over", [False, True])
def test_a_6_2_that_keeps_no_times_makes_none_endless(over: bool) -> None:
    """A node that starts has a key from it alone, and then meets one that knows when the key is over."""
    world = World()
    knows, fresh = world.side("127.0.0.19"), world.side("127.0.0.11")
    holder = Holder(world, [fresh], agent=NEW)
    knows.table.set("k", "v", 20)
    holder.cells["k"], holder.stamps["k"] = "v", ms_of(knows.table.cells["k"].stamp)
    fresh.meet(holder.node)
    world.run(30 if over else 8)
    assert shown(fresh) == {"k": "v"}
    world.mesh(knows, fresh)
    world.run(4)
    assert shown(fresh) == shown(knows) == ({} if over else {"k": "v"})
    world.run(20)
    assert shown(fresh) == shown(knows) == holder.cells == {}


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


@pytest.mark.parametrize(("comes", "held"), [(True, 6), (False, 5)])
def test_a_number_that_it_has_only_just_changed_is_not_undone_before_its_word_can_come(
    comes: bool, held: int
) -> None:
    """Its set was lost at first, and comes again after half a second: an increment that is undone there
    meanwhile is lost. What it never says is undone all the same."""
    world = World()
    side = world.side("127.0.0.11")
    holder = Holder(world, [side])
    side.meet(holder.node)
    assert holder.node.say(side, set_body("n", 5)).status == 200
    holder.cells["n"] = 5
    world.run(40)
    holder.node.got.clear()
    holder.cells["n"] = 6
    side.store.compare_all()
    world.until(lambda: {"action": 1} in holder.node.seen(), 5)
    if comes:
        world.later(0.5, lambda: holder.node.say(side, set_body("n", 6)))
    world.run(8)
    assert shown(side) == holder.cells == {"n": held}
    assert (holder.orders() == []) == comes


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("value", [5, "text"])
def test_what_a_6_2_dates_before_a_flush_is_no_news_however_late_it_gets_it(
    later: bool, value: str | int
) -> None:
    """As from another Kamailio, which repeats its cells."""
    world = World()
    side = world.side("127.0.0.11")
    holder = Holder(world, [side], agent=NEW)
    side.meet(holder.node)
    world.run(5)
    before = side.store.clock.wall_ms()
    world.run(5)
    side.table.flush()
    # The Kamailio is known to hold nothing of before it.
    world.run(40)
    side.store.compare.all_later()
    world.run(10)
    holder.cells["a"] = value
    holder.stamps["a"] = side.store.clock.wall_ms() if later else before
    side.store.compare.all_later()
    world.run(10)
    assert shown(side) == holder.cells == ({"a": value} if later else {})


@pytest.mark.parametrize(("unasked", "restarted"), [(False, False), (True, False), (True, True)])
def test_what_a_node_that_was_cut_off_during_a_flush_still_holds_is_no_news(
    unasked: bool, restarted: bool
) -> None:
    """Although all other Kamailio nodes are known to hold nothing of before it."""
    world = World()
    side = world.side("127.0.0.11")
    back, stayed = Holder(world, [side], "127.0.0.90"), Holder(world, [side], "127.0.0.91")
    node = side.meet(back.node)
    side.meet(stayed.node)
    side.table["a"] = "x"
    world.run(5)
    side.lose(back.node)
    world.run(5)
    side.table.flush()
    world.run(40)
    side.store.compare.all_later()
    world.run(10)
    assert (back.cells, stayed.cells) == ({"a": "x"}, {})
    if restarted:
        # What it holds it has from somebody who wrote it since, as nobody else holds anything of before.
        node.started = side.store.clock.now()
    if unasked:
        back.node.say(side, cells_body(("a", "x")))
    side.meet(back.node)
    world.run(20)
    assert shown(side) == back.cells == ({"a": "x"} if restarted else {})
