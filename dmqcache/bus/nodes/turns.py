"""Whose turn it is to be asked: the node whose last turn is longest ago.

Owns the order alone; who may be asked at all is for ``probe.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from dmqcache.bus.node import Node


class Turns:
    """The order in which one node asks the others."""

    def __init__(self, random: Callable[[], float]) -> None:
        """``random``: numbers from 0 to 1."""
        self._random = random
        #: Turns taken so far, and each node's last one.
        self._taken = 0
        self._turn: WeakKeyDictionary[Node, float] = WeakKeyDictionary()

    def next(self, candidates: Sequence[Node]) -> Node:
        """One of ``candidates``, of which there must be one. A new one gets in at a random place, so that the
        nodes of a cluster do not all ask the same one at a time."""
        for node in candidates:
            if node not in self._turn:
                self._turn[node] = self._taken - self._random() * len(candidates)
        chosen = min(candidates, key=self._turn.__getitem__)
        self._taken += 1
        self._turn[chosen] = self._taken
        return chosen
