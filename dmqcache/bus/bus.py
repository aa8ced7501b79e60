"""The bus: builds its parts, and is what peers, nodes and operators talk to.

Owns wiring and the public face. Each part has its file: ``incoming.py`` and ``outgoing.py`` carry messages;
``notification.py`` with ``membership.py``, ``contacts.py``, ``join.py``, ``verify.py`` and ``probe.py`` know
who is there; ``dispatch.py`` runs handlers; ``events.py`` tells peers; ``leave.py`` says goodbye. No
I/O here: bytes come in by :meth:`Bus.receive`, go out by the ``send`` that it is given, and time is the
runtime's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.dispatch import Dispatcher
from dmqcache.bus.exchange.letter import Letter
from dmqcache.bus.exchange.replay import REMEMBERED, Replays
from dmqcache.bus.exchange.transaction import ClientTransactions, Outcome
from dmqcache.bus.incoming import Incoming
from dmqcache.bus.node import OWN_TAG, Node, NodeList, NodeStatus
from dmqcache.bus.nodes.contacts import Contacts, learn
from dmqcache.bus.nodes.events import Events
from dmqcache.bus.nodes.join import Joiner
from dmqcache.bus.nodes.leave import Farewell
from dmqcache.bus.nodes.membership import Membership
from dmqcache.bus.nodes.notification import CHANNEL as NOTIFICATION_CHANNEL
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.nodes.probe import FailureDetector
from dmqcache.bus.nodes.resolution import Addresses
from dmqcache.bus.nodes.verify import KNOCK_CHANNEL, Verifier
from dmqcache.bus.outgoing import Identity, Outgoing
from dmqcache.bus.peer import Message, OnResponse, Peer, Sending
from dmqcache.bus.runtime import Resolver, Runtime, Timer
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.timers import T1, T2, TIMEOUT

log = logging.getLogger(__name__)

#: Seconds. Kamailio documents no less; a lower setting is raised to it.
MIN_PING_INTERVAL = 60.0
#: Bytes of a node list that a Kamailio can build (its buffer has 1,024; longer ones are read well).
KAMAILIO_LIST_BYTES = 1_000
#: Failures of a transport that say nothing about the node at the other end, nor about other messages.
MESSAGE_FAULTS = frozenset({"too_large", "framing"})


@dataclass(frozen=True, slots=True)
class BusSettings:
    """How a bus behaves. Times are in seconds."""

    #: Our address as the others are told it: an IP address (a name is resolved before the bus is built).
    server_address: NodeURI
    #: Nodes through which to join.
    notification_addresses: tuple[NodeURI, ...] = ()
    #: How often every node gets our list.
    ping_interval: float = MIN_PING_INTERVAL
    #: Coroutine handlers that may run at once.
    num_workers: int = 2
    t1: float = T1
    t2: float = T2
    #: Until a message that nobody answers ends with a local 408.
    transaction_timeout: float = TIMEOUT
    #: How often one node, in turn, is asked whether it is there.
    probe_interval: float = 1.0
    user_agent: str = "dmqcache"
    #: Option tags that we show.
    supported: tuple[str, ...] = (OWN_TAG,)
    #: Further forms of our own address.
    aliases: tuple[NodeURI, ...] = ()


class Bus:
    """One node of a DMQ bus. Implements :class:`~dmqcache.bus.peer.PeerBus`."""

    def __init__(
        self,
        settings: BusSettings,
        runtime: Runtime,
        send: Callable[[bytes, Endpoint], None],
        resolver: Resolver,
        connected: Callable[[Endpoint], bool] = lambda endpoint: True,
    ) -> None:
        """``send`` takes the bytes of one message and never raises; ``connected`` tells whether a connection
        still stands. ValueError for an impossible address."""
        if settings.server_address.endpoint is None:
            raise ValueError(f"the server address must be an IP address, not {settings.server_address}")
        self.settings = settings
        self.counters = BusCounters()
        self._runtime = runtime
        self._send = send
        self._peers: dict[str, Peer] = {}
        self._housekeeping: Timer | None = None
        self._leaving = False
        self._closed = False
        self._warned_of_list = False
        identity = _identity(settings, runtime)
        self.local = _local_node(settings, runtime, identity)
        self.nodes = NodeList(self.local)
        ping_interval = _ping_interval(settings)
        addresses = Addresses(resolver)
        self._events = Events(runtime, self.counters)
        self._membership = Membership(runtime, self.nodes, self._events, self.counters, ping_interval)
        for alias in settings.aliases:
            self._membership.configure_own(alias)
        self._transactions = ClientTransactions(
            runtime, self._transmit, self.counters, t1=settings.t1, t2=settings.t2, on_silence=self._silence
        )
        self._outgoing = Outgoing(
            identity, runtime, self._transactions, addresses, self._membership, self.counters, self._evidence
        )
        self._contacts = Contacts(
            runtime, self._membership, addresses, self.counters, lambda node: self._verifier.caller(node)
        )
        self._notification = Notification(
            runtime, self._membership, self._contacts, self.counters, identity.instance
        )
        self._verifier = Verifier(runtime, self._membership, self._notification, self._outgoing.post)
        self._detector = FailureDetector(
            runtime,
            self._membership,
            self._notification,
            self._outgoing.post,
            settings.probe_interval,
            ping_interval,
        )
        self._joiner = Joiner(
            runtime,
            self._membership,
            self._notification,
            addresses,
            settings.notification_addresses,
            ping_interval,
        )
        self._replays = Replays(runtime.now, self.counters)
        self._dispatcher = Dispatcher(runtime, self.counters, settings.num_workers)
        self._incoming = Incoming(
            identity,
            self._peers,
            self._membership,
            self._contacts,
            self._transactions,
            self._replays,
            self._dispatcher,
            self.counters,
            self._transmit,
            connected,
        )
        self._connect()
        self.register_peer(self._notification)

    def _connect(self) -> None:
        """Who hears from whom."""
        self._membership.on_up = self._notification.node_up
        self._membership.on_lost = self._node_lost
        self._notification.is_suspect = self._detector.is_suspect
        self._notification.on_suspicion = self._detector.suspected
        self._notification.on_doubt = self._verifier.doubt
        self._notification.on_hearsay = self._verifier.hearsay
        self._notification.on_ghost = self._verifier.ghost

    # -- life

    def start(self) -> None:
        """Join the bus."""
        self._joiner.start()
        self._detector.start()
        self._housekeeping = self._runtime.call_later(REMEMBERED, self._keep_house)

    def leave(self, done: Callable[[], None]) -> None:
        """Tell all nodes that we go, wait up to a second for them, then call ``done``.

        Requests are answered until then; afterwards the bus is closed.
        """
        if self._leaving:
            return
        self._leaving = True
        self._joiner.stop()
        self._verifier.stop()
        self._detector.stop()

        def finish() -> None:
            if not self._closed:
                self.close()
                done()

        Farewell(self._runtime, self.nodes, self._notification, finish).start()

    def close(self) -> None:
        """Stop everything at once, without a word. Nothing is sent or handled any more."""
        self._closed = True
        self._joiner.stop()
        self._verifier.stop()
        self._detector.stop()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        self._transactions.cancel_all()
        self._dispatcher.close()

    # -- peers

    def register_peer(self, peer: Peer) -> None:
        """Let ``peer`` handle its channel and hear of nodes. ValueError if the channel is taken."""
        if not peer.channel or peer.channel in self._peers:
            raise ValueError(f"channel {peer.channel!r} is taken or empty")
        peer.bus = self
        self._peers[peer.channel] = peer
        self.counters.serve_channel(peer.channel)
        self._events.add_peer(peer, self.active_nodes)

    def send_message(
        self,
        peer: Peer,
        body: bytes,
        node: NodeURI,
        *,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
        timeout: float | None = None,
        fast: bool = False,
        repeat: bool = True,
    ) -> Sending:
        """See :meth:`dmqcache.bus.peer.PeerBus.send_message`."""
        wait = self.settings.transaction_timeout if timeout is None else timeout
        letter = Letter(peer.channel, node, body, content_type, max_forwards, wait, fast, repeat)
        return self._outgoing.post(letter, on_response)

    def bcast_message(
        self,
        peer: Peer,
        body: bytes,
        *,
        exclude: NodeURI | None = None,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
    ) -> int:
        """See :meth:`dmqcache.bus.peer.PeerBus.bcast_message`."""
        left_out = self.nodes.get(exclude) if exclude is not None else None
        receivers = [node for node in self.nodes.active() if node is not left_out]
        for node in receivers:
            self.send_message(
                peer,
                body,
                node.uri,
                content_type=content_type,
                on_response=on_response,
                max_forwards=max_forwards,
            )
        return len(receivers)

    # -- nodes

    def list_nodes(self) -> list[Node]:
        """Every known node, this one included."""
        return list(self.nodes)

    def active_nodes(self) -> list[Node]:
        """Every other node that is active."""
        return self.nodes.active()

    def is_from_node(self, origin: Message | Endpoint) -> bool:
        """Whether something came from the IP address of a node that has answered us, whatever the port (as
        Kamailio's ``dmq_is_from_node``): weak evidence, since a source address can be forged."""
        source = origin.source if isinstance(origin, Message) else origin
        return any(node.confirmed for node in self.nodes.on_host(source.host))

    def add_node(self, uri: NodeURI) -> None:
        """Ask a node first-hand; it is pending until it answers. Our own address changes nothing."""
        self._contacts.meet_named(uri, self._verifier.hearsay)

    def remove_node(self, uri: NodeURI) -> None:
        """Take a node out of the list. It comes back when it calls. LookupError if it is not there."""
        self._membership.remove(self._known(uri))

    def set_status(self, uri: NodeURI, status: NodeStatus) -> None:
        """Change a node's status by hand. LookupError if it is not there.

        ``disabled`` holds until it is changed again, any other status until there is evidence.
        """
        self._membership.set_status(self._known(uri), status)

    def _known(self, uri: NodeURI) -> Node:
        node = self.nodes.get(uri)
        if node is None:
            raise LookupError(f"{uri} is not in the node list")
        return node

    # -- the transport's side

    def receive(self, data: bytes, source: Endpoint) -> None:
        """Take one whole message that came from ``source``. Never raises."""
        if self._closed:
            self.counters.drops["closed"] += 1
        else:
            self._incoming.receive(data, source)

    def transport_failed(self, endpoint: Endpoint, reason: str) -> None:
        """Something sent to ``endpoint`` was refused or could not leave: all that is under way there ends
        with a local 503, and the node is looked at more closely. Unless one message was at fault."""
        if reason in MESSAGE_FAULTS:
            return
        self._transactions.transport_failed(endpoint)
        node = self.nodes.at(endpoint)
        if node is not None and not node.local:
            self._detector.refused(node)

    def _transmit(self, data: bytes, endpoint: Endpoint) -> None:
        if not self._closed:
            self._send(data, endpoint)

    # -- what happens

    def _evidence(self, node: Node, channel: str, outcome: Outcome) -> None:
        """A letter to ``node`` has ended: what does that say of it?"""
        answer = outcome.response
        if answer is None:
            unheard = node.last_answer is None or node.last_answer < outcome.sent_at
            if outcome.status == 408 and unheard:
                self._detector.unanswered(node)
            return
        now = self._runtime.now()
        learn(node, answer, now)
        if outcome.rtt is not None:
            node.rtt.sample(outcome.rtt)
        if channel == NOTIFICATION_CHANNEL and outcome.status not in (200, 202, 503):
            # It speaks SIP, but knows nothing of the bus.
            self._detector.unanswered(node)
            return
        node.last_answer = now
        self._detector.answered(node)
        if not node.active and channel not in (NOTIFICATION_CHANNEL, KNOCK_CHANNEL):
            self._verifier.caller(node)

    def _silence(self, endpoint: Endpoint) -> None:
        node = self.nodes.at(endpoint)
        if node is not None:
            self._detector.unanswered(node)

    def _node_lost(self, node: Node) -> None:
        self._detector.forget(node)
        self._joiner.lost(node)

    def _keep_house(self) -> None:
        self._housekeeping = self._runtime.call_later(REMEMBERED, self._keep_house)
        self._replays.rotate()
        self._warn_of_list()

    def _warn_of_list(self) -> None:
        """Once: from about twenty nodes on, a Kamailio cannot build its own list any more."""
        foreign = next((node for node in self.active_nodes() if not node.ours), None)
        if foreign is None or self._warned_of_list:
            return
        size = len(self._notification.body_for(foreign))
        if size > KAMAILIO_LIST_BYTES:
            self._warned_of_list = True
            log.warning(
                "the node list (%d bytes) is longer than a Kamailio can send: expect %s not to answer pings",
                size,
                foreign.uri,
            )


def _ping_interval(settings: BusSettings) -> float:
    if settings.ping_interval < MIN_PING_INTERVAL:
        log.warning("ping_interval %g s is raised to %g s", settings.ping_interval, MIN_PING_INTERVAL)
    return max(settings.ping_interval, MIN_PING_INTERVAL)


def _identity(settings: BusSettings, runtime: Runtime) -> Identity:
    return Identity(
        settings.server_address,
        settings.user_agent,
        settings.supported,
        instance=runtime.token()[:8],
        call_id_prefix=f"{runtime.token()}-",
        tag=runtime.token(),
    )


def _local_node(settings: BusSettings, runtime: Runtime, identity: Identity) -> Node:
    return Node(
        uri=settings.server_address,
        status=NodeStatus.ACTIVE,
        endpoint=settings.server_address.endpoint,
        local=True,
        confirmed=True,
        user_agent=settings.user_agent,
        supported=frozenset(settings.supported),
        instance=identity.instance,
        since=runtime.now(),
    )
