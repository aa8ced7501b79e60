"""Messages of so many rows that to merge them takes longer than a step: one after the other, in steps.

Owns the pace, and how many may wait; what is done with a message, ``replica.py`` says. They may come faster
than they are merged: a node of which many wait is to send its rows again later.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground

#: Messages of one node that wait at most: twice what a node of ours has on its way.
MOST: Final = 8


class LargeMessages:
    """The large messages that came to one node."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        #: With a step of each in every turn, those of many nodes would fill it.
        self._waiting: deque[tuple[NodeURI, Iterator[None], Callable[[], None]]] = deque()
        self._by_node: Counter[NodeURI] = Counter()
        self._at_work = False

    def add(self, node: NodeURI, pieces: Iterator[None], then: Callable[[], None]) -> bool:
        """Do all pieces of a message of ``node``, and ``then``: the first step at once, if no other message
        waits. False: there are too many of this node, and nothing is done."""
        if self._by_node[node] >= MOST:
            return False
        self._by_node[node] += 1
        self._waiting.append((node, pieces, then))
        if not self._at_work:
            in_steps(self._ground.runtime, self._pieces(), lambda: None, lambda: self._ground.stopped)
        return True

    def _pieces(self) -> Iterator[None]:
        self._at_work = True
        try:
            while self._waiting:
                node, pieces, then = self._waiting.popleft()
                try:
                    yield from pieces
                finally:
                    self._by_node[node] -= 1
                    if not self._by_node[node]:
                        del self._by_node[node]
                then()
        finally:
            self._at_work = False
