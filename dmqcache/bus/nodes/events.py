"""Tells every peer that a node came, stopped answering or left; never in the middle of a step.

Owns the queue between what happened and who listens. A peer that raises is logged, counted, and disturbs no
other (memberlist's callbacks under a lock deadlocked: deliver after the step).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node
from dmqcache.bus.peer import Peer
from dmqcache.bus.runtime import Runtime

log = logging.getLogger(__name__)


class Happening(Enum):
    UP = auto()
    DOWN = auto()
    LEFT = auto()


class Events:
    """The peers of one node, and what they have still to hear."""

    def __init__(self, runtime: Runtime, counters: BusCounters) -> None:
        self._runtime = runtime
        self._counters = counters
        self._peers: list[Peer] = []
        self._queue: deque[tuple[Happening, Node]] = deque()
        #: Whether some other node has answered or called: from then on peers may ask for state.
        self.initialised = False

    def add_peer(self, peer: Peer, known: Callable[[], list[Node]]) -> None:
        """``peer`` listens from now on. One that comes late hears what it missed first: ``known`` gives the
        nodes that are up."""
        if self.initialised:
            self._later(lambda: self._catch_up(peer, known))
        else:
            self._peers.append(peer)

    def post(self, happening: Happening, node: Node) -> None:
        """Tell all peers soon, in the order of the posts."""
        if not self._queue:
            self._later(self._deliver)
        self._queue.append((happening, node))

    def stop(self) -> None:
        """The bus is closed: all peers hear it, and nothing after it."""
        peers, self._peers = self._peers, []
        for peer in peers:
            self._guard(peer, peer.on_stop)

    def _later(self, what: Callable[[], None]) -> None:
        self._runtime.call_later(0.0, what)

    def _deliver(self) -> None:
        queue = list(self._queue)
        self._queue.clear()
        for happening, node in queue:
            if happening is Happening.UP and not self.initialised:
                self.initialised = True
                for peer in list(self._peers):
                    self._guard(peer, peer.on_init)
            for peer in list(self._peers):
                self._tell(peer, happening, node)

    def _catch_up(self, peer: Peer, known: Callable[[], list[Node]]) -> None:
        # What happened before is for those who were there: it is in ``known``.
        self._deliver()
        self._peers.append(peer)
        self._guard(peer, peer.on_init)
        to_come = {node for _, node in self._queue}
        for node in known():
            if node.active and node not in to_come:
                self._tell(peer, Happening.UP, node)

    def _tell(self, peer: Peer, happening: Happening, node: Node) -> None:
        if happening is Happening.UP:
            self._guard(peer, lambda: peer.on_node_up(node))
        elif happening is Happening.DOWN:
            self._guard(peer, lambda: peer.on_node_down(node))
        else:
            self._guard(peer, lambda: peer.on_node_left(node))

    def _guard(self, peer: Peer, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            self._counters.handler_errors[peer.channel] += 1
            log.exception("peer %s failed in a callback", peer.channel)
