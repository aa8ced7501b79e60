"""Which registrars may have been restarted, and for how long that counts."""

from __future__ import annotations

import pytest

from dmqcache.bus.node import Node
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.usrloc_restarts import Restarts

NODE = NodeURI("10.0.0.1", 5060)


def may(restarts: Restarts, lacking: int = 0, kept: int = 0) -> bool:
    return restarts.may_have_removed(Node(NODE), lacking, kept, since=0.0)


@pytest.fixture
def restarts() -> Restarts:
    return Restarts()


def test_who_still_shows_as_much_of_its_own_as_it_lacks_may_have_removed_that(restarts: Restarts) -> None:
    assert may(restarts, lacking=2, kept=2) and not may(restarts, lacking=3, kept=2)


def test_whose_call_id_tells_that_it_was_not_restarted_may_have_removed_more(restarts: Restarts) -> None:
    node = Node(NODE)
    for now in (1.0, 2.0):
        node.life.heard("7df63fa2385a193d-1@10.0.0.1", now)
    assert restarts.may_have_removed(node, lacking=3, kept=2, since=2.0)
    assert not restarts.may_have_removed(node, lacking=3, kept=2, since=2.5)


def test_a_restart_that_call_ids_tell_of_is_noticed_once(restarts: Restarts) -> None:
    node = Node(NODE)
    node.life.heard("7df63fa2385a193d-1@10.0.0.1", 1.0)
    assert not restarts.noticed(node)
    node.life.heard("1df63fa2385a193d-1@10.0.0.1", 1.0)
    assert restarts.noticed(node) and not restarts.noticed(node)


def test_who_may_have_been_restarted_has_removed_nothing_until_it_has_shown_what_it_has_since(
    restarts: Restarts,
) -> None:
    restarts.may_be(NODE, now=10.0)
    restarts.settled(NODE, set(), compared_at=9.0)
    assert not may(restarts)
    restarts.settled(NODE, set(), compared_at=11.0)
    assert may(restarts)


def test_who_asks_for_everything_has_removed_nothing_until_it_was_told_it_or_is_lost(
    restarts: Restarts,
) -> None:
    for ends in (restarts.told, restarts.down, restarts.left):
        restarts.asks(NODE)
        assert restarts.is_anew(NODE) and not may(restarts)
        ends(NODE)
        assert not restarts.is_anew(NODE) and may(restarts)


def test_what_it_was_told_is_in_doubt_until_it_says_it(restarts: Restarts) -> None:
    restarts.settled(NODE, {"one", "two"}, compared_at=1.0)
    restarts.says(NODE, "one")
    assert restarts.doubtful(NODE) == {"two"}
    restarts.settled(NODE, set(), compared_at=2.0)
    assert restarts.doubtful(NODE) == frozenset()


def test_what_another_has_shown_refreshed_was_its_own_while_it_is_looked_at(restarts: Restarts) -> None:
    restarts.passes(NODE, "one")
    assert restarts.was_its_own(NODE, "one") and not restarts.was_its_own(NODE, "two")
    restarts.looked(NODE)
    assert not restarts.was_its_own(NODE, "one")


def test_of_who_is_forgotten_nothing_is_kept(restarts: Restarts) -> None:
    restarts.asks(NODE)
    restarts.may_be(NODE, 1.0)
    restarts.settled(NODE, {"one"}, compared_at=0.0)
    restarts.passes(NODE, "one")
    restarts.left(NODE)
    assert may(restarts) and not restarts.doubtful(NODE)
    assert not restarts.was_its_own(NODE, "one")
