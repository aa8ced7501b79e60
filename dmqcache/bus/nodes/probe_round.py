"""A round: the questions to one node after it let the first one wait.

Owns what was asked and what of it waits. When to ask and what it proves is ``probe.py``'s business.
"""

from __future__ import annotations

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Sending
from dmqcache.bus.runtime import Timer

#: Seconds between two tries; more where the round trip is longer. 14 of them take 2.3 s: with three nodes
#: each has its turn every 2 s, so a dead one is noticed within 5 s.
TRY_PAUSE = 0.165


def pause_for(node: Node) -> float:
    """Seconds between two questions to ``node``."""
    return max(TRY_PAUSE, node.rtt.rto(TRY_PAUSE))


class Round:
    """The questions to one node after it let the first one wait."""

    __slots__ = ("began", "pause", "refused", "sendings", "timer", "told", "tries", "unanswered")

    def __init__(self, began: float, pause: float) -> None:
        self.began = began
        self.pause = pause
        #: The others were told.
        self.told = False
        #: Questions, and how many of them have waited for as long as an answer takes.
        self.tries = 0
        self.unanswered = 0
        self.refused = False
        self.sendings: list[Sending] = []
        self.timer: Timer | None = None

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for sending in self.sendings:
            sending.cancel()
