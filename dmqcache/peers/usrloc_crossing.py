"""What registrars were told here a moment ago: it may cross with a newer word of its registrar.

A REMOVE, or a refresh, that reaches a registrar before what it is told here, and this node after that, is
undone there: a registrar keeps no removals, and before 6.2 takes the last word to arrive. So who was told a
contact lately is told once more what becomes of it.

Pure: time is handed in, monotonic seconds. Owns who was told what. What is told, ``usrloc_peer.py`` says.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Final

from dmqcache.bus.sip.uri import NodeURI

#: Seconds within which both have arrived: a message that was lost comes again after 0.5, 1.5 and 3.5 s.
CROSSING_S: Final = 8.0
#: Words that are remembered; of older ones a later look at the registrar takes care.
MAX_TOLD: Final = 50_000


class Crossing:
    """Who was told what lately."""

    def __init__(self) -> None:
        #: The oldest first.
        self._told: OrderedDict[tuple[str, NodeURI], float] = OrderedDict()
        #: Key -> who of those was told that.
        self._nodes: dict[str, set[NodeURI]] = {}

    def __len__(self) -> int:
        return len(self._told)

    def told(self, key: str, node: NodeURI, now: float) -> None:
        """A registrar is told a contact."""
        self._told.pop((key, node), None)
        self._told[key, node] = now
        self._nodes.setdefault(key, set()).add(node)
        self._tidy(now)

    def who_was_told(self, key: str, now: float) -> list[NodeURI]:
        """Who may hear a word of now on this contact before what it was told of it."""
        self._tidy(now)
        nodes = self._nodes.get(key, ())
        return sorted(node for node in nodes if now - self._told[key, node] <= CROSSING_S)

    def _tidy(self, now: float) -> None:
        """Two for each that comes: so the old ones go, and no step is long."""
        for oldest in list(islice(self._told, 2)):
            if len(self._told) > MAX_TOLD or now - self._told[oldest] > CROSSING_S:
                self._forget(*oldest)

    def _forget(self, key: str, node: NodeURI) -> None:
        del self._told[key, node]
        nodes = self._nodes[key]
        nodes.discard(node)
        if not nodes:
            del self._nodes[key]
