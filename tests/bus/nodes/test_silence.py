"""One silent node, many, most, all: what each unanswered question is worth."""

from __future__ import annotations

import pytest

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.silence import (
    CUT_OFF_SECONDS,
    GONE_SECONDS,
    MOST_TRIES,
    NEARLY_ALL_TRIES,
    OWN_TRIES,
    TOGETHER_TRIES,
    TRIES,
    Silence,
)
from dmqcache.bus.sip.uri import NodeURI

NODE = Node(NodeURI.parse("sip:127.0.0.12:5060"))


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("silent", "active", "gone", "needed"),
    [
        (1, 2, 0, TRIES),
        (2, 2, 0, TRIES),
        (3, 19, 0, TRIES),
        (7, 19, 0, TRIES),
        (8, 19, 0, MOST_TRIES),
        (4, 15, 4, MOST_TRIES),
        (10, 19, 0, MOST_TRIES),
        (15, 19, 0, NEARLY_ALL_TRIES),
        (3, 4, 0, NEARLY_ALL_TRIES),
    ],
)
def test_the_more_are_silent_at_once_the_more_each_question_says(
    silent: int, active: int, gone: int, needed: int
) -> None:
    silence = Silence(Time())
    for _ in range(gone):
        silence.gave_up(NODE)
    assert silence.enough(OWN_TRIES, needed, silent, active)
    assert not silence.enough(OWN_TRIES, needed - 1, silent, active)
    # The word of others alone proves nothing, however many they are.
    assert not silence.enough(OWN_TRIES - 1, 1000, silent, active)


def test_where_nearly_all_are_silent_and_none_may_be_asked_they_prove_it_together() -> None:
    silence = Silence(Time())
    assert silence.enough_together(TOGETHER_TRIES, [4, 4, 3, 3], 5)
    assert not silence.enough_together(TOGETHER_TRIES, [4, 3, 3, 3], 5)
    assert not silence.enough_together(TOGETHER_TRIES - 1, [6, 6, 2, 2], 5)
    # One that has let far fewer wait than the others may be alive.
    assert not silence.enough_together(TOGETHER_TRIES, [9, 9, 9, 3], 5)
    # Not where a part of them only is silent.
    assert not silence.enough_together(TOGETHER_TRIES, [5, 5, 5], 5)
    silence.gave_up(NODE, 4)
    silence.gave_up(NODE, 4)
    assert silence.enough_together(TOGETHER_TRIES, [3, 3], 3)


def test_the_dead_are_forgotten_after_a_while() -> None:
    time = Time()
    silence = Silence(time)
    silence.gave_up(NODE)
    time.now += GONE_SECONDS / 2
    silence.gave_up(NODE)
    assert silence.gone == 2
    time.now += GONE_SECONDS / 2 + 1
    assert silence.gone == 1


def test_who_gets_no_answer_from_anybody_is_cut_off_itself() -> None:
    time = Time()
    silence = Silence(time)
    for _ in range(TRIES - 1):
        silence.asked_in_vain()
    time.now += CUT_OFF_SECONDS
    assert not silence.cut_off and not silence.enough(1, 1, 19, 19)
    silence.asked_in_vain()
    assert silence.cut_off and silence.enough(1, 1, 19, 19) and not silence.enough(0, 0, 19, 19)
    assert not silence.answered(NODE)
    assert not silence.cut_off
    for _ in range(TRIES):
        silence.asked_in_vain()
    assert not silence.cut_off


def test_since_when_a_node_is_lost_is_known_until_it_answers() -> None:
    time = Time()
    silence, other = Silence(time), Node(NodeURI.parse("sip:127.0.0.13:5060"))
    assert silence.lost_at(NODE) is None
    silence.gave_up(NODE)
    time.now += 5
    assert not silence.answered(other)
    assert silence.lost_at(NODE) == time.now - 5
    assert silence.answered(NODE)
    assert silence.lost_at(NODE) is None and not silence.answered(NODE)
