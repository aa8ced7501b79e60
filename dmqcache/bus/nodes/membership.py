"""Which node is what: the rules by which a node is met, held active, given up and forgotten.

Owns every change of the list and of a status. Evidence comes from ``notification.py`` (answers, goodbyes,
lists), ``contacts.py`` (who calls) and ``probe.py`` (who is silent); this file only judges it.

The rule above all others: what a node measured itself beats what it was told. Hearsay adds a node as pending,
which is then asked first-hand; it never revives one that was found dead.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node, NodeList, NodeStatus
from dmqcache.bus.nodes.events import Events, Happening
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI

log = logging.getLogger(__name__)

#: Nodes in the list. Kamailio's own list breaks at about twenty; a list from the wire may name anything.
MAX_NODES = 1_000
#: Nodes that have never answered us, in all and on one host. Who calls then takes the place of the oldest, so
#: that a flood keeps nobody out; who is only heard of is left out.
MAX_UNCONFIRMED = 250
MAX_UNCONFIRMED_ON_HOST = 32
#: Nodes on one host that answer, or did, beside those that an operator names: one that plays many nodes must
#: not cost each write a message to each of its ports.
MAX_ON_HOST = 128
#: Forms of our own address that were learnt and not configured; those learnt first are forgotten first.
MAX_OWN_LEARNT = 64
#: Nodes that were removed and are still remembered as such.
MAX_DEPARTED = 1_000
#: Lost nodes that are off the list and still shown, until they answer or somebody takes them away.
MAX_LOST = 100
#: Seconds for which hearsay does not bring a removed node back: longer than any Kamailio lists a dead one
#: (measured: up to 149 s) by far.
DEPARTED_SECONDS = 600.0
#: Ping intervals that a node which said goodbye stays.
DISABLED_INTERVALS = 1
#: Seconds that a node which never answered stays.
PENDING_SECONDS = 10.0
#: Unanswered messages without which a node that is not active is never removed.
REMOVAL_MISSES = 2
#: Seconds in which a node's second start is not believed: a flood of start-up notifications is no restart.
RESTART_GAP = 5.0
#: Seconds in which a second goodbye of a Kamailio that is there is no restart: each costs a comparison.
COME_BACK_GAP = 30.0


class Evidence(Enum):
    #: It answered a message of ours: the only thing that makes a node active.
    ANSWERED = auto()
    #: It said ``disabled`` of itself.
    GOODBYE = auto()
    #: The failure detector gave it up.
    LOST = auto()


#: A seed that is lost becomes PENDING instead of TIMEOUT: it is kept and asked for ever.
TABLE: Mapping[tuple[NodeStatus, Evidence], NodeStatus] = {
    (NodeStatus.PENDING, Evidence.ANSWERED): NodeStatus.ACTIVE,
    (NodeStatus.PENDING, Evidence.GOODBYE): NodeStatus.DISABLED,
    (NodeStatus.PENDING, Evidence.LOST): NodeStatus.PENDING,
    (NodeStatus.ACTIVE, Evidence.ANSWERED): NodeStatus.ACTIVE,
    (NodeStatus.ACTIVE, Evidence.GOODBYE): NodeStatus.DISABLED,
    (NodeStatus.ACTIVE, Evidence.LOST): NodeStatus.TIMEOUT,
    (NodeStatus.TIMEOUT, Evidence.ANSWERED): NodeStatus.ACTIVE,
    (NodeStatus.TIMEOUT, Evidence.GOODBYE): NodeStatus.DISABLED,
    (NodeStatus.TIMEOUT, Evidence.LOST): NodeStatus.TIMEOUT,
    # 5.6's rule too: only its own answer to a ping revives a node that said goodbye.
    (NodeStatus.DISABLED, Evidence.ANSWERED): NodeStatus.ACTIVE,
    (NodeStatus.DISABLED, Evidence.GOODBYE): NodeStatus.DISABLED,
    (NodeStatus.DISABLED, Evidence.LOST): NodeStatus.DISABLED,
}


class MembershipListener(Protocol):
    """Who must hear of a change before the peers do."""

    def node_up(self, node: Node) -> None:
        """``node`` became active, or is active and has started anew."""

    def node_lost(self, node: Node) -> None:
        """``node`` stopped being active."""


class Membership:
    """The judge over one node's list."""

    def __init__(
        self,
        runtime: Runtime,
        nodes: NodeList,
        events: Events,
        counters: BusCounters,
        ping_interval: float,
        listener: MembershipListener,
        remove_inactive: float,
    ) -> None:
        """``ping_interval``, ``remove_inactive`` (0: never): seconds."""
        self.nodes = nodes
        self._runtime = runtime
        self._events = events
        self._counters = counters
        self._ping_interval = ping_interval
        self._listener = listener
        self._remove_inactive = remove_inactive or float("inf")
        #: The forms of our own address that we were told at the start, and those that turned out to be so.
        self._own: set[NodeURI] = {nodes.local.uri}
        self._own_learnt: Bounded[NodeURI, None] = Bounded(MAX_OWN_LEARNT)
        #: URI -> when it was removed.
        self._departed: Bounded[NodeURI, float] = Bounded(MAX_DEPARTED)
        #: Nodes that stopped answering and are off the list, as they were last; nothing is sent to them.
        self.lost: Bounded[NodeURI, Node] = Bounded(MAX_LOST)
        #: Messages in a row that nobody answered while the node was not active.
        self._misses: WeakKeyDictionary[Node, int] = WeakKeyDictionary()
        self._last_up: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        #: Nodes that say goodbye, as far as a datagram can tell.
        self._leaving: WeakSet[Node] = WeakSet()
        #: Of these, monotonic seconds when the question about that was not answered.
        self._unsure: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        #: Monotonic seconds when a node that had said so was there all the same.
        self._came_back: WeakKeyDictionary[Node, float] = WeakKeyDictionary()

    # -- ourselves

    def is_own(self, uri: NodeURI) -> bool:
        """Whether ``uri`` is this very node."""
        return uri in self._own or uri in self._own_learnt

    def configure_own(self, uri: NodeURI) -> None:
        """``uri`` is a form of our own address, now and for ever."""
        self._own.add(uri)

    def add_own(self, uri: NodeURI) -> None:
        """``uri`` turned out to be another form of our own address, so it is no other node."""
        if uri not in self._own:
            self._own_learnt[uri] = None
        node = self.nodes.get(uri)
        if node is not None and not node.local:
            log.info("%s is this node itself", uri)
            self._forget(node)

    # -- meeting and forgetting

    def meet(self, uri: NodeURI, *, seed: bool = False, calls: bool = False) -> Node | None:
        """The node at a canonical URI, taken in as pending if it is new. None: it is ourselves, or there is
        no room (counted ``node_list_full``, ``too_many_on_host`` or ``too_many_strangers``). ``calls``: it
        does so, from there."""
        if self.is_own(uri) or uri.endpoint is None:
            return None
        node = self.nodes.get(uri)
        if node is None:
            if not seed and not self._has_room(uri.host, calls):
                return None
            node = Node(uri=uri, endpoint=uri.endpoint, since=self._runtime.now())
            # It asks us while we ask it, of whom another node has told: two such would wait for each other.
            node.vouched = uri in self.nodes.asked
            self.nodes.add(node)
            self._departed.pop(uri, None)
        if seed:
            node.seed = True
        return node

    def departed(self, uri: NodeURI) -> bool:
        """Whether a node was removed so recently that only its own word brings it back."""
        when = self._departed.get(uri)
        return when is not None and self._runtime.now() - when < DEPARTED_SECONDS

    def remove(self, node: Node) -> None:
        """Take a node out of the list. Peers hear that it left."""
        if node.local:
            raise ValueError("a node cannot remove itself from its own list")
        self._departed[node.uri] = self._runtime.now()
        self.lost.pop(node.uri, None)
        log.info("node %s is removed (it was %s)", node.uri, node.status)
        self._forget(node)

    def forget_lost(self, uri: NodeURI) -> bool:
        """An operator's word that a lost node will not come back. Whether it was among those off the list."""
        return self.lost.pop(uri, None) is not None

    def _forget(self, node: Node) -> None:
        """Off the list; peers hear of it unless they never knew it or were told before."""
        self.nodes.remove(node)
        if node.confirmed and node.status is not NodeStatus.DISABLED:
            self._events.post(Happening.LEFT, node)

    def drop_stranger(self, node: Node) -> None:
        """``node`` has called and does not answer. Nobody knows it; when it calls again, it is met again."""
        if node.stranger and self.nodes.get(node.uri) is node:
            log.debug("%s calls and does not answer", node.uri)
            self.nodes.remove(node)

    def _has_room(self, host: str, calls: bool) -> bool:
        if len(self.nodes) >= MAX_NODES:
            self._counters.drops["node_list_full"] += 1
            return False
        if sum(node.confirmed and not node.seed for node in self.nodes.on_host(host)) >= MAX_ON_HOST:
            self._counters.drops["too_many_on_host"] += 1
            return False
        if not calls:
            return self._first_to_go(self.nodes, MAX_UNCONFIRMED) is None
        for nodes, limit in (
            (self.nodes.on_host(host), MAX_UNCONFIRMED_ON_HOST),
            (self.nodes, MAX_UNCONFIRMED),
        ):
            oldest = self._first_to_go(nodes, limit)
            if oldest is not None:
                self.nodes.remove(oldest)
        return True

    def _first_to_go(self, nodes: Iterable[Node], limit: int) -> Node | None:
        """The first that would have to go to make room for one more; None: there is room."""
        passing = [node for node in nodes if not (node.confirmed or node.seed or node.held)]
        if len(passing) < limit:
            return None
        self._counters.drops["too_many_strangers"] += 1
        return passing[0]

    # -- evidence

    def judge(self, node: Node, evidence: Evidence) -> None:
        """Take one step of the table and tell whoever listens."""
        if node.local or self.nodes.get(node.uri) is not node:
            return
        if node in self._leaving:
            self._leaving.discard(node)
            self._unsure.pop(node, None)
            if evidence is Evidence.LOST:
                # Its silence makes a goodbye true.
                evidence = Evidence.GOODBYE
            elif evidence is Evidence.ANSWERED:
                self._said_goodbye_and_is_there(node)
        if evidence is Evidence.ANSWERED:
            node.confirmed = True
            self._misses.pop(node, None)
        if node.held:
            return
        status = TABLE[node.status, evidence]
        if status is NodeStatus.TIMEOUT and node.seed:
            status = NodeStatus.PENDING
        self._change(node, status)

    def says_goodbye(self, node: Node) -> bool:
        """``node`` says goodbye in a way that can be forged. Whether it is worth a question: :meth:`judge`
        hears of its answer, or that none came. One that is lost already is only believed if it answers."""
        if node in self._leaving or node.held or node.status is NodeStatus.DISABLED:
            return False
        if node.active:
            self._leaving.add(node)
        return True

    def is_silent_on_its_goodbye(self, node: Node) -> None:
        """``node`` did not answer whether it leaves: it does if it stays silent."""
        self._unsure[node] = self._runtime.now()

    def answers(self, node: Node, asked_at: float) -> None:
        """``node`` has answered a message of that time, whatever it was."""
        if self._unsure and asked_at >= self._unsure.get(node, float("inf")):
            del self._unsure[node]
            self._leaving.discard(node)
            self._said_goodbye_and_is_there(node)

    def _said_goodbye_and_is_there(self, node: Node) -> None:
        """Somebody has forged the goodbye; or it was true, and a Kamailio is there again that soon, with
        nothing. A dmqcache node says which: it has another instance then."""
        now = self._runtime.now()
        if not node.ours and now - self._came_back.get(node, float("-inf")) >= COME_BACK_GAP:
            self._came_back[node] = now
            self.restarted(node)

    def is_leaving(self, node: Node) -> bool:
        """Whether ``node`` has said goodbye, and nothing was heard of that since."""
        return node in self._leaving

    def missed(self, node: Node) -> None:
        """A ping to a node that is not active was not answered: maybe it has been silent for long enough."""
        if node.active or node.held or self.nodes.get(node.uri) is not node:
            return
        self._misses[node] = misses = self._misses.get(node, 0) + 1
        if node.seed or misses < REMOVAL_MISSES:
            return
        if self._runtime.now() - node.since >= self._patience(node):
            self.remove(node)
            if node.confirmed and node.status is NodeStatus.TIMEOUT:
                self.lost[node.uri] = node

    def restarted(self, node: Node) -> None:
        """``node`` is active and has just started: its state is gone, so it is up anew."""
        if node.active:
            log.info("node %s has restarted", node.uri)
            self._last_up[node] = self._runtime.now()
            self._listener.node_up(node)
            self._events.post(Happening.UP, node)

    def started(self, node: Node) -> None:
        """``node`` sent a start-up notification, as a Kamailio does, or its Call-IDs tell of a start. Both
        may be forged, so they are believed only now and then."""
        node.started = self._runtime.now()
        if node.active and self._runtime.now() - self.last_up(node) >= RESTART_GAP:
            self.restarted(node)

    def last_up(self, node: Node) -> float:
        """Monotonic seconds when ``node`` last became active, or said that it started anew; 0: never."""
        return self._last_up.get(node, 0.0)

    def set_status(self, node: Node, status: NodeStatus) -> None:
        """An operator's word. ``disabled`` holds until the operator says otherwise, the others until there is
        evidence."""
        if node.local:
            raise ValueError("a node's own status is not changed by hand")
        node.held = status is NodeStatus.DISABLED
        self._change(node, status)

    def _patience(self, node: Node) -> float:
        if node.status is NodeStatus.TIMEOUT:
            return self._remove_inactive
        if node.status is NodeStatus.DISABLED:
            return DISABLED_INTERVALS * self._ping_interval
        return self._remove_inactive if node.confirmed else PENDING_SECONDS

    def _change(self, node: Node, status: NodeStatus) -> None:
        before = node.status
        if status is before:
            return
        node.status = status
        node.since = self._runtime.now()
        self._misses.pop(node, None)
        if status in (NodeStatus.ACTIVE, NodeStatus.DISABLED):
            self.lost.pop(node.uri, None)
        log.info("node %s is %s (it was %s)", node.uri, status, before)
        if status is NodeStatus.ACTIVE:
            self._last_up[node] = node.since
            self._listener.node_up(node)
            self._events.post(Happening.UP, node)
        elif before is NodeStatus.ACTIVE:
            self._listener.node_lost(node)
            self._events.post(Happening.LEFT if status is NodeStatus.DISABLED else Happening.DOWN, node)
        elif status is NodeStatus.DISABLED and node.confirmed:
            self._events.post(Happening.LEFT, node)
