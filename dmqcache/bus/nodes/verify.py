"""Asking first-hand: nodes that were only heard of, that call and are not active, or that may be back.

Owns the pace, so that no list from the wire turns this node into a sender of floods. What an answer means is
``membership.py``'s business; nodes that are active are watched by ``probe.py``.

A stranger, for whom nothing speaks but its own call, gets two small messages and is then forgotten: a ping
with our own line and, if it is silent, a knock. So a call under a forged address brings its owner, beside the
reply, two messages of about 400 bytes, and this node sends such questions no faster than :data:`RATE`.
"""

from __future__ import annotations

from functools import partial
from weakref import WeakKeyDictionary, WeakSet

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.exchange.letter import Letter, Post
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.nodes.membership import Evidence, Membership
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.nodes.resolution import node_uri
from dmqcache.bus.peer import Response
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI

#: A channel that no node has. The 404 comes straight from a Kamailio's SIP worker, costs it next to nothing,
#: and comes even from one whose node list has outgrown its buffer, so that it answers no ping any more.
KNOCK_CHANNEL = "dmqcache_knock"
#: Seconds until a question counts as unanswered: RFC 3261's timer sends it four times in that time.
TIMEOUT = 4.0
#: Seconds for each of the two questions that a stranger gets: its address may be forged, and a victim's.
STRANGER_TIMEOUT = 1.0
#: Seconds between two questions to a node that calls.
CALLER_GAP = 0.25
#: Seconds between two questions to a node because of hearsay: a Kamailio lists a dead node for minutes.
HEARSAY_GAP = 2.0
#: Seconds between two questions to an address that was removed from the list.
REMOVED_GAP = 30.0
#: Questions a second, and how many at once after a quiet time: a list of fifty nodes is asked at once.
RATE = 20.0
BURST = 60.0
#: Seconds: a node that called so recently and answers no ping is worth a knock.
CALL_AGE = 180.0
#: Addresses remembered as asked.
MAX_REMOVED = 1_000


class Verifier:
    """The questions of one node."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        contacts: Contacts,
        notification: Notification,
        post: Post,
    ) -> None:
        self._runtime = runtime
        self._membership = membership
        self._contacts = contacts
        self._notification = notification
        self._post = post
        #: Nodes to ask, oldest first.
        self._queue: dict[Node, None] = {}
        self._removed: Bounded[NodeURI, float] = Bounded(MAX_REMOVED)
        #: Monotonic seconds when a node was last asked, and the nodes that are to be asked soon.
        self._asked: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        self._soon: WeakSet[Node] = WeakSet()
        self._tokens = BURST
        self._filled = runtime.now()
        self._armed = False
        self._stopped = False

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped = True
        self._queue.clear()

    def caller(self, node: Node) -> None:
        """``node`` calls and is not active: ask it now, or as soon as it is decent."""
        if node.stranger and node in self._asked:
            return  # its two questions are under way
        since = self._since_asked(node)
        if since >= CALLER_GAP:
            self._enqueue(node)
        elif node not in self._soon:
            self._soon.add(node)
            self._runtime.call_later(CALLER_GAP - since, partial(self._due, node))

    def doubt(self, node: Node) -> None:
        """``node`` is active, but not who it was: its answer tells whether it has started anew."""
        if not self._stopped and self._since_asked(node) >= CALLER_GAP:
            self._ask(node)

    def hearsay(self, node: Node) -> None:
        """Another node holds ``node`` active, or an operator named it."""
        node.vouched = True
        if self._since_asked(node) >= HEARSAY_GAP:
            self._enqueue(node)

    def removed(self, uri: NodeURI) -> None:
        """Another node lists an address that was removed here: ask it now and then, without listing it."""
        now = self._runtime.now()
        if self._stopped or now - self._removed.get(uri, float("-inf")) < REMOVED_GAP:
            return
        self._removed[uri] = now
        self._notification.ask_address(uri, TIMEOUT, partial(self._removed_answered, uri))

    def _since_asked(self, node: Node) -> float:
        return self._runtime.now() - self._asked.get(node, float("-inf"))

    def _due(self, node: Node) -> None:
        self._soon.discard(node)
        if not node.active:
            self._enqueue(node)

    def _enqueue(self, node: Node) -> None:
        if not self._stopped:
            self._queue[node] = None
            self._drain()

    def _drain(self) -> None:
        now = self._runtime.now()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        while self._queue and self._tokens >= 1:
            node = next(iter(self._queue))
            del self._queue[node]
            if not node.active and self._membership.nodes.get(node.uri) is node:
                self._tokens -= 1
                self._ask(node)
        if self._queue and not self._armed:
            self._armed = True
            self._runtime.call_later(1 / RATE, self._on_timer)

    def _on_timer(self) -> None:
        self._armed = False
        self._drain()

    def _ask(self, node: Node) -> None:
        self._asked[node] = self._runtime.now()
        if node.stranger:
            self._notification.ping(
                node, timeout=STRANGER_TIMEOUT, repeat=False, done=partial(self._stranger_answered, node)
            )
        else:
            self._notification.ping(node, timeout=TIMEOUT, done=partial(self._answered, node))

    def _stranger_answered(self, node: Node, response: Response) -> None:
        """Silence: the question was lost, or a Kamailio's list outgrew its buffer. A knock is for both."""
        if self._stopped or node.active:
            return
        if response.local and response.status == 408:
            timeout = STRANGER_TIMEOUT if node.stranger else TIMEOUT
            self._knock(node, timeout, repeat=not node.stranger)
        else:
            self._membership.drop_stranger(node)

    def _answered(self, node: Node, response: Response) -> None:
        """A Kamailio that calls but answers no ping is mute, not dead: its list outgrew its buffer."""
        if self._stopped or node.active or node.ours or not response.local or response.status != 408:
            return
        if self._runtime.now() - self._contacts.last_call(node) <= CALL_AGE:
            self._knock(node, TIMEOUT, repeat=node.confirmed)

    def _knock(self, node: Node, timeout: float, *, repeat: bool) -> None:
        letter = Letter(KNOCK_CHANNEL, node.uri, b"", timeout=timeout, repeat=repeat)
        self._post(letter, partial(self._knocked, node))

    def _knocked(self, node: Node, response: Response) -> None:
        if not response.local:
            self._membership.judge(node, Evidence.ANSWERED)
        elif not self._stopped:
            self._membership.drop_stranger(node)

    def _removed_answered(self, uri: NodeURI, response: Response) -> None:
        endpoint = uri.endpoint
        if response.local or not 200 <= response.status < 300 or endpoint is None:
            return
        node = self._membership.meet(node_uri(endpoint))
        if node is not None:
            node.vouched = True
            self._enqueue(node)
