"""Everybody has a turn, and new ones not all at once."""

from __future__ import annotations

from random import Random

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.turns import Turns
from dmqcache.bus.sip.uri import NodeURI


def nodes(count: int) -> list[Node]:
    return [Node(uri=NodeURI("127.0.0.1", port)) for port in range(1, count + 1)]


def test_each_has_its_turn_before_anyone_has_a_second() -> None:
    turns, candidates = Turns(Random(1).random), nodes(7)
    first = [turns.next(candidates) for _ in range(7)]
    assert set(first) == set(candidates)
    assert [turns.next(candidates) for _ in range(7)] == first


def test_one_that_could_not_be_asked_comes_first_when_it_can() -> None:
    turns, candidates = Turns(Random(1).random), nodes(4)
    for _ in range(8):
        turns.next(candidates)
    for _ in range(6):
        turns.next(candidates[1:])
    assert turns.next(candidates) is candidates[0]


def test_nodes_of_a_cluster_do_not_all_ask_the_same_one_first() -> None:
    candidates = nodes(10)
    assert len({turns.next(candidates) for turns in (Turns(Random(seed).random) for seed in range(20))}) > 4
