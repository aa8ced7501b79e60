"""What other nodes of our kind say of a silent one: how often each has asked it in vain.

Owns the memory of it. What it is worth beside our own questions is ``probe.py``'s business.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.silence import TRIES
from dmqcache.bus.sip.uri import NodeURI

#: Seconds for which another node's word counts.
FRESH_SECONDS = 5.0
#: Of one other node's unanswered questions no more count than this: none can have a node given up alone.
MOST_FROM_ONE = 3
#: Other nodes whose word about one node is remembered.
MAX_WITNESSES = 64
#: After so many unanswered questions our lists say it.
SAY_TRIES = 2
#: Seconds for which the others are told to look at a node that was given up, and for which they hear that it
#: was: those who look more slowly count it.
TOLD_SECONDS = 10.0
REMEMBERED_SECONDS = 60.0


def said_of_silent(unanswered: int) -> int:
    """What our lists say of a node that left so many questions in a row unanswered; 0: nothing."""
    return unanswered if unanswered >= SAY_TRIES else 0


def said_of_lost(age: float) -> int:
    """The same of one that was given up ``age`` seconds ago."""
    if age < TOLD_SECONDS:
        return TRIES
    return SAY_TRIES if age < REMEMBERED_SECONDS else 0


class Witnesses:
    """The unanswered questions of others."""

    def __init__(self) -> None:
        self._said: WeakKeyDictionary[Node, Bounded[NodeURI, tuple[int, float]]] = WeakKeyDictionary()

    def say(self, node: Node, teller: NodeURI, questions: int, now: float) -> None:
        """``teller`` has asked ``node`` so often in vain."""
        said = self._said.get(node)
        if said is None:
            said = self._said[node] = Bounded(MAX_WITNESSES)
        said[teller] = (min(questions, MOST_FROM_ONE), now)

    def take_back(self, node: Node, teller: NodeURI) -> None:
        """``teller`` holds nothing against ``node`` any more."""
        said = self._said.get(node)
        if said is not None:
            said.pop(teller, None)

    def count(self, node: Node, now: float) -> int:
        """Unanswered questions of others to ``node`` that still count."""
        said = self._said.get(node)
        if said is None:
            return 0
        return sum(questions for questions, when in said.values() if now - when <= FRESH_SECONDS)

    def forget(self, node: Node) -> None:
        """``node`` has answered us: what others said is refuted."""
        self._said.pop(node, None)
