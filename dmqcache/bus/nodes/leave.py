"""Leaving the bus: who is told, and how long that may take.

Owns the goodbyes of one node. What they look like is ``notification.py``'s; stopping everything else, before
and after, is ``bus.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dmqcache.bus.node import Node, NodeList, NodeStatus
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.runtime import Runtime

#: Seconds that a leaving node waits for the others to hear of it.
LEAVE_SECONDS = 1.0


class Farewell:
    """One node's goodbyes to all others."""

    def __init__(
        self, runtime: Runtime, nodes: NodeList, notification: Notification, done: Callable[[], None]
    ) -> None:
        """``done`` is called once: when all have answered, or after :data:`LEAVE_SECONDS`."""
        self._runtime = runtime
        self._nodes = nodes
        self._notification = notification
        self._done: Callable[[], None] | None = done
        self._waiting: set[Node] = set()

    def start(self) -> None:
        """Tell every node that may listen, also one that does not answer right now."""
        self._nodes.local.status = NodeStatus.DISABLED
        self._waiting = {node for node in self._nodes.others() if node.status is not NodeStatus.DISABLED}
        for node in self._nodes.others():
            if node in self._waiting:
                self._notification.say_goodbye(node, LEAVE_SECONDS, partial(self._told, node))
        self._runtime.call_later(LEAVE_SECONDS if self._waiting else 0.0, self._finish)

    def _told(self, node: Node) -> None:
        self._waiting.discard(node)
        if not self._waiting:
            self._finish()

    def _finish(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done()
