"""A starting node says ready when it has the state of the others: from one of ours, else from Kamailios."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.native.initial_sync import AGAIN_S, ALONE_S, HEARSAY_S, KAMAILIO_PATIENCE_S, SyncState
from tests.store.harness import Played, Sent, Side, World, cells_body, old_kamailio, shown


def starting(world: World) -> Side:
    return world.side("127.0.0.11", ready=False)


def donor(world: World, host: str = "127.0.0.12", **cells: str) -> Side:
    side = world.side(host)
    for key, value in cells.items():
        side.table[key] = value
    return side


def kamailio(world: World, to: Side, host: str, *keys: str, silent: bool = False) -> Played:
    """It answers a question for its cells with these."""
    node = Played(world, host, "kamailio (5.6.3 (x86_64/linux))")

    def answer(sent: Sent) -> Reply | None:
        if silent:
            return None
        if sent.json == {"action": 1}:
            body = cells_body(*[(key, "x") for key in keys])
            world.later(0.0005, lambda: node.say(to, body))
        return Reply(200)

    node.answer = answer
    return node


def test_without_seeds_a_node_is_ready_at_once() -> None:
    side = World().side("127.0.0.11")
    assert side.store.ready
    assert side.store.initial_sync.donor is None


def test_without_seeds_a_node_waits_for_those_that_know_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dmqcache")
    world = World()
    side = world.side("127.0.0.11", join_wait=3.0)
    world.run(2.9)
    assert not side.store.ready
    world.run(0.2)
    assert side.store.ready
    assert caplog.messages == [
        "ready: no other node is configured, and none came within 3 s (0 cells after 3.0 s)"
    ]


def test_who_comes_within_the_wait_gives_the_state_though_an_empty_one_came_before() -> None:
    """The demo's first node after kill -9: its neighbours find it a second later."""
    world = World()
    side = world.side("127.0.0.11", join_wait=3.0)
    empty = world.side("127.0.0.13", ready=False)
    full = donor(world, "127.0.0.12", **{f"k{number}": "x" for number in range(1000)})
    world.run(0.5)
    world.mesh(side, empty)
    world.run(1.5)
    assert not side.store.ready
    world.mesh(side, full)
    world.until(lambda: side.store.ready, 1.5)
    assert len(shown(side)) == 1000


def test_a_kamailio_that_comes_within_the_wait_is_not_taken_for_all_there_is() -> None:
    world = World()
    side = world.side("127.0.0.11", join_wait=3.0)
    side.meet(kamailio(world, side, "127.0.0.90", "k1"))
    world.run(2.5)
    assert not side.store.ready
    world.mesh(side, donor(world, "127.0.0.12", a="x"))
    world.until(lambda: side.store.ready, 1.5)
    assert shown(side)["a"] == "x"


def test_with_kamailios_alone_their_cells_are_taken_after_the_wait() -> None:
    world = World()
    side = world.side("127.0.0.11", join_wait=3.0)
    side.meet(kamailio(world, side, "127.0.0.90", "k1"))
    world.until(lambda: side.store.ready, 6)
    assert shown(side) == {"k1": "x"}


def test_with_seeds_that_do_not_answer_it_serves_alone_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING", "dmqcache")
    world = World()
    side = starting(world)
    assert side.store.initial_sync.state is SyncState.WAITING
    world.run(ALONE_S - 0.1)
    assert not side.store.ready
    world.run(0.2)
    assert side.store.ready
    (message,) = caplog.messages
    assert message.startswith("ready: no other node answers, serving alone; asked were sip:127.0.0.99:5060")


def test_a_dmqcache_node_gives_the_state_and_only_then_it_is_ready() -> None:
    world = World()
    side, old = starting(world), donor(world)
    for number in range(5000):
        old.table[f"k{number}"] = "x"
    old.meet(side)
    side.meet(old)
    assert side.store.initial_sync.state is SyncState.SYNCING
    assert side.store.initial_sync.donor == old.uri
    world.until(lambda: side.store.ready, 10)
    assert len(side.table) == 5000


def test_a_dmqcache_node_is_preferred_to_a_kamailio_met_first() -> None:
    world = World()
    side, old = starting(world), donor(world, a="x")
    node = kamailio(world, side, "127.0.0.90", "b")
    side.meet(node)
    world.run(KAMAILIO_PATIENCE_S - 0.5)
    old.meet(side)
    side.meet(old)
    world.until(lambda: side.store.ready, 5)
    assert shown(side) == {"a": "x"}
    assert node.got == []


def test_of_kamailio_nodes_a_second_is_asked_for_what_the_first_lost() -> None:
    world = World()
    side = starting(world)
    first = kamailio(world, side, "127.0.0.90", "a", "b")
    second = kamailio(world, side, "127.0.0.91", "b", "c")
    third = kamailio(world, side, "127.0.0.92", "d")
    for node in (first, second, third):
        side.meet(node)
    world.until(lambda: side.store.ready, 10)
    assert set(shown(side)) == {"a", "b", "c"}
    assert [node.seen() for node in (first, second, third)] == [[{"action": 1}], [{"action": 1}], []]


def test_a_kamailio_that_says_nothing_is_passed_over() -> None:
    world = World()
    side = starting(world)
    for node in (
        kamailio(world, side, "127.0.0.90", silent=True),
        kamailio(world, side, "127.0.0.91", "a"),
    ):
        side.meet(node)
    world.until(lambda: side.store.ready, 60)
    assert set(shown(side)) == {"a"}


def test_a_kamailio_that_left_meanwhile_is_no_error() -> None:
    world = World()
    side = starting(world)
    gone, there = kamailio(world, side, "127.0.0.90"), kamailio(world, side, "127.0.0.91", "a")
    side.meet(gone)
    side.meet(there)
    side.part(gone)
    world.until(lambda: side.store.ready, 60)
    assert set(shown(side)) == {"a"}


def test_when_a_donor_fails_the_next_is_asked() -> None:
    world = World()
    side = starting(world)
    bad = Played(world, "127.0.0.12", ours=True)
    bad.answer = lambda sent: Reply(500)
    old = donor(world, "127.0.0.13", a="x")
    old.meet(side)
    side.meet(bad)
    world.run(0.1)
    side.meet(old)
    world.until(lambda: side.store.ready, 10)
    assert shown(side) == {"a": "x"}


def test_a_donor_that_refuses_at_once_is_not_asked_in_a_frenzy() -> None:
    world = World()
    side = starting(world)
    bad = [Played(world, f"127.0.0.{host}", ours=True) for host in (12, 13)]
    for node in bad:
        node.answer = lambda sent: Reply(500)
        side.meet(node)
    world.run(10)
    assert not side.store.ready
    # A chain of attempts for each reason to begin: each node's coming, twice.
    assert 10 <= sum(len(node.got) for node in bad) <= 4 * 10 / AGAIN_S


def test_the_only_donor_that_refuses_for_ever_is_asked_more_and_more_seldom_and_so_is_it_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was nine times a second, and a line each."""
    caplog.set_level("WARNING", "dmqcache")
    world = World()
    side = starting(world)
    bad = Played(world, "127.0.0.12", ours=True)
    bad.answer = lambda sent: Reply(403)
    side.meet(bad)
    world.run(180)
    assert 20 <= len(bad.got) <= 150
    assert 3 <= len(caplog.messages) <= 10
    assert "broke off, there is no other node, it is asked again" in caplog.messages[0]
    assert "broke off 2 times" in caplog.messages[1]


def test_when_the_only_donor_dies_half_way_it_serves_what_it_has_in_the_end() -> None:
    world = World()
    side = starting(world)
    bad = Played(world, "127.0.0.12", ours=True)
    bad.answer = lambda sent: Reply(500)
    side.meet(bad)
    world.run(ALONE_S + 1)
    assert not side.store.ready
    side.lose(bad)
    world.until(lambda: side.store.ready, ALONE_S + 1)


def test_when_the_donor_dies_a_kamailio_is_asked() -> None:
    world = World()
    side = starting(world)
    bad = Played(world, "127.0.0.12", ours=True)
    bad.answer = lambda sent: None
    node = kamailio(world, side, "127.0.0.90", "a")
    side.meet(bad)
    side.meet(node)
    world.run(3)
    side.lose(bad)
    world.until(lambda: side.store.ready, 10)
    assert set(shown(side)) == {"a"}


def test_a_node_that_stops_while_it_joins_asks_nobody_any_more() -> None:
    world = World()
    side = starting(world)
    node = kamailio(world, side, "127.0.0.90", silent=True)
    side.meet(node)
    world.run(3)
    side.store.stop()
    count = len(side.bus.sent)
    world.run(120)
    assert len(side.bus.sent) == count
    assert not side.store.ready


def test_what_is_written_during_the_sync_is_not_lost() -> None:
    world = World()
    side, old = starting(world), donor(world)
    for number in range(5000):
        old.table[f"k{number}"] = "x"
    old.meet(side)
    side.meet(old)
    world.until(lambda: len(side.table) > 50, 10)
    side.table["mine"] = "1"
    old.table["k7"] = "changed"
    old.table["new"] = "2"
    del old.table["k8"]
    world.until(lambda: side.store.ready, 10)
    world.run(1)
    assert shown(side) == shown(old)
    assert (side.table["mine"], side.table["k7"], side.table.get("k8")) == ("1", "changed", None)


def starting_together(world: World, *hosts: str) -> list[Side]:
    return [world.side(host, ready=False) for host in hosts]


def test_being_equal_to_a_node_that_starts_too_makes_no_node_ready() -> None:
    world = World()
    near = starting_together(world, "127.0.0.12", "127.0.0.13")
    world.mesh(*near)
    world.run(3)
    assert not any(side.store.ready for side in near)
    full = donor(world, "127.0.0.14", a="x", b="y")
    world.mesh(full, *near)
    world.until(lambda: all(side.store.ready for side in near), 5)
    assert [shown(side) for side in near] == [{"a": "x", "b": "y"}] * 2


@pytest.mark.parametrize("alone", [False, True])
def test_when_all_start_at_once_the_least_begins_and_the_others_follow(alone: bool) -> None:
    """At once if all notification addresses have answered, else when they have had time to."""
    world = World()
    sides = starting_together(world, "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14")
    if not alone:
        for side in sides:
            side.store.initial_sync._seeds = (sides[1].uri, sides[2].uri)
    world.mesh(*sides)
    world.run(0.5 if alone else 5)
    sides[3].table["a"] = "x"
    assert all(side.store.ready is not alone for side in sides)
    world.until(lambda: all(side.store.ready for side in sides), ALONE_S + 5)
    assert min(sides, key=lambda side: side.store.initial_sync.ready_at or 0) is sides[0]
    world.run(2)
    assert [shown(side) for side in sides] == [{"a": "x"}] * 4


def test_when_all_start_at_once_beside_a_kamailio_the_first_takes_its_cells() -> None:
    world = World()
    one, two = starting_together(world, "127.0.0.11", "127.0.0.12")
    for side in (one, two):
        side.store.initial_sync._seeds = (one.uri,)
    world.mesh(one, two)
    old = kamailio(world, one, "127.0.0.90", "k1", "k2")
    one.meet(old)
    world.until(lambda: one.store.ready and two.store.ready, 20)
    assert shown(one) == shown(two) == {"k1": "x", "k2": "x"}


def test_when_all_start_at_once_and_the_only_kamailio_dies_they_serve_in_the_end_what_they_have() -> None:
    world = World()
    first, second = starting_together(world, "127.0.0.11", "127.0.0.12")
    for side in (first, second):
        node = kamailio(world, side, "127.0.0.90", silent=True)
        side.meet(node)
        world.later(0.5, partial(side.part, node))
    world.mesh(first, second)
    world.until(lambda: first.store.ready and second.store.ready, 2 * ALONE_S + 5)


def test_a_notification_address_that_is_lost_while_the_first_asks_kamailio_nodes_ends_no_start() -> None:
    """For a moment it is not the first then: the one to begin waits until all addresses have had time."""
    world = World()
    one, two = starting_together(world, "127.0.0.11", "127.0.0.12")
    old = kamailio(world, one, "127.0.0.90", "k1", "k2")
    lost = kamailio(world, one, "127.0.0.91", silent=True)
    for side in (one, two):
        side.store.initial_sync._seeds = (one.uri, lost.uri)
    one.meet(old)
    one.meet(lost)
    world.mesh(one, two)
    world.until(lambda: bool(lost.got), ALONE_S - 1)
    one.lose(lost)
    world.until(lambda: one.store.ready and two.store.ready, ALONE_S + 10)
    assert shown(one) == shown(two) == {"k1": "x", "k2": "x"}


@pytest.mark.parametrize("count", [1, 2])
def test_a_kamailio_without_htable_has_nothing_and_holds_up_nobody(count: int) -> None:
    world = World()
    sides = [world.side(f"127.0.0.{11 + number}", ready=False) for number in range(count)]
    kamailio = old_kamailio(world)
    kamailio.answer = lambda sent: Reply(404)
    for side in sides:
        side.store.initial_sync._seeds = (sides[0].uri,)
    world.mesh(*sides, kamailio)
    world.until(lambda: all(side.store.ready for side in sides), 15)
    assert len(kamailio.got) <= 6


def test_a_node_is_ready_when_it_has_what_each_ready_node_has_and_not_only_one() -> None:
    """Two nodes that were cut off from each other know different things; the third one hears both."""
    world = World()
    side = starting(world)
    old, other = donor(world, "127.0.0.12", a="x"), donor(world, "127.0.0.13", b="y")
    world.mesh(side, old)
    world.mesh(side, other)
    world.until(lambda: side.store.ready, 5)
    assert shown(side) == {"a": "x", "b": "y"}


def test_a_node_that_is_named_and_has_not_answered_yet_is_waited_for_a_moment() -> None:
    world = World()
    side, old = starting(world), donor(world, "127.0.0.12", a="x")
    side.bus.nodes.add(Node(NodeURI("127.0.0.13", 5060, "udp"), vouched=True))
    world.mesh(side, old)
    world.run(HEARSAY_S - 0.2)
    assert shown(side) == {"a": "x"} and not side.store.ready
    world.run(0.5)
    assert side.store.ready


def test_one_that_is_asked_though_others_ask_it_in_vain_is_waited_for_a_moment() -> None:
    world = World()
    side, old, other = starting(world), donor(world, "127.0.0.12", a="x"), donor(world, "127.0.0.13", b="y")
    uri = NodeURI("127.0.0.13", 5060, "udp")
    side.bus.nodes.asked.add(uri)
    world.mesh(side, old)
    world.run(HEARSAY_S - 0.5)
    assert shown(side) == {"a": "x"} and not side.store.ready
    world.mesh(side, other)
    side.bus.nodes.asked.remove(uri)
    world.until(lambda: side.store.ready, 1)
    assert shown(side) == {"a": "x", "b": "y"}


def test_one_that_answers_and_gives_nothing_holds_up_nobody_for_long() -> None:
    world = World()
    side, old = starting(world), donor(world, "127.0.0.13", a="x")
    bad = Played(world, "127.0.0.12", ours=True)
    bad.answer = lambda sent: Reply(500)
    world.mesh(side, old)
    side.meet(bad)
    world.until(lambda: side.store.ready, 5)
    assert shown(side) == {"a": "x"}


def test_what_is_filled_in_before_a_node_serves_is_waited_for_once() -> None:
    world = World()
    side = world.side("127.0.0.11", join_wait=3.0)
    asked: list[Callable[[], None]] = []
    side.store.initial_sync.fill_first(asked.append)
    world.run(10.0)
    assert len(asked) == 1 and not side.store.ready
    asked[0]()
    assert side.store.ready
