"""When a starting node has the whole state: from a dmqcache node with a digest to show for it, else from
Kamailio nodes as well as their flood allows.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dmqcache.bus.sip.uri import NodeURI

if TYPE_CHECKING:
    from dmqcache.store.store import Store

log = logging.getLogger("dmqcache.store")

#: Seconds that a node which has met only Kamailio nodes waits for a dmqcache node to show up.
KAMAILIO_PATIENCE_S: Final = 1.5
#: Seconds after which a node that met nobody serves what it has: it is the first, or all others are down.
ALONE_S: Final = 10.0
#: Seconds between a sync that broke off and the next: a donor that refuses at once is not asked in a frenzy.
AGAIN_S: Final = 0.2


class JoinState(StrEnum):
    """How far a starting node is."""

    WAITING = "waiting"
    SYNCING = "syncing"
    READY = "ready"


class Join:
    """The initial sync of one node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.state = JoinState.WAITING
        #: Who gives the state now, or gave it last.
        self.donor: NodeURI | None = None
        self.started_at = 0.0
        self.ready_at: float | None = None
        self._kamailio: list[NodeURI] = []
        #: dmqcache nodes that had not the whole state either when they were last asked.
        self._unready: set[NodeURI] = set()

    @property
    def ready(self) -> bool:
        return self.state is JoinState.READY

    def start(self, seeds: bool) -> None:
        """Begin; without seeds there is nobody to ask."""
        self.started_at = self._store.clock.now()
        if not seeds:
            self._finish("no other node is configured")
        else:
            self._store.runtime.call_later(ALONE_S, self._alone)

    def node_up(self, node: NodeURI, speaks: bool) -> None:
        """A node answers."""
        if self.ready:
            return
        if speaks:
            self.state = JoinState.SYNCING
            self.donor = node
            self._store.repair.want(node, first=True)
        elif node not in self._kamailio:
            self._kamailio.append(node)
            self._store.runtime.call_later(KAMAILIO_PATIENCE_S, self._ask_kamailio)

    def compared(self, node: NodeURI, outcome: str, ready: bool) -> None:
        """A comparison with a dmqcache node ended. ``ready``: that one has the whole state, so that being
        equal to it means something."""
        if self.ready or self._store.stopped:
            return
        if outcome == "failed":
            self._unready.discard(node)
            log.warning("initial sync from %s broke off, trying another node", node)
        elif ready:
            self._finish(f"synced from {node}")
            return
        else:
            self._unready.add(node)
            if self._is_first():
                self._begin()
                return
        self._try_another(node)

    def _begin(self) -> None:
        """Take what Kamailio nodes have, if there are any; the other dmqcache nodes will ask this one."""
        if self._kamailio:
            self._ask_kamailio()
        else:
            self._finish("all nodes start at once, this one is the first")

    def _is_first(self) -> bool:
        """Whether no node that answers has the whole state, and this is the one among them to begin: the one
        with the least address, once all notification addresses have answered, or have had time to."""
        store = self._store
        if not self._unready.issuperset(store.replicas()) or not store.designated:
            return False
        if store.clock.now() - self.started_at >= ALONE_S:
            return True
        seeds = [store.bus.nodes.get(uri) for uri in store.bus.settings.notification_addresses]
        return all(seed is not None and (seed.local or seed.active) for seed in seeds)

    def _try_another(self, node: NodeURI) -> None:
        nodes = self._store.replicas()
        if nodes:
            place = nodes.index(node) + 1 if node in nodes else 0
            donor = self.donor = nodes[place % len(nodes)]
            self._store.runtime.call_later(AGAIN_S, lambda: self._ask_again(donor))
        else:
            self._ask_kamailio()

    def _ask_again(self, donor: NodeURI) -> None:
        if not self.ready:
            self._store.repair.want(donor, first=True)

    def _ask_kamailio(self) -> None:
        if self.ready or self._store.stopped or self._has_donor() or not self._kamailio:
            return
        self.state = JoinState.SYNCING
        self.donor = self._kamailio[0]
        self._store.compare.adopt(self._kamailio[:2], self._kamailio_done)

    def _kamailio_done(self, complete: bool) -> None:
        if self.ready or self._has_donor():
            return
        if complete:
            self._finish("synced from Kamailio nodes")
        else:
            self._kamailio = self._kamailio[1:] + self._kamailio[:1]
            self._store.runtime.call_later(KAMAILIO_PATIENCE_S, self._ask_kamailio)

    def _has_donor(self) -> bool:
        """Whether there is a dmqcache node from which to have the state."""
        return bool(self._store.replicas()) and not self._is_first()

    def _alone(self) -> None:
        if self.ready or self._store.stopped:
            return
        if any(outbox.open for outbox in self._store.outboxes.values()):
            # Somebody gives us the state, and may die before the end.
            self._store.runtime.call_later(ALONE_S, self._alone)
        else:
            asked = ", ".join(map(str, self._store.bus.settings.notification_addresses))
            self._finish(f"no other node answers, serving alone; asked were {asked}", logging.WARNING)

    def _finish(self, why: str, level: int = logging.INFO) -> None:
        self.state = JoinState.READY
        self.ready_at = self._store.clock.now()
        cells = sum(len(table) for table in self._store.tables.values())
        log.log(level, "ready: %s (%d cells after %.1f s)", why, cells, self.ready_at - self.started_at)
