"""Talks: with those that have not answered just now, for what the budget has left."""

from __future__ import annotations

from collections.abc import Sequence

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.budget import Budget
from dmqcache.bus.nodes.talks import NEWS_GAP, RESERVE, TALK_GAP, TELL_NODES, Talks
from tests.bus.virtual import Cluster


class Party:
    """Talks of the first of five nodes."""

    def __init__(self, burst: float = 45.0) -> None:
        self.now = 1000.0
        cluster = Cluster()
        self.bus = cluster.full(5)[0]
        for node in self.bus.active_nodes():
            node.last_answer = self.now - 10
        self.budget = Budget(lambda: self.now, 0.0, burst)
        self.asked: list[Node] = []
        self.talks = Talks(lambda: self.now, self.bus._directory.membership, self.budget, self.ask)

    def ask(self, candidates: Sequence[Node]) -> None:
        self.asked.append(candidates[0])
        candidates[0].last_answer = self.now


def test_news_go_to_some_and_not_again_at_once() -> None:
    party = Party()
    party.talks.tell()
    assert len(set(party.asked)) == len(party.asked) == TELL_NODES
    party.talks.tell()
    assert len(party.asked) == TELL_NODES
    party.now += NEWS_GAP
    party.talks.tell()
    assert len(party.asked) == 2 * TELL_NODES


def test_who_has_answered_just_now_has_no_news() -> None:
    party = Party()
    party.talks.talk(4, 0.0)
    party.talks.talk(4, 0.0)
    assert len(party.asked) == 4
    party.now += TALK_GAP + 0.1
    party.talks.talk(1, 0.0)
    assert len(party.asked) == 5


def test_talks_leave_the_rest_of_the_budget_to_others() -> None:
    party = Party(burst=RESERVE + 2)
    party.talks.tell()
    assert len(party.asked) == 2
    party.talks.talk(1, 0.0)
    assert len(party.asked) == 3
