"""Asking first-hand: nodes that were only heard of, that call and are not active, or that may be back.

Owns the pace, so that no list from the wire turns this node into a sender of floods. What an answer means is
``membership.py``'s business; nodes that are active are watched by ``probe.py``.

The first question is a knock, unless the node is known to be of our kind and no stranger: a request on a
channel that no node has (:data:`KNOCK_CHANNEL`). The answer, a 404, shows that somebody is there and names
its software, and a Kamailio that has just started does not take the question for the list that it waits for
(``introduce.py``). Who answers it gets our list in a ping, and is active when it answers that.

A stranger, for whom nothing speaks but its own call, gets two knocks and is then forgotten. A knock is no
longer than any call of a node, and the second goes only to who has called again meanwhile, as all do who get
no answer (``exchange/repayment.py``). This node sends such questions no faster than :data:`RATE`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary, WeakSet

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.exchange.letter import Letter, Post
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.budget import Budget
from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.nodes.membership import Evidence, Membership
from dmqcache.bus.nodes.notification import PING_HOPS, START_HOPS, Notification
from dmqcache.bus.nodes.resolution import node_uri
from dmqcache.bus.peer import OnResponse, Response
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI

#: A channel that no node has. The 404 comes straight from a Kamailio's SIP worker, costs it next to nothing,
#: and comes even from one whose node list has outgrown its buffer, so that it answers no ping any more.
KNOCK_CHANNEL = "dmqcache_knock"
#: Seconds until a question counts as unanswered: RFC 3261's timer sends it four times in that time.
TIMEOUT = 4.0
#: Seconds for each of the two questions that a stranger gets: its address may be forged, and a victim's.
STRANGER_TIMEOUT = 1.0
#: Seconds until a question to a node whose turn it is, and that does not answer anyway, counts as unanswered.
IDLE_TIMEOUT = 3.0
#: Seconds between two questions to a node that calls.
CALLER_GAP = 0.25
#: Seconds between two questions to a node because of hearsay: a Kamailio lists a dead node for minutes.
HEARSAY_GAP = 2.0
#: The same for one that was given up, and how long its silence is believed before.
LOST_GAP = 10.0
#: Questions of the budget that are left for the watch.
RESERVE = 4
#: Seconds between two questions to an address that is not in the list.
UNLISTED_GAP = 30.0
#: Questions a second, and how many at once after a quiet time: a list of fifty nodes is asked at once.
RATE = 20.0
BURST = 60.0
#: Seconds: a node that called so recently and answers no ping is worth a knock.
CALL_AGE = 180.0
#: Addresses remembered as asked.
MAX_UNLISTED = 1_000


class Verifier:
    """The questions of one node."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        contacts: Contacts,
        notification: Notification,
        budget: Budget,
        post: Post,
        introduce: Callable[[Node], None],
    ) -> None:
        """``introduce`` is called with a node that is there and may be a Kamailio; :meth:`admit` follows."""
        self._runtime = runtime
        self._membership = membership
        self._contacts = contacts
        self._notification = notification
        self._budget = budget
        self._post = post
        self._introduce = introduce
        #: Nodes to ask, oldest first.
        self._queue: dict[Node, None] = {}
        #: When an address that is not in the list was last asked.
        self._unlisted: Bounded[NodeURI, float] = Bounded(MAX_UNLISTED)
        #: Monotonic seconds when a node was last asked, and the nodes that are to be asked soon.
        self._asked: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        self._soon: WeakSet[Node] = WeakSet()
        #: Nodes that are to be asked for their list soon.
        self._to_list: WeakSet[Node] = WeakSet()
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
        if self._since_asked(node) >= CALLER_GAP:
            self.ask_for_list(node)

    def names_others(self, node: Node) -> None:
        """``node`` tells of others, or somebody does in its name: its answer has the same list if it is its
        own. Asked now, or as soon as it is decent: nobody may say that again."""
        since = self._since_asked(node)
        if since >= CALLER_GAP:
            self.ask_for_list(node)
        elif node not in self._to_list:
            self._to_list.add(node)
            self._runtime.call_later(CALLER_GAP - since, partial(self._list_due, node))

    def _list_due(self, node: Node) -> None:
        self._to_list.discard(node)
        if self._membership.nodes.get(node.uri) is node:
            self.ask_for_list(node)

    def ask_for_list(self, node: Node) -> None:
        """``node`` is active, and who asks for its list does so at a pace of his own."""
        if not self._stopped:
            self._asked[node] = self._runtime.now()
            self._ping(node)

    def hearsay(self, node: Node, lost_at: float | None) -> None:
        """Another node holds ``node`` active, or an operator named it. ``lost_at``: monotonic seconds when we
        gave it up, if it has answered nothing since."""
        node.vouched = True
        if lost_at is not None:
            self._found_dead(node, lost_at)
        elif self._since_asked(node) >= HEARSAY_GAP:
            self._enqueue(node)

    def _found_dead(self, node: Node, lost_at: float) -> None:
        """What we found dead others find dead too, a little later. One that says otherwise for longer has
        a way to it that we have not: that is for the watch, but may be asked out of its turn."""
        now = self._runtime.now()
        quiet = min(now - lost_at, self._since_asked(node))
        if not self._stopped and quiet >= LOST_GAP and self._budget.take(leave=RESERVE):
            self._asked[node] = now
            self._question(node, TIMEOUT, repeat=False)

    def removed(self, uri: NodeURI) -> None:
        """Another node lists an address that was removed here: ask it now and then, without listing it."""
        if self._may_be_asked(uri):
            self._ask_unlisted(uri)

    def suspect(self, uri: NodeURI) -> None:
        """A node that was asked for its list names one there that was never met here, and asks it in vain:
        maybe only that node does not hear it. It is asked as a removed one is, and within :data:`RATE`."""
        self._fill()
        if uri.endpoint is not None and self._tokens >= 1 and self._may_be_asked(uri):
            self._tokens -= 1
            self._ask_unlisted(uri)

    def _may_be_asked(self, uri: NodeURI) -> bool:
        asked = self._unlisted.get(uri, float("-inf"))
        return not self._stopped and self._runtime.now() - asked >= UNLISTED_GAP

    def _ask_unlisted(self, uri: NodeURI) -> None:
        self._unlisted[uri] = self._runtime.now()
        self._membership.nodes.asked.add(uri)
        self._post(Letter(KNOCK_CHANNEL, uri, b"", timeout=TIMEOUT), partial(self._unlisted_answered, uri))

    def missing(self, node: Node, timeout: float) -> None:
        """A notification address is not active: call it, waiting ``timeout`` seconds. Once: the next call is
        its repetition."""
        if not self._stopped:
            self._question(node, timeout, repeat=False)

    def look_again(self, node: Node) -> None:
        """It is the turn of a node that is not active: maybe it is back."""
        if not self._stopped:
            self._question(node, IDLE_TIMEOUT, repeat=False)

    def admit(self, node: Node) -> None:
        """The others know of ``node``, so it may have our list."""
        if not self._stopped and not node.active and self._membership.nodes.get(node.uri) is node:
            self._ping(node)

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

    def _fill(self) -> None:
        now = self._runtime.now()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now

    def _drain(self) -> None:
        self._fill()
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
        stranger = node.stranger
        self._question(node, STRANGER_TIMEOUT if stranger else TIMEOUT, repeat=not stranger)

    def _question(self, node: Node, timeout: float, *, repeat: bool) -> None:
        if node.ours and not node.stranger:
            self._ping(node, timeout, repeat=repeat)
        else:
            self._knock(node, timeout, partial(self._knocked, node, node.stranger), repeat=repeat)

    def _ping(self, node: Node, timeout: float = TIMEOUT, *, repeat: bool = True) -> None:
        # A notification address tells the others of us.
        hops = START_HOPS if node.seed and not node.active else PING_HOPS
        done = partial(self._answered, node)
        self._notification.ping(node, hops=hops, timeout=timeout, repeat=repeat, done=done)

    def _knock(self, node: Node, timeout: float, done: OnResponse, *, repeat: bool) -> None:
        self._post(Letter(KNOCK_CHANNEL, node.uri, b"", timeout=timeout, repeat=repeat), done)

    def _knocked(self, node: Node, again: bool, response: Response) -> None:
        """``again``: an unanswered question is worth another one, as it may have been lost."""
        if self._stopped or node.active or self._membership.nodes.get(node.uri) is not node:
            return
        if not response.local:
            node.proven = True
            if node.ours:
                self._ping(node)
            else:
                self._introduce(node)
        elif not node.stranger:
            self._membership.missed(node)
        elif again and response.status == 408:
            self._knock(node, STRANGER_TIMEOUT, partial(self._knocked, node, False), repeat=False)
        else:
            self._membership.drop_stranger(node)

    def _answered(self, node: Node, response: Response) -> None:
        """A Kamailio that calls but answers no ping is mute, not dead: its list outgrew its buffer."""
        if self._stopped or node.active or not response.local or response.status != 408:
            return
        if node.stranger:
            self._membership.drop_stranger(node)
        elif not node.ours and self._runtime.now() - self._contacts.last_call(node) <= CALL_AGE:
            self._knock(node, TIMEOUT, partial(self._mute_knocked, node), repeat=node.confirmed)

    def _mute_knocked(self, node: Node, response: Response) -> None:
        if not response.local:
            self._membership.judge(node, Evidence.ANSWERED)

    def _unlisted_answered(self, uri: NodeURI, response: Response) -> None:
        self._membership.nodes.asked.discard(uri)
        endpoint = uri.endpoint
        if response.local or endpoint is None:
            return
        node = self._membership.meet(node_uri(endpoint))
        if node is not None:
            node.vouched = True
            self._enqueue(node)
