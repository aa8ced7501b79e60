"""When a starting node has the whole state: from the dmqcache nodes with a digest to show for it, else from
Kamailio nodes as well as their flood allows.

Each dmqcache node that answers and is ready is compared with: one may know what the others have not heard
yet. The first gives nearly all; where nothing differs, a comparison is one question.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from dmqcache.bus.node import NodeList, NodeStatus
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.native.repair import Repair
from dmqcache.store.outbox.outboxes import Outboxes

log = logging.getLogger("dmqcache.store")

#: Seconds that a node which has met only Kamailio nodes waits for a dmqcache node to show up.
KAMAILIO_PATIENCE_S: Final = 1.5
#: Seconds after which a node that met nobody serves what it has: it is the first, or all others are down.
ALONE_S: Final = 10.0
#: Seconds between a sync that broke off and the next: a donor that refuses at once is not asked in a frenzy.
#: Doubled with each further one that breaks off, up to the second.
AGAIN_S: Final = 0.2
LONGEST_S: Final = 5.0
#: Seconds from the start within which a node that others name (one too that these ask in vain), or a
#: notification address, may answer and be compared with: time for two messages to be lost.
HEARSAY_S: Final = 2.0
#: Comparisons with one node that may fail before it is left out, where another one has given its state.
TRIES: Final = 2

#: Take over the cells of these Kamailio nodes, the second only for what the first one's flood lost; then say
#: whether all came.
Adopt = Callable[[list[NodeURI], Callable[[bool], None]], None]


class SyncState(StrEnum):
    """How far a starting node is."""

    WAITING = "waiting"
    SYNCING = "syncing"
    READY = "ready"


class InitialSync:
    """The initial sync of one node."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        repair: Repair,
        nodes: NodeList,
        seeds: tuple[NodeURI, ...],
        adopt: Adopt,
        join_wait: float,
    ) -> None:
        """``seeds``: the notification addresses but its own. ``adopt``: how to have what Kamailio nodes hold.
        ``join_wait``: seconds in which nodes may come by themselves to one that has no such address."""
        self._ground = ground
        self._outboxes = outboxes
        self._repair = repair
        self._nodes = nodes
        self._seeds = seeds
        self._adopt = adopt
        self._join_wait = join_wait
        self._has_seeds = True
        self.state = SyncState.WAITING
        #: Who gives the state now, or gave it last.
        self.donor: NodeURI | None = None
        #: What is done when the state is there, before it is served: told what to call in the end.
        self._fill: Callable[[Callable[[], None]], None] = lambda then: then()
        self._filling = False
        self.started_at = 0.0
        self.ready_at: float | None = None
        self._kamailio: list[NodeURI] = []
        #: Whether Kamailio nodes are asked in place of dmqcache nodes, as these have not the state either.
        self._begun = False
        #: dmqcache nodes that had not the whole state either when they were last asked.
        self._unready: set[NodeURI] = set()
        #: Those that had it, and have given it; and how often a comparison failed.
        self._synced: dict[NodeURI, None] = {}
        self._failed: Counter[NodeURI] = Counter()

    def fill_first(self, fill: Callable[[Callable[[], None]], None]) -> None:
        """Before the node serves, call ``fill``, which calls what it is given when it is done."""
        self._fill = fill

    def start(self, seeds: bool) -> None:
        """Begin; without seeds there is nobody to ask, but nodes that know this one may come."""
        self.started_at = self._ground.clock.now()
        self._has_seeds = seeds
        if seeds:
            self._ground.runtime.call_later(ALONE_S, self._alone)
        elif self._join_wait > 0:
            self._ground.runtime.call_later(self._join_wait, self._alone)
        else:
            self._finish("no other node is configured")

    @property
    def looks_for_others(self) -> bool:
        """Whether nodes that an operator named are looked for: until one answers, or this node is ready."""
        return self._has_seeds and not self._ground.ready

    def node_up(self, node: NodeURI, native: bool) -> None:
        """A node answers. ``native``: it is a dmqcache node."""
        if self._ground.ready:
            return
        if native:
            self.state = SyncState.SYNCING
            self.donor = node
            self._repair.want(node, first=True)
        elif node not in self._kamailio:
            self._kamailio.append(node)
            self._ground.runtime.call_later(max(KAMAILIO_PATIENCE_S, self._may_come()), self._ask_kamailio)

    def _may_come(self) -> float:
        """Seconds for which nodes may still come to one that has no notification address to ask."""
        if self._has_seeds:
            return 0.0
        return max(0.0, self.started_at + self._join_wait - self._ground.clock.now())

    def compared(self, node: NodeURI, outcome: str, ready: bool) -> None:
        """A comparison with a dmqcache node ended. ``ready``: that one has the whole state, so that being
        equal to it means something, if all that answer have been asked."""
        if self._ground.ready or self._ground.stopped:
            return
        if outcome == "failed":
            self._unready.discard(node)
            self._failed[node] += 1
            self._say_broken(node)
        elif ready:
            self._unready.discard(node)
            self._synced[node] = None
        else:
            self._unready.add(node)
            if self._is_first():
                self._begin()
                return
        self._go_on(node)

    def _go_on(self, node: NodeURI) -> None:
        """After a comparison with ``node``: the next one, or the end."""
        if not self._synced:
            self._try_another(node)
            return
        left = self._left()
        if left:
            self.donor = left[0]
            self._ground.runtime.call_later(self._pause(left[0]), lambda: self._ask_again(left[0]))
        elif self._may_hear_of_more():
            self._ground.runtime.call_later(AGAIN_S, lambda: self._wait_on(node))
        else:
            self._finish(f"synced from {', '.join(map(str, self._synced))}")

    def _left(self) -> list[NodeURI]:
        """Who answers and may know something that we do not."""
        asked = self._synced.keys() | self._unready
        nodes = self._outboxes.replicas()
        return [node for node in nodes if node not in asked and self._failed[node] < TRIES]

    def _may_hear_of_more(self) -> bool:
        """Whether somebody may answer soon, or come."""
        if self._may_come():
            return True
        if self._ground.clock.now() - self.started_at >= HEARSAY_S:
            return False
        pending = (node for node in self._nodes if node.status is NodeStatus.PENDING)
        return bool(self._nodes.asked) or any(node.seed or node.vouched for node in pending)

    def _wait_on(self, node: NodeURI) -> None:
        if not (self._ground.ready or self._ground.stopped):
            self._go_on(node)

    def _begin(self) -> None:
        """Take what Kamailio nodes have, if there are any; the other dmqcache nodes will ask this one."""
        if self._kamailio:
            self._begun = True
            self._ask_kamailio()
        else:
            self._finish("all nodes start at once, this one is the first")

    def _is_first(self) -> bool:
        """Whether no node that answers has the whole state, and this is the one among them to begin: the one
        with the least address, once all notification addresses have answered, or have had time to."""
        if not self._unready.issuperset(self._outboxes.replicas()) or not self._outboxes.designated:
            return False
        if self._may_come():
            return False
        if self._ground.clock.now() - self.started_at >= ALONE_S:
            return True
        seeds = [self._nodes.get(uri) for uri in self._seeds]
        return all(seed is not None and (seed.local or seed.active) for seed in seeds)

    def _try_another(self, node: NodeURI) -> None:
        nodes = self._outboxes.replicas()
        if nodes:
            place = nodes.index(node) + 1 if node in nodes else 0
            donor = self.donor = nodes[place % len(nodes)]
            pause = max(AGAIN_S, self._pause(donor))
            self._ground.runtime.call_later(pause, lambda: self._ask_again(donor))
        else:
            self._ask_kamailio()

    def _pause(self, donor: NodeURI) -> float:
        """Seconds until ``donor`` is asked again; none where nothing broke off."""
        failed = self._failed[donor]
        return min(LONGEST_S, AGAIN_S * 2.0 ** min(failed - 1, 10)) if failed else 0.0

    def _say_broken(self, node: NodeURI) -> None:
        """The 1st, 2nd, 4th, 8th time: a donor that refuses for ever shall not fill the log."""
        count = self._failed[node]
        if count & (count - 1) == 0:
            others = len(set(self._outboxes.replicas()) - {node}) > 0
            then = "trying another node" if others else "there is no other node, it is asked again"
            times = f" {count} times" if count > 1 else ""
            log.warning("initial sync from %s broke off%s, %s", node, times, then)

    def _ask_again(self, donor: NodeURI) -> None:
        if self._ground.ready or self._ground.stopped:
            return
        if donor in self._outboxes.replicas():
            self._repair.want(donor, first=True)
        else:
            self._go_on(donor)

    def _ask_kamailio(self) -> None:
        if self._ground.ready or self._ground.stopped or not self._kamailio:
            return
        if self._has_donor():
            self._turn_back()
            return
        self.state = SyncState.SYNCING
        self.donor = self._kamailio[0]
        self._adopt(self._kamailio[:2], self._kamailio_done)

    def _kamailio_done(self, complete: bool) -> None:
        if self._ground.ready or self._ground.stopped:
            return
        if self._has_donor():
            self._turn_back()
        elif complete:
            self._finish("synced from Kamailio nodes")
        else:
            self._kamailio = self._kamailio[1:] + self._kamailio[:1]
            self._ground.runtime.call_later(KAMAILIO_PATIENCE_S, self._ask_kamailio)

    def _turn_back(self) -> None:
        """Another dmqcache node may have the state after all, or is the one to begin, or a notification
        address that was lost meanwhile is to have its time: they are asked again, if nobody asks them."""
        if self._begun:
            self._begun = False
            self._try_another(self._kamailio[0])

    def _has_donor(self) -> bool:
        """Whether there is a dmqcache node from which to have the state."""
        return bool(self._outboxes.replicas()) and not self._is_first()

    def _alone(self) -> None:
        if self._ground.ready or self._ground.stopped:
            return
        there = [outbox for outbox in self._outboxes.values() if outbox.open]
        if self._begun and self._is_first() and not any(not outbox.native for outbox in there):
            self._finish("all nodes start at once, this one is the first, and no Kamailio answers any more")
        elif there:
            # Somebody gives us the state, and may die before the end.
            self._ground.runtime.call_later(ALONE_S, self._alone)
        elif not self._has_seeds:
            self._finish(f"no other node is configured, and none came within {self._join_wait:g} s")
        else:
            asked = ", ".join(map(self._seed, self._seeds)) or "none but itself"
            self._finish(f"no other node answers, serving alone; asked were {asked}", logging.WARNING)

    def _seed(self, uri: NodeURI) -> str:
        """A notification address, and what is wrong with the node there: it may have answered a 404."""
        node = self._nodes.get(uri)
        trouble = "" if node is None else ", ".join(node.trouble.values())
        return f"{uri} ({trouble})" if trouble else str(uri)

    def _finish(self, why: str, level: int = logging.INFO) -> None:
        if not self._filling:
            self._filling = True
            self._fill(lambda: self._serve(why, level))

    def _serve(self, why: str, level: int) -> None:
        if self._ground.stopped:
            return
        self.state = SyncState.READY
        self._ground.ready = True
        self.ready_at = self._ground.clock.now()
        cells = sum(len(table) for table in self._ground.tables.values())
        log.log(level, "ready: %s (%d cells after %.1f s)", why, cells, self.ready_at - self.started_at)
