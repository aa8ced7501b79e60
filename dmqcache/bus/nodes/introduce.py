"""Newcomers: a Kamailio that has just started, and is not told of the others before they were told of it.

A Kamailio asks for state once, when it gets its first list: each of its modules (``usrloc``, ``dialog``)
asks all nodes that it knows by then. So its first list must name them all, and they must know it already, as
a Kamailio gives its state to nobody else. Owns that order, and the answers that wait for it. Whether a
newcomer is who it says, ``verify.py`` finds out; what lists say is ``notification.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.membership import Membership
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.peer import SILENCE, Later, Reply, Response
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI

#: Seconds that the others have to take note of a newcomer. A lost message is repeated once within them.
TELL_SECONDS = 1.0
#: Seconds until a newcomer that has not shown that it is there gets no answer, so that it asks again.
PROOF_SECONDS = 2.5
#: Answers that may wait.
MAX_WAITING = 1_000
#: Seconds in which the others are not told of the same node again.
GAP = 10.0


class Introductions:
    """The newcomers of one node."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        notification: Notification,
        admit: Callable[[Node], None],
    ) -> None:
        """``admit`` is called with a newcomer of which the others know."""
        self._runtime = runtime
        self._membership = membership
        self._notification = notification
        self._admit = admit
        #: What newcomers call themselves, and from which host -> the answers that they wait for.
        self._laters: dict[tuple[NodeURI, str], list[Later]] = {}
        self._waiting = 0
        #: Newcomers of whom the others are being told, and who has not taken note yet.
        self._telling: dict[Node, dict[Node, None]] = {}
        #: Monotonic seconds when the others were last told of a node.
        self._told_at: WeakKeyDictionary[Node, float] = WeakKeyDictionary()

    def joins(self, uri: NodeURI, host: str, node: Node | None) -> Reply | Later:
        """A Kamailio that has just started calls from ``host`` and waits for the answer to its first list.
        ``node``: it, if it is met already."""
        if self._waiting >= MAX_WAITING:
            return Reply(200, body=self._notification.body_for(None))
        later, key = Later(), (uri, host)
        self._laters.setdefault(key, []).append(later)
        self._waiting += 1
        self._runtime.call_later(PROOF_SECONDS, partial(self._no_proof, key, later))
        if node is not None and (node.proven or node.confirmed or node.seed):
            self.introduce(node)
        return later

    def introduce(self, node: Node) -> None:
        """``node`` is there: tell the others of it, then it of the others. One that has joined elsewhere has
        had its first list."""
        if node in self._telling:
            return
        now = self._runtime.now()
        active = self._membership.nodes.active()
        # In their order in the list: a set of nodes has another one in each process.
        others = dict.fromkeys(other for other in active if not (other is node or other.ours))
        starts = node.confirmed or node.seed or any(key in self._laters for key in _keys(node))
        if not (starts and others) or now - self._told_at.get(node, float("-inf")) < GAP:
            self._welcome(node)
            return
        self._told_at[node] = now
        self._telling[node] = others
        for other in tuple(others):
            self._notification.ping(other, timeout=TELL_SECONDS, done=partial(self._told, node, other))
        self._runtime.call_later(TELL_SECONDS, partial(self._told_all, node))

    def is_newcomer(self, node: Node) -> bool:
        """Whether the others are being told of ``node`` right now."""
        return node in self._telling

    def _told(self, node: Node, other: Node, response: Response) -> None:
        waiting = self._telling.get(node)
        if waiting is not None:
            waiting.pop(other, None)
            if not waiting:
                self._told_all(node)

    def _told_all(self, node: Node) -> None:
        if self._telling.pop(node, None) is not None:
            self._welcome(node)

    def _welcome(self, node: Node) -> None:
        for key in _keys(node):
            for later in self._laters.pop(key, ()):
                self._waiting -= 1
                later.give(Reply(200, body=self._notification.body_for(node)))
        self._admit(node)

    def _no_proof(self, key: tuple[NodeURI, str], later: Later) -> None:
        laters = self._laters.get(key, [])
        if later in laters:
            laters.remove(later)
            self._waiting -= 1
            if not laters:
                del self._laters[key]
            later.give(Reply(SILENCE))


def _keys(node: Node) -> list[tuple[NodeURI, str]]:
    """What a node may have called itself, from its own host."""
    return [(uri, node.uri.host) for uri in (node.uri, *node.names)]
