"""When registrars are asked once more: after they held this node inactive, after it stood still, and after
somebody has come back."""

from __future__ import annotations

import pytest

from dmqcache.bus.node import OWN_TAG, Node, Trouble
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.usrloc_occasions import (
    LISTED_S,
    PINGED_S,
    SPREAD_S,
    STOOD_STILL_S,
    TICK_S,
    Occasions,
)
from tests.bus.virtual import Clock, VirtualRuntime


class Looks:
    """A registrar and a dmqcache node that have come up, and who is asked once more."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.runtime = VirtualRuntime(self.clock)
        self.asked: list[tuple[str, bool]] = []
        self.heard: list[str] = []
        self.occasions = Occasions(
            lambda node, missed: self.asked.append((node.uri.host, missed)),
            lambda node: self.heard.append(node.uri.host),
        )
        self.registrar = Node(NodeURI("10.0.0.1", 5060))
        self.ours = Node(NodeURI("10.0.0.2", 5060), supported=frozenset({OWN_TAG}))
        for node in (self.registrar, self.ours):
            self.occasions.up(node, self.runtime)

    def settle(self) -> None:
        """This node has begun long ago."""
        self.clock.run(PINGED_S + SPREAD_S + TICK_S)
        self.asked.clear()


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_after_this_node_has_begun_all_are_asked_once_more_and_never_again(looks: Looks) -> None:
    looks.clock.run(PINGED_S - 1)
    assert looks.asked == []
    looks.clock.run(3600)
    assert looks.asked == [("10.0.0.1", True), ("10.0.0.2", True)]


def test_a_registrar_that_left_this_node_out_is_asked_when_it_lists_it_again(looks: Looks) -> None:
    looks.settle()
    looks.registrar.left_out_at = looks.runtime.now()
    looks.registrar.trouble[Trouble.UNLISTED] = "leaves it out"
    looks.clock.run(100)
    assert looks.asked == []
    del looks.registrar.trouble[Trouble.UNLISTED]
    looks.clock.run(TICK_S)
    # And those who may know what was removed meanwhile.
    assert looks.asked == [("10.0.0.1", True), ("10.0.0.2", True)]
    looks.clock.run(100)
    assert len(looks.asked) == 2


def test_a_list_that_may_still_leave_this_node_out_is_no_occasion_yet(looks: Looks) -> None:
    looks.registrar.left_out_at = looks.runtime.now()
    looks.clock.run(LISTED_S - 1)
    assert looks.asked == []
    looks.clock.run(TICK_S + 1)
    assert len(looks.asked) == 2


def test_all_are_asked_when_this_process_stood_still(looks: Looks) -> None:
    looks.settle()
    looks.runtime.pause()
    looks.clock.run(TICK_S + STOOD_STILL_S)
    looks.runtime.resume()
    assert looks.asked == [("10.0.0.1", True), ("10.0.0.2", True)]
    looks.runtime.pause()
    looks.clock.run(STOOD_STILL_S - 1)
    looks.runtime.resume()
    looks.clock.run(100)
    assert len(looks.asked) == 2


def test_all_are_asked_once_more_when_the_registrars_have_found_each_other(looks: Looks) -> None:
    looks.settle()
    looks.occasions.down(looks.ours)
    looks.occasions.up(looks.ours, looks.runtime)
    looks.clock.run(PINGED_S - 1)
    assert looks.asked == []
    looks.clock.run(SPREAD_S + TICK_S + 1)
    assert looks.asked == [("10.0.0.1", False), ("10.0.0.2", False)]
    looks.clock.run(600)
    assert len(looks.asked) == 2


def test_all_are_asked_when_one_that_left_this_node_out_was_restarted_before_it_listed_it(
    looks: Looks,
) -> None:
    looks.settle()
    looks.registrar.left_out_at = looks.runtime.now()
    looks.occasions.down(looks.registrar)
    looks.clock.run(1.0)
    looks.occasions.up(looks.registrar, looks.runtime)
    looks.clock.run(TICK_S)
    assert sorted(looks.asked) == [("10.0.0.1", True), ("10.0.0.2", True)]
    looks.clock.run(60)
    assert len(looks.asked) == 2


def test_each_tick_tells_who_may_have_said_something(looks: Looks) -> None:
    looks.heard.clear()
    looks.clock.run(TICK_S)
    assert looks.heard == ["10.0.0.1", "10.0.0.2"]


def test_who_is_gone_is_not_asked_and_nothing_is_left_to_do(looks: Looks) -> None:
    for node in (looks.registrar, looks.ours):
        looks.occasions.down(node)
    looks.clock.run(TICK_S + 1)
    assert looks.clock.pending == 0
    looks.occasions.up(looks.registrar, looks.runtime)
    assert looks.clock.pending == 1 and looks.asked == []
