"""Questions to the living for their list: what each of two nodes has asked in vain the other reads there.

Owns whom to talk to and how often. What is suspected, and the questions themselves, are ``probe.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.budget import Budget
from dmqcache.bus.nodes.membership import Membership

#: How many are told at once; they tell others. Seconds between two such news, whatever is suspected.
TELL_NODES = 3
NEWS_GAP = 2.0
#: Seconds since its last answer until a node has news.
TALK_GAP = 1.5
#: What talks leave of the budget to the questions that the silent are asked.
RESERVE = 4.0


class Talks:
    """The talks of one node."""

    def __init__(
        self,
        now: Callable[[], float],
        membership: Membership,
        budget: Budget,
        ask_one_of: Callable[[Sequence[Node]], object],
    ) -> None:
        """``now``: monotonic seconds. ``ask_one_of`` asks the one whose turn it is."""
        self._now = now
        self._membership = membership
        self._budget = budget
        self._ask_one_of = ask_one_of
        self._last_news = float("-inf")

    def tell(self) -> None:
        """Let some of our kind know at once: they look for themselves, and tell others."""
        now = self._now()
        if now - self._last_news >= NEWS_GAP:
            self._last_news = now
            self.talk(TELL_NODES, RESERVE)

    def talk(self, count: int, leave: float) -> None:
        """Ask so many of our kind that have answered nothing just now, as long as ``leave`` is left of the
        budget."""
        before = self._now() - TALK_GAP
        ours = [node for node in self._membership.nodes.active() if node.ours]
        for _ in range(count):
            candidates = [node for node in ours if node.last_answer is None or node.last_answer < before]
            if candidates and self._budget.take(leave):
                self._ask_one_of(candidates)
