"""Who is there: builds the parts of this room, and carries word from one to another.

Owns the wiring, and what an answer, a silence and a refusal mean for the node at the other end. The rules for
a node's status are ``membership.py``'s; lists, ``notification.py``'s; when to ask, that of ``join.py``,
``verify.py`` and ``probe.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from dmqcache.bus.admission import Admission
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.exchange.letter import Post
from dmqcache.bus.exchange.transaction import Outcome
from dmqcache.bus.node import Node, NodeList
from dmqcache.bus.nodes.budget import Budget
from dmqcache.bus.nodes.complaints import Complaints
from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.nodes.events import Events
from dmqcache.bus.nodes.introduce import Introductions
from dmqcache.bus.nodes.join import Joiner
from dmqcache.bus.nodes.leave import Farewell
from dmqcache.bus.nodes.membership import Membership
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.nodes.probe import FailureDetector
from dmqcache.bus.nodes.resolution import Addresses, node_uri
from dmqcache.bus.nodes.verify import KNOCK_CHANNEL, Verifier
from dmqcache.bus.peer import Later, Reply
from dmqcache.bus.runtime import Resolver, Runtime
from dmqcache.bus.sip.uri import Endpoint, NodeURI

#: Answers on the notification channel that only a node of the bus gives; 503: it is one, and is busy.
BUS_ANSWERS = (200, 202, 503)


class Directory:
    """The nodes of the bus, for everybody above this room.

    Also the one listener of its parts: each tells it what happened, and it tells whom that concerns
    (:class:`~dmqcache.bus.nodes.membership.MembershipListener`,
    :class:`~dmqcache.bus.nodes.notification.NotificationListener`).
    """

    def __init__(
        self,
        local: Node,
        settings: BusSettings,
        runtime: Runtime,
        resolver: Resolver,
        post: Post,
        counters: BusCounters,
        admission: Admission,
    ) -> None:
        """``post`` sends a letter."""
        self._runtime = runtime
        self.nodes = NodeList(local)
        self.addresses = Addresses(resolver, admission, counters, settings.serves)
        self.events = Events(runtime, counters)
        self.membership = Membership(
            runtime,
            self.nodes,
            self.events,
            counters,
            settings.ping_interval,
            self,
            settings.remove_inactive,
        )
        for alias in settings.aliases:
            self.membership.configure_own(alias)
        self._complaints = Complaints(
            runtime, local.uri, settings.notification_channel, lambda node: self._verifier.ask_for_list(node)
        )
        self.tls_fails = self._complaints.tls_fails
        self.contacts = Contacts(
            runtime,
            self.membership,
            self.addresses,
            counters,
            self.caller,
            admission,
            settings.sources,
            self._complaints.sends_from,
        )
        self.notification = Notification(
            runtime,
            self.membership,
            self.contacts,
            counters,
            local.instance,
            self,
            self._complaints,
            settings.notification_channel,
        )
        self._introductions = Introductions(
            runtime, self.membership, self.notification, lambda node: self._verifier.admit(node)
        )
        budget = Budget(runtime.now)
        self._verifier = Verifier(
            runtime,
            self.membership,
            self.contacts,
            self.notification,
            budget,
            post,
            self._introductions.introduce,
        )
        self._detector = FailureDetector(
            runtime,
            self.membership,
            self.notification,
            post,
            budget,
            settings.probe_interval,
            settings.ping_interval,
            self._verifier.look_again,
        )
        self._joiner = Joiner(
            runtime,
            self.membership,
            self._verifier.missing,
            self.addresses,
            budget,
            settings.notification_addresses,
            settings.ping_interval,
        )

    # -- life

    def start(self) -> None:
        """Join the bus and begin to watch it."""
        self._joiner.start()
        self._detector.start()

    def leave(self, done: Callable[[], None]) -> None:
        """Say goodbye to all nodes; ``done`` when they have heard, or have had time enough."""
        self.stop()
        Farewell(self._runtime, self.nodes, self.notification, done).start()

    def stop(self) -> None:
        """Ask nobody anything more."""
        self._joiner.stop()
        self._verifier.stop()
        self._detector.stop()

    def keep_house(self) -> None:
        """Now and then."""
        self.notification.warn_of_length()
        self._complaints.keep_house()

    # -- what operators and programs want

    def add(self, uri: NodeURI) -> None:
        """Ask a node first-hand; it is pending until it answers."""
        self.contacts.meet_named(uri, self.heard_of)

    def known(self, uri: NodeURI) -> Node:
        """The node with this URI. LookupError if there is none."""
        node = self.nodes.get(uri)
        if node is None:
            raise LookupError(f"{uri} is not in the node list")
        return node

    # -- evidence

    def answered(self, node: Node, channel: str, outcome: Outcome) -> None:
        """A letter to ``node`` has ended: what does that say of it?"""
        answer = outcome.response
        if answer is None:
            unheard = node.last_answer is None or node.last_answer < outcome.sent_at
            if outcome.status == 408 and unheard:
                node.unanswered += 1
                self._detector.unanswered(node)
            return
        before = node.kind
        self.contacts.learn(node, answer)
        if outcome.rtt is not None:
            node.rtt.sample(outcome.rtt)
        if channel == self.notification.channel and outcome.status not in BUS_ANSWERS:
            # It speaks SIP, but knows nothing of the bus.
            self._complaints.refused(node, outcome.status)
            self._detector.unanswered(node)
            return
        node.last_answer = self._runtime.now()
        node.unanswered = 0
        self._detector.answered(node)
        self.membership.answers(node, outcome.sent_at)
        if node.kind != before and not node.instance:
            # Another software runs there by now; a list tells of an instance itself.
            self.membership.restarted(node)
        if not node.active and channel not in (self.notification.channel, KNOCK_CHANNEL):
            self._verifier.caller(node)

    def heard(self, endpoint: Endpoint) -> None:
        """Something came from ``endpoint`` that says nothing else."""
        node = self.nodes.at(endpoint)
        if node is not None:
            node.last_seen = self._runtime.now()

    def sent_to_ourselves(self, endpoint: Endpoint) -> bool:
        """A request of ours to ``endpoint`` came back: whether that is another address of ours. Not a node
        that has ever answered us, since we do not answer ourselves: it only sends back what it was sent."""
        node = self.nodes.at(endpoint)
        if node is not None and node.confirmed:
            return False
        self.membership.add_own(node_uri(endpoint))
        return True

    def silent(self, endpoint: Endpoint) -> None:
        """Whoever listens at ``endpoint`` lets a request wait."""
        node = self.nodes.at(endpoint)
        if node is not None:
            self._detector.unanswered(node)

    def refused(self, endpoint: Endpoint) -> None:
        """What was sent to ``endpoint`` was refused or could not leave."""
        node = self.nodes.at(endpoint)
        if node is not None and not node.local:
            self._detector.refused(node)

    def caller(self, node: Node) -> None:
        """``node`` calls and is not active."""
        self._verifier.caller(node)

    # -- as the listener of membership

    def node_up(self, node: Node) -> None:
        """See :class:`~dmqcache.bus.nodes.membership.MembershipListener`."""
        self.notification.node_up(node)

    def node_lost(self, node: Node) -> None:
        """See :class:`~dmqcache.bus.nodes.membership.MembershipListener`."""
        self.contacts.lost(node)
        self._detector.forget(node)
        self._joiner.lost(node)

    # -- as the listener of notification

    def suspicion(self, node: Node) -> int:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        return self._detector.suspicion(node)

    def is_newcomer(self, node: Node) -> bool:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        return self._introductions.is_newcomer(node)

    def joins(self, uri: NodeURI, host: str, node: Node | None) -> Reply | Later:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        return self._introductions.joins(uri, host, node)

    def suspected(self, node: Node, teller: Node, questions: int) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._detector.suspected(node, teller, questions)

    def trusted(self, node: Node, teller: Node) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._detector.trusted(node, teller)

    def suspected_ourselves(self, teller: Node, questions: int) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._detector.suspected_ourselves(teller, questions)

    def doubted(self, node: Node) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._verifier.doubt(node)

    def names_others(self, teller: Node) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._verifier.names_others(teller)

    def heard_of(self, node: Node) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._verifier.hearsay(node, self._detector.lost_at(node))

    def heard_of_removed(self, uri: NodeURI) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._verifier.removed(uri)

    def heard_of_suspect(self, uri: NodeURI) -> None:
        """See :class:`~dmqcache.bus.nodes.notification.NotificationListener`."""
        self._verifier.suspect(uri)
