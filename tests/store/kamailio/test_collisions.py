"""Keys written in two places at once, where a Kamailio listens: in the end it holds what all hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from dmqcache.bus import loop_steps
from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.store.kamailio import collisions
from dmqcache.store.kamailio.collisions import MAX_WAITING, SETTLE_S, Collisions
from dmqcache.store.kamailio.compare import ROUTINE_S
from dmqcache.store.table.cell import PROVISIONAL, Cell
from dmqcache.store.table.clock import ms_of, version_at
from dmqcache.store.table.merge import Collision
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table
from tests.store.harness import NEW, OLD, Played, Sent, Side, World, set_body, shown

#: The version of a set that comes too late, as a node of each kind reads it.
EARLIER = {OLD: 0, NEW: 1}


class LastOne:
    """A Kamailio that keeps what came last; 6.2: what has the greater version."""

    def __init__(self, world: World, host: str, agent: str = OLD) -> None:
        self.node = Played(world, host, agent)
        self.node.answer = self.answer
        self.cells: dict[str, str | int] = {}
        self.stamps: dict[str, int] = {}

    def answer(self, sent: Sent) -> Reply:
        body = sent.json
        if body.get("action") == 4:
            self.cells.pop(body["cname"], None)
            self.stamps.pop(body["cname"], None)
        for cell in body.get("cells", [body]):
            value = cell.get("strval", cell.get("intval"))
            if value is not None and cell.get("action", 2) == 2:
                self.set(cell["cname"], value, cell.get("last_modified", 0))
        return Reply(200)

    def set(self, key: str, value: str | int, stamp: int = 0) -> None:
        if not stamp or self.stamps.get(key, 0) < stamp:
            self.cells[key] = value
            self.stamps[key] = stamp or self.stamps.get(key, 0)


def cluster(agent: str = OLD) -> tuple[World, Side, Side, LastOne]:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    kamailio = LastOne(world, "127.0.0.90", agent)
    world.mesh(one, two, kamailio.node)
    world.run(10)
    kamailio.node.got.clear()
    return world, one, two, kamailio


def held(*sides: Side) -> list[object]:
    return [side.table.get("a") for side in sides]


@pytest.mark.parametrize("agent", [OLD, NEW])
@pytest.mark.parametrize("gap", [0.0, 0.0004, 0.0009])
def test_writes_of_two_nodes_that_cross_end_alike(agent: str, gap: float) -> None:
    world, one, two, kamailio = cluster(agent)
    one.table["a"] = "of one"
    world.run(gap)
    two.table["a"] = "of two"
    # The first one's message is late.
    world.run(0.1)
    kamailio.set("a", "of one")
    world.run(2)
    assert held(one, two) == [kamailio.cells["a"]] * 2


def _set(side: Side) -> None:
    side.table["a"] = "of two"


def _delete(side: Side) -> None:
    side.table.delete("a")


def _expire(side: Side) -> None:
    assert side.table.expire("a", 1000)


@pytest.mark.parametrize("gap", [0.003, 1.5])
@pytest.mark.parametrize("agent", [OLD, NEW])
def test_so_they_do_when_each_node_hears_of_the_others_write_seconds_later(agent: str, gap: float) -> None:
    """Something between the two, or they themselves, stood still: so may have what they told the Kamailio."""
    world, one, two, kamailio = cluster(agent)
    world.cuts |= {(one.uri, two.uri), (two.uri, one.uri)}
    one.table["a"] = "of one"
    world.run(gap)
    two.table["a"] = "of two"
    world.run(0.1)
    kamailio.set("a", "of one", EARLIER[agent])
    world.run(2)
    world.cuts.clear()
    world.run(6)
    assert kamailio.cells["a"] == "of two" and held(one, two) == ["of two"] * 2


@pytest.mark.parametrize("agent", [OLD, NEW])
@pytest.mark.parametrize("write", [_set, _delete, _expire])
@pytest.mark.parametrize("gap", [0.002, 0.1, 0.9])
def test_a_write_that_follows_another_nodes_at_once_is_the_last_word(
    agent: str, write: Callable[[Side], None], gap: float
) -> None:
    """The second node knows of the first one's write: nothing collides there, and yet it does beside."""
    world, one, two, kamailio = cluster(agent)
    one.table["a"] = "of one"
    world.run(gap)
    assert held(two) == ["of one"]
    write(two)
    world.run(0.1)
    # The first one's message comes after the second one's.
    kamailio.set("a", "of one", EARLIER[agent])
    kamailio.node.got.clear()
    world.run(2)
    assert held(one, two) == [kamailio.cells.get("a")] * 2
    assert any("a" in sent.body.decode() for sent in kamailio.node.got)


@pytest.mark.parametrize("agent", [OLD, NEW])
def test_a_kamailios_write_that_a_dmqcache_write_follows_at_once(agent: str) -> None:
    world, one, two, kamailio = cluster(agent)
    other = LastOne(world, "127.0.0.91", agent)
    world.mesh(one, two, other.node)
    world.run(10)
    assert kamailio.node.say(two, set_body("a", "of the Kamailio")).status == 200
    two.table["a"] = "of two"
    world.run(0.1)
    # The Kamailio's own message to the other one comes last.
    other.set("a", "of the Kamailio", EARLIER[agent])
    world.run(2)
    assert held(one, two) == [other.cells["a"]] * 2 == ["of two"] * 2


@pytest.mark.parametrize("gap", [version_at(2), 1])
@pytest.mark.parametrize("agent", [OLD, NEW])
def test_a_write_of_which_the_winners_node_never_hears_is_seen_to_by_its_own(agent: str, gap: int) -> None:
    """A Kamailio is told of it at once; its row still waits for the other node when that one's row comes. To
    a 6.2 both may have the same time, and it keeps the first."""
    world, one, two, kamailio = cluster(agent)
    two.table["a"] = "of two"
    world.run(0.05)
    later = two.table.cells["a"].stamp + gap
    two.store.arrivals["t"].merge_rows([Row("a", "of one", later)], str(one.uri))
    two.store.collisions.collect()
    world.run(2)
    assert kamailio.cells["a"] == "of one"


@pytest.mark.parametrize("agent", [OLD, NEW])
@pytest.mark.parametrize("gap", [0.0, 0.1, 0.4])
def test_a_message_that_is_lost_and_repeated_late_does_not_win(agent: str, gap: float) -> None:
    world, one, two, kamailio = cluster(agent)
    lost: list[Sent] = []

    def answer(sent: Sent) -> Reply:
        if b"of one" in sent.body and not lost:
            lost.append(sent)
            return Reply(SILENCE)  # It comes again after half a second.
        return kamailio.answer(sent)

    kamailio.node.answer = answer
    one.table["a"] = "of one"
    world.run(gap)
    two.table["a"] = "of two"
    world.run(3)
    assert lost
    assert held(one, two) == [kamailio.cells["a"]] * 2


def test_a_copy_that_a_busy_kamailio_handles_late_does_not_win() -> None:
    world, one, two, kamailio = cluster()
    world.retransmissions = 1
    one.table["a"] = "of one"
    world.run(0.05)  # Answered: a copy waits in the Kamailio.
    two.table["a"] = "of two"
    world.run(0.9)
    kamailio.set("a", "of one")
    world.run(1)
    assert held(one, two) == [kamailio.cells["a"]] * 2 == ["of two"] * 2


def cross(world: World, kamailio: LastOne, value: str, *sides: Side, stamp: int = 0) -> None:
    """The Kamailio's own script writes, and tells the others."""
    kamailio.set("a", value, stamp)
    for side in sides:
        world.later(0.001, partial(kamailio.node.say, side, set_body("a", value, stamp=stamp)))


def test_a_kamailios_write_that_crosses_ours_ends_alike() -> None:
    for pause in (0.0, 0.0005, 0.0012):
        world, one, two, kamailio = cluster()
        one.table["a"] = "ours"
        world.run(pause)
        cross(world, kamailio, "theirs", one, two)
        world.run(3)
        assert held(one, two) == [kamailio.cells["a"]] * 2


def test_the_same_version_with_other_content_is_written_anew_with_a_later_one() -> None:
    world, one, two, kamailio = cluster(NEW)
    one.table["a"] = "ours"
    stamp = one.table.cells["a"].stamp
    cross(world, kamailio, "theirs", one, two, stamp=ms_of(stamp))
    world.run(3)
    assert held(one, two) == [kamailio.cells["a"]] * 2
    assert one.table.cells["a"].stamp > stamp


@pytest.mark.parametrize("first", [0, 1])
def test_writes_of_two_nodes_in_one_millisecond_end_alike_on_a_node_of_6_2(first: int) -> None:
    """To it both have the same time, and it keeps the one that came first."""
    world, one, two, kamailio = cluster(NEW)
    sides = (one, two) if first else (two, one)
    sides[0].table["a"] = "first"
    for number in range(3):
        sides[1].table["a"] = f"second {number}"
    late: list[Sent] = []

    def answer(sent: Sent) -> Reply:
        if b"second" in sent.body and not late:
            late.append(sent)
            return Reply(SILENCE)
        return kamailio.answer(sent)

    kamailio.node.answer = answer
    world.run(5)
    assert late and held(one, two) == [kamailio.cells["a"]] * 2 == ["second 2"] * 2
    assert kamailio.stamps["a"] <= world.sides[one.uri].store.clock.wall_ms()


def test_a_hot_key_ends_alike_and_ahead_of_nobody() -> None:
    world, one, two, kamailio = cluster(NEW)
    for number in range(300):
        for _ in range(20):
            one.table["a"] = f"one {number}"
        two.table["a"] = f"two {number}"
        world.run(0.0003)
    two.table["a"] = "last"
    world.run(3)
    assert held(one, two) == [kamailio.cells["a"]] * 2 == ["last"] * 2
    assert max(kamailio.stamps["a"], ms_of(one.table.cells["a"].stamp)) <= one.store.clock.wall_ms()


def test_two_repairing_nodes_come_to_rest() -> None:
    world, one, two, kamailio = cluster()
    other = LastOne(world, "127.0.0.91")
    for side in (one, two):
        side.meet(other.node)
    world.run(ROUTINE_S + 20)  # These play no tables that could be compared with.
    for number in range(20):
        one.table["a"] = f"one {number}"
        two.table["a"] = f"two {number}"
        cross(world, kamailio, f"kamailio {number}", one, two)
        world.run(0.01)
    world.run(3)
    assert held(one, two) == [kamailio.cells["a"], other.cells["a"]]
    for side in (one, two):
        side.bus.sent.clear()
    world.run(20)
    for side in (one, two):
        assert [sent for sent in side.bus.sent if b'"a"' in sent.body] == []


def test_a_delete_that_crosses_a_kamailios_write_ends_alike() -> None:
    world, one, two, kamailio = cluster()
    one.table["a"] = "x"
    world.run(5)
    del one.table["a"]
    cross(world, kamailio, "theirs", one, two)
    world.run(3)
    assert held(one, two) == [kamailio.cells.get("a")] * 2


def test_a_write_long_after_another_costs_one_message_to_each() -> None:
    world, one, two, kamailio = cluster()
    one.table["a"] = "x"
    world.run(5)
    kamailio.node.got.clear()
    two.table["a"] = "y"
    world.run(5)
    assert len(kamailio.node.got) == 1


def test_so_does_one_of_which_the_others_node_hears_seconds_later() -> None:
    world, one, two, kamailio = cluster()
    one.table["a"] = "x"
    world.run(6)
    kamailio.node.got.clear()
    world.cuts.add((two.uri, one.uri))
    two.table["a"] = "y"
    world.run(1)
    world.cuts.clear()
    world.run(6)
    assert held(one, two) == ["y"] * 2 and len(kamailio.node.got) == 1


def test_without_a_kamailio_nothing_is_noted() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12")
    world.mesh(one, two)
    world.run(3)
    one.table["a"] = "x"
    two.table["a"] = "y"
    one.table.incr("n")
    two.table.incr("n")
    world.run(0.01)
    for side in (one, two):
        arrivals = side.store.arrivals["t"]
        assert not arrivals.collisions and not arrivals.counted
        assert not side.store.collisions._waiting
    assert shown(one) == shown(two)


def test_so_many_keys_wait_and_no_more() -> None:
    world, one, _two, _kamailio = cluster()
    arrivals = one.store.arrivals["t"]
    for number in range(MAX_WAITING + 500):
        arrivals.collisions[f"k{number}"] = Collision.SEEN
    one.store.collisions.collect()
    assert len(one.store.collisions._waiting) == MAX_WAITING
    assert not arrivals.collisions
    world.run(SETTLE_S * 3)
    assert not one.store.collisions._waiting


@pytest.mark.parametrize("agent", [OLD, NEW])
def test_a_counter_whose_sum_no_integer_holds_stops_nobody_else(agent: str) -> None:
    world, one, two, kamailio = cluster(agent)
    huge = 5_000_000_000_000_000_000
    for side in (one, two):
        side.table.incr("a", huge)
    world.run(3)
    for side in (one, two):
        assert not side.store.arrivals["t"].counted
    # Both channels still do their work.
    two.table["b"] = "x"
    world.run(1)
    assert kamailio.node.say(one, set_body("c", "y")).status == 200
    assert (one.table["b"], one.table["c"], kamailio.cells["b"]) == ("x", "y", "x")


def test_whatever_is_wrong_with_one_key_the_next_message_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be done with it is forgotten before it is done."""
    world, one, two, kamailio = cluster(NEW)
    right = Table.date_anew
    failed: list[str] = []

    def fails(table: Table, key: str) -> None:
        if key == "a":
            failed.append(key)
            raise ArithmeticError("no such number")
        right(table, key)

    monkeypatch.setattr(Table, "date_anew", fails)
    for side in (one, two):
        side.table.incr("a")
    with pytest.raises(ArithmeticError):
        world.run(3)
    world.run(3)
    assert failed and not one.store.arrivals["t"].counted
    failed.clear()
    two.table["b"] = "x"
    world.run(1)
    assert kamailio.node.say(one, set_body("c", "y")).status == 200
    assert (one.table["b"], one.table["c"], kamailio.cells["b"]) == ("x", "y", "x")
    assert not failed


def test_a_key_that_is_still_written_is_not_written_anew_and_then_with_hardly_a_later_version() -> None:
    """A write that a client makes elsewhere meanwhile is on its way: the last write's value must not win."""
    world, one, two, kamailio = cluster(NEW)
    one.table["a"] = "of one"
    two.table["a"] = "of two"
    for number in range(20):
        world.run(0.1)
        two.table["a"] = f"later {number}"
        # Only what the client wrote: one has not written it anew.
        assert one.table.counters.sets == 1
    last = ms_of(two.table.cells["a"].stamp)
    world.run(3)
    assert held(one, two) == ["later 19"] * 2 == [kamailio.cells["a"]] * 2
    assert ms_of(one.table.cells["a"].stamp) <= last + 1


@pytest.mark.parametrize("change", [_set, _delete])
def test_what_crossed_before_a_cut_does_not_win_over_what_was_written_during_it(
    change: Callable[[Side], None],
) -> None:
    """A Kamailio's write, which has no version, and ours crossed, and the nodes hear of both half a minute
    later: written anew with the present time it would win over what a third node was told meanwhile."""
    world, one, two, kamailio = cluster()
    third = world.side("127.0.0.13")
    world.mesh(third, one, two)
    world.mesh(one, two, third)
    world.run(10)
    pairs = [(a, b) for a in (one, two, third) for b in (one, two, third) if a is not b]
    for a, b in pairs:
        world.cuts.add((a.uri, b.uri))
        a.lose(b)
    one.table["a"] = "of one"
    world.run(0.01)
    kamailio.cells["a"] = "of the Kamailio"
    assert kamailio.node.say(two, set_body("a", "of the Kamailio")).status == 200
    world.run(10)
    third.table["a"] = "before"
    change(third)
    expected = third.table.get("a")
    world.run(15)
    for meeting in ({one, two}, {one, two, third}):
        for a, b in pairs:
            if (a.uri, b.uri) in world.cuts and {a, b} <= meeting:
                world.cuts.remove((a.uri, b.uri))
                a.meet(b)
        world.run(8)
        assert third in meeting or held(one, two) == ["of the Kamailio"] * 2
    assert held(one, two, third) == [expected] * 3


def test_of_two_writes_of_one_millisecond_one_is_written_anew_in_the_next() -> None:
    world, one, two, kamailio = cluster(NEW)
    one.table["a"] = "of one"
    two.table["a"] = "of two"
    both = ms_of(one.table.cells["a"].stamp)
    assert both == ms_of(two.table.cells["a"].stamp)
    world.run(3)
    assert {ms_of(side.table.cells["a"].stamp) for side in (one, two)} == {both + 1}
    assert held(one, two) == [kamailio.cells["a"]] * 2


@pytest.mark.parametrize("agent", [OLD, NEW])
def test_a_set_that_ends_a_counter_of_the_same_millisecond_gets_hardly_a_later_version(agent: str) -> None:
    """Kamailio nodes may have been shown the sum with a later one; with the present time the set would win
    over what a client has written elsewhere since."""
    world, one, two, kamailio = cluster(agent)
    one.table.incr("a", 5)
    two.table["a"] = 7
    both = ms_of(two.table.cells["a"].stamp)
    world.run(3)
    assert held(one, two) == [7, 7] == [kamailio.cells["a"]] * 2
    assert both <= ms_of(one.table.cells["a"].stamp) <= both + 2


@pytest.mark.parametrize("agent", [OLD, NEW])
@pytest.mark.parametrize("end", ["delete", "set"])
def test_what_is_counted_while_a_set_or_delete_is_told_once_more_is_not_ended_by_it(
    agent: str, end: str
) -> None:
    """It was made upon that very set or delete, and is on its way while another node tells that anew."""
    for tenths in range(20):
        world, one, two, kamailio = cluster(agent)
        one.table.incr("a", 5)
        if end == "set":
            two.table["a"] = 7
        else:
            two.table.incr("a", 1)
            two.table.delete("a")
        world.run(0.3995 + tenths / 10_000)
        two.table.incr("a", 1)
        world.run(5)
        whole = 8 if end == "set" else 1
        assert held(one, two) == [whole] * 2 == [kamailio.cells["a"]] * 2, tenths


@pytest.mark.parametrize("end", ["delete", "set"])
def test_a_counter_that_its_writer_ends_at_once_is_ended_there_too(end: str) -> None:
    """The sum is told by one node for all, the end by its writer: the sum may come last."""
    world, one, two, kamailio = cluster()
    two.table.incr("a", 1)
    world.run(0.05)
    assert kamailio.cells == {"a": 1}
    if end == "delete":
        two.table.delete("a")
    else:
        two.table["a"] = "x"
    world.run(0.01)
    kamailio.cells["a"] = 1
    world.run(2)
    assert kamailio.cells == shown(one) == shown(two)


def test_a_second_value_is_kept_though_another_node_has_heard_the_first_alone_and_later() -> None:
    world, one, two, kamailio = cluster()

    def say(key: str, value: str, number: int) -> None:
        message = kamailio.node.message(one, set_body(key, value))
        call_id = f"{number:016x}-7@127.0.0.90"
        one.bus.peers["htable"].handle(replace(message, call_id=call_id))

    say("a", "first", 1)
    say("a", "second", 2)
    stamp = one.table.cells["a"].stamp + 1
    one.store.arrivals["t"].merge_rows([Row("a", "first", stamp, 0, 0, PROVISIONAL)], str(two.uri))
    assert held(one) == ["first"]
    one.store.collisions.collect()
    world.run(2)
    assert held(one, two) == ["second"] * 2 and kamailio.cells["a"] == "second"


@pytest.mark.parametrize("agent", [OLD, NEW])
def test_after_a_tie_only_a_6_2_needs_a_later_version(agent: str) -> None:
    """With one it could beat a write of a node whose clock is behind, and which nobody has heard of yet."""
    world, one, two, kamailio = cluster(agent)
    one.table["a"] = "of one"
    for value in ("of two", "of two again"):
        two.table["a"] = value
    world.run(0.1)
    held_by_one = one.table.cells["a"]
    assert held_by_one.value == "of two again"
    before = held_by_one.last_modified()
    one.store.arrivals["t"].collided(held_by_one, Collision.TIE)
    one.store.collisions.collect()
    kamailio.node.got.clear()
    world.run(3)
    assert any("of two again" in sent.body.decode() for sent in kamailio.node.got)
    after = one.table.cells["a"].last_modified()
    assert (after > before and ms_of(after) > ms_of(before)) is (agent == NEW)


def test_a_key_of_a_time_before_clocks_were_set_back_waits_for_no_quiet_until_then() -> None:
    world, one, two, _ = cluster()
    one.table["a"] = "x"
    world.run(0.1)
    for side in (one, two):
        clock = side.store.clock
        clock._wall_ms = lambda wall_ms=clock._wall_ms: wall_ms() - 3_600_000  # type: ignore[misc]
    version = one.table.cells["a"].stamp
    one.store.arrivals["t"].collided(one.table.cells["a"], Collision.SHOWN)
    one.store.collisions.collect()
    world.run(1)
    assert not one.store.collisions._waiting
    assert one.table.cells["a"].stamp > version
    assert held(one, two) == ["x", "x"]


@pytest.mark.parametrize("agent", [OLD, NEW])
@pytest.mark.parametrize("value", [95, "x"])
def test_what_only_a_kamailio_remembers_keeps_the_least_version(agent: str, value: str | int) -> None:
    """A node that has just started repeats it there: with a later version it would beat what a dmqcache node
    that is cut off knows better, and end its counter."""
    world, one, _two, kamailio = cluster(agent)
    one.store.arrivals["t"].arrive_set("a", value, 0, str(kamailio.node.uri))
    cell = one.table.cells["a"]
    least = cell.stamp
    one.store.arrivals["t"].collided(cell, Collision.REPEATED)
    one.store.collisions.collect()
    world.run(2)
    assert one.table.cells["a"].stamp == least == one.table.floor + 1
    assert held(one) == [kamailio.cells["a"]] == [value]


@pytest.mark.parametrize(("told", "later"), [("x", False), ("y", True)])
def test_what_a_kamailio_shows_just_as_a_node_knows_it_gets_no_later_version(told: str, later: bool) -> None:
    """With one it would win over what was written since on a node that is cut off."""
    world, one, two, kamailio = cluster(OLD)
    world.run(10)
    one.store.arrivals["t"].arrive_set("a", "x", 0, str(kamailio.node.uri))
    assert one.table.cells["a"].stamp == one.table.floor + 1
    stamp = version_at(one.store.clock.wall_ms() - 5_000)
    one.store.arrivals["t"].merge_rows([Row("a", told, stamp)], str(two.uri))
    one.store.collisions.collect()
    world.run(2)
    assert held(one) == [told] and (one.table.cells["a"].stamp > stamp) is later


def test_many_keys_are_settled_in_steps_and_what_is_written_meanwhile_waits_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(collisions, "PIECE", 10)
    world, one, _, kamailio = cluster()
    keys = [f"k{number}" for number in range(25)]
    for key in keys:
        one.table[key] = "x"
    world.run(3)
    kamailio.node.got.clear()

    def collide(*some: str) -> None:
        one.store.arrivals["t"].collisions.update(dict.fromkeys(some, Collision.REPEATED))
        one.store.collisions.collect()

    collide(*keys)
    agreed: list[tuple[float, str]] = []
    agree = Collisions._agree

    def noting(self: Collisions, table: Table, cell: Cell, kind: Collision, shown: int) -> bool:
        agreed.append((world.clock.time, cell.key))
        if len(agreed) == 10:
            collide("k20")
        return agree(self, table, cell, kind, shown)

    monkeypatch.setattr(Collisions, "_agree", noting)
    pieces: list[int] = []

    def counting(steps: Iterator[object], now: Callable[[], float]) -> None:
        before = len(agreed)
        try:
            next(steps)
        finally:
            pieces.append(len(agreed) - before)

    monkeypatch.setattr(loop_steps, "step", counting)
    world.run(2 * SETTLE_S + 0.1)
    assert [count for count in pieces if count] == [10, 10, 4, 1]
    assert [key for _, key in agreed[-1:]] == ["k20"] and agreed[-1][0] > agreed[-2][0]
