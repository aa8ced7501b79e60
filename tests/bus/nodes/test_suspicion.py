"""What others say that they asked in vain."""

from __future__ import annotations

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.silence import TRIES
from dmqcache.bus.nodes.suspicion import (
    FRESH_SECONDS,
    MAX_WITNESSES,
    MOST_FROM_ONE,
    REMEMBERED_SECONDS,
    SAY_TRIES,
    TOLD_SECONDS,
    Witnesses,
    said_of_lost,
    said_of_silent,
)
from dmqcache.bus.sip.uri import NodeURI

LISTED = [(0, 0), (1, 0), (2, 2), (13, 13)]


def test_one_unanswered_question_is_not_worth_a_word_and_the_dead_are_talked_of_for_a_while() -> None:
    assert [(tries, said_of_silent(tries)) for tries, _ in LISTED] == LISTED
    assert said_of_lost(0.0) == TRIES
    assert said_of_lost(TOLD_SECONDS) == SAY_TRIES
    assert said_of_lost(REMEMBERED_SECONDS) == 0


ONE, TWO = (NodeURI.parse(f"sip:127.0.0.{host}") for host in (21, 22))


def dead() -> Node:
    uri = NodeURI.parse("sip:127.0.0.99")
    return Node(uri=uri, endpoint=uri.endpoint)


def test_the_words_of_several_add_up_and_the_last_one_of_each_counts() -> None:
    node, witnesses = dead(), Witnesses()
    assert witnesses.count(node, 0.0) == 0
    witnesses.say(node, ONE, 1, 0.0)
    witnesses.say(node, ONE, 2, 1.0)
    witnesses.say(node, TWO, 3, 1.0)
    assert witnesses.count(node, 1.0) == 5
    assert witnesses.count(dead(), 1.0) == 0


def test_nobody_counts_for_much_alone() -> None:
    node, witnesses = dead(), Witnesses()
    witnesses.say(node, ONE, 99, 0.0)
    assert witnesses.count(node, 0.0) == MOST_FROM_ONE


def test_a_word_grows_old_is_taken_back_or_refuted() -> None:
    node, witnesses = dead(), Witnesses()
    witnesses.say(node, ONE, 2, 0.0)
    witnesses.say(node, TWO, 2, 3.0)
    assert witnesses.count(node, FRESH_SECONDS + 1) == 2
    witnesses.take_back(node, TWO)
    witnesses.take_back(dead(), TWO)
    assert witnesses.count(node, 3.0) == 2
    witnesses.forget(node)
    witnesses.forget(node)
    assert witnesses.count(node, 3.0) == 0


def test_the_memory_is_bounded() -> None:
    node, witnesses = dead(), Witnesses()
    for port in range(1, 1_000):
        witnesses.say(node, NodeURI("127.0.0.1", port), 1, 0.0)
    assert witnesses.count(node, 0.0) == MAX_WITNESSES
