"""The bus: builds its parts, and is what peers, nodes and operators talk to.

Owns the public face. ``incoming.py`` and ``outgoing.py`` carry messages; ``nodes/directory.py`` knows who is
there; ``exchange/`` has the workers, the memory of answers and the requests under way. No I/O here: bytes
come in by :meth:`Bus.receive`, go out by the ``send`` that it is given, and time is the runtime's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmqcache.bus.admission import Admission
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.delivery import Delivery
from dmqcache.bus.exchange.answers import Answers
from dmqcache.bus.exchange.dispatch import Dispatcher
from dmqcache.bus.exchange.letter import Letter, Posted
from dmqcache.bus.exchange.repayment import Repayment
from dmqcache.bus.exchange.replay import REMEMBERED, Replays
from dmqcache.bus.exchange.transaction import ClientTransactions
from dmqcache.bus.identity import Identity
from dmqcache.bus.incoming import Incoming
from dmqcache.bus.node import Node, NodeStatus
from dmqcache.bus.nodes.directory import Directory
from dmqcache.bus.outgoing import Outgoing
from dmqcache.bus.peer import Message, OnResponse, Peer, Sending
from dmqcache.bus.runtime import Resolver, Runtime, Timer
from dmqcache.bus.sip.uri import DEFAULT_PORT, Endpoint, NodeURI
from dmqcache.bus.trust.guard import Guard, KeyPolicy
from dmqcache.bus.trust.standing import Standing

#: Failures of a transport that are about one message alone: its node and other messages may be well.
MESSAGE_FAULTS = frozenset({"too_large"})
#: Those that end a connection with all that was under way on it. Its node may be well.
CONNECTION_FAULTS = frozenset({"framing"})


class Bus:
    """One node of a DMQ bus. Implements :class:`~dmqcache.bus.peer.PeerBus`."""

    def __init__(
        self,
        settings: BusSettings,
        runtime: Runtime,
        send: Callable[[bytes, Endpoint], None],
        resolver: Resolver,
        connected: Callable[[Endpoint], bool] = lambda endpoint: True,
        admission: Admission | None = None,
        key: KeyPolicy | None = None,
    ) -> None:
        """``send`` takes the bytes of one message and never raises; ``connected`` tells whether a connection
        still stands; ``admission`` who may be a node (default: everybody); ``key`` with what they sign.
        ValueError for an impossible address."""
        self.settings = settings = settings.checked()
        self.counters = BusCounters(known_channels=settings.known_channels)
        self._runtime = runtime
        self._peers: dict[str, Peer] = {}
        self._housekeeping: Timer | None = None
        self._leaving = False
        self._closed = False
        identity = self._identity = Identity.drawn(settings, runtime)
        self.guard = guard = Guard(key, runtime, self.counters)
        self.local = _local_node(settings, identity, runtime.now())
        self._directory = Directory(
            self.local,
            settings,
            runtime,
            resolver,
            self._post,
            self.counters,
            admission or Admission(),
        )
        self.nodes = self._directory.nodes
        self._sources = frozenset(host for uri, source in settings.sources for host in (uri.host, source))
        self._repayment = Repayment(runtime, self._is_shown, self.counters, send)
        self._transactions = ClientTransactions(
            runtime,
            self._transmit,
            self.counters,
            t1=settings.t1,
            t2=settings.t2,
            on_silence=self._directory.silent,
            sources=[(uri.host, host) for uri, host in settings.sources],
            counts=self.guard.counts,
        )
        self._outgoing = Outgoing(
            identity, runtime, self._transactions, self._directory, self.counters, guard
        )
        self._replays = Replays(runtime.now, self.counters)
        self._dispatcher = Dispatcher(runtime, self.counters, settings.num_workers)
        self._answers = Answers(
            identity,
            self._replays,
            self.counters,
            self._transmit,
            connected,
            guard,
            self._repayment.fits,
        )
        self._incoming = Incoming(
            identity.call_id_prefix,
            self._transactions,
            self._answers,
            Delivery(self._peers, self._directory, self._dispatcher, self.counters, guard),
            self._directory,
            self.counters,
            guard,
        )
        self.register_peer(self._directory.notification)

    # -- life

    def start(self) -> None:
        """Join the bus."""
        self._directory.start()
        self._housekeeping = self._runtime.call_later(REMEMBERED, self._keep_house)

    def leave(self, done: Callable[[], None]) -> None:
        """Tell all nodes that we go, wait up to a second for them, then call ``done``.

        Requests are answered until then; afterwards the bus is closed.
        """
        if self._leaving:
            return
        self._leaving = True

        def finish() -> None:
            if not self._closed:
                self.close()
                done()

        self._directory.leave(finish)

    def close(self) -> None:
        """Stop everything at once, without a word. Nothing is sent or handled any more."""
        self._closed = True
        self._directory.stop()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        self._transactions.cancel_all()
        self._dispatcher.close()
        self._directory.events.stop()

    # -- peers

    def register_peer(self, peer: Peer) -> None:
        """Let ``peer`` handle its channel and hear of nodes. ValueError if the channel is taken."""
        if not peer.channel or peer.channel in self._peers:
            raise ValueError(f"channel {peer.channel!r} is taken or empty")
        peer.bus = self
        peer.runtime = self._runtime
        self._peers[peer.channel] = peer
        self._show(peer.option_tags)
        self.counters.serve_channel(peer.channel)
        self._directory.events.add_peer(peer, self.active_nodes)

    def _show(self, tags: Sequence[str]) -> None:
        """From now on all messages have these option tags too."""
        identity = self._identity = self._identity.showing(tags)
        self.local.supported = frozenset(identity.supported)
        self._outgoing.speak_as(identity)
        self._answers.speak_as(identity)

    def send_message(
        self,
        peer: Peer,
        body: bytes,
        node: NodeURI | str,
        *,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
        timeout: float | None = None,
        fast: bool = False,
        repeat: bool = True,
        on_late: Callable[[], None] | None = None,
    ) -> Sending:
        """See :meth:`dmqcache.bus.peer.PeerBus.send_message`."""
        wait = self.settings.transaction_timeout if timeout is None else timeout
        letter = Letter(peer.channel, _uri(node), body, content_type, max_forwards, wait, fast, repeat)
        return self._outgoing.post(letter, on_response, on_late)

    def bcast_message(
        self,
        peer: Peer,
        body: bytes,
        *,
        exclude: NodeURI | str | None = None,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
    ) -> int:
        """See :meth:`dmqcache.bus.peer.PeerBus.bcast_message`."""
        left_out = self.nodes.get(_uri(exclude)) if exclude is not None else None
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

    def lost_nodes(self) -> list[Node]:
        """Nodes that stopped answering so long ago that they are off the list: until they answer or say
        goodbye, or :meth:`remove_node` takes them away. Nothing is sent to them."""
        return list(self._directory.membership.lost.values())

    def is_from_node(self, origin: Message | Endpoint) -> bool:
        """Whether something came from the IP address of a node that has answered us, whatever the port (as
        Kamailio's ``dmq_is_from_node``): weak evidence, since a source address can be forged."""
        source = origin.source if isinstance(origin, Message) else origin
        return any(node.confirmed for node in self.nodes.on_host(source.host))

    def has_left(self, endpoint: Endpoint) -> bool:
        """Whether a node at an endpoint said goodbye, or was disabled here."""
        return any(node.status is NodeStatus.DISABLED for node in self.nodes if node.endpoint == endpoint)

    def names_at(self, endpoint: Endpoint) -> list[str]:
        """The hosts by which the nodes at an endpoint are known, names and addresses."""
        return [
            name.host for node in self.nodes if node.endpoint == endpoint for name in (node.uri, *node.names)
        ]

    def add_node(self, uri: NodeURI | str) -> None:
        """Ask a node first-hand; it is pending until it answers. Our own address changes nothing."""
        self._directory.add(_uri(uri))

    def remove_node(self, uri: NodeURI | str) -> None:
        """Take a node out of the list, or out of those that are lost. It comes back when it calls.
        LookupError if it is in neither."""
        membership, uri = self._directory.membership, _uri(uri)
        forgotten = membership.forget_lost(uri)
        if uri in self.nodes or not forgotten:
            membership.remove(self._directory.known(uri))

    def key_standing(self, node: Node) -> str:
        """How a node stands to the bus's key: ``yes`` (it signs), ``no``, ``other``, ``bad``, ``kamailio``
        (it is listed and needs none), ``?`` (not known yet); without a key ``wanted`` (of us) or ``-``."""
        if node.local:
            return str(Standing.SIGNS) if self.guard.signer is not None else "-"
        standing = self.guard.standings.of(node.endpoint)
        if standing is not None:
            return str(standing)
        if self.guard.signer is None:
            return "-"
        return "kamailio" if self.guard.lists(node.uri.host) else "?"

    def turned_away(self) -> list[tuple[NodeURI, str, float]]:
        """Who is no node here and was turned away lately for want of the key: where from, how it stands to
        the key, and when it was last heard (monotonic seconds)."""
        found = self.guard.standings.turned_away() if self.guard.required else []
        return [
            (NodeURI(at.host, at.port or DEFAULT_PORT, at.transport), str(noted.standing), noted.seen)
            for at, noted in found
            if self.nodes.at(at) is None
        ]

    def set_status(self, uri: NodeURI | str, status: NodeStatus) -> None:
        """Change a node's status by hand. LookupError if it is not there.

        ``disabled`` holds until it is changed again, any other status until there is evidence.
        """
        self._directory.membership.set_status(self._directory.known(_uri(uri)), status)

    # -- the transport's side

    def receive(self, data: bytes, source: Endpoint) -> None:
        """Take one whole message that came from ``source``. Never raises."""
        if self._closed:
            self.counters.drops["closed"] += 1
        else:
            self._repayment.came(len(data), source)
            self._incoming.receive(data, source)
            self._repayment.settle()

    def transport_failed(self, endpoint: Endpoint, reason: str) -> None:
        """Something sent to ``endpoint`` was refused or could not leave: all that is under way there ends
        with a local 503, and the node is looked at more closely. Not so where one message was at fault, or
        the connection alone."""
        if reason in MESSAGE_FAULTS:
            return
        self._transactions.transport_failed(endpoint)
        if reason not in CONNECTION_FAULTS:
            self._directory.refused(endpoint)

    def was_sent(self, quote: bytes, endpoint: Endpoint) -> bool:
        """Whether these first bytes of a datagram are those of a request of ours that is on its way there."""
        return self._transactions.is_under_way(quote, endpoint)

    def tls_failed(self, endpoint: Endpoint, why: str) -> None:
        """A TLS handshake with whoever is at ``endpoint`` failed; ``why``: in words for an operator. Empty:
        one with its host succeeded, and something came."""
        for node in self.nodes.on_host(endpoint.host):
            if not why or node.endpoint == endpoint:
                self._directory.tls_fails(node, why)

    def _transmit(self, data: bytes, endpoint: Endpoint) -> None:
        if not self._closed:
            self._repayment.send(data, endpoint)

    def _is_shown(self, host: str) -> bool | None:
        """Whether somebody is known to be at a host, or named by an operator: see :class:`Repayment`."""
        if host in self._sources or self.guard.lists(host):
            return True
        shown = self.nodes.is_shown(host)
        return False if shown is None and self._directory.contacts.looks_up(host) else shown

    def _post(self, letter: Letter, on_response: OnResponse | None = None) -> Posted:
        return self._outgoing.post(letter, on_response)

    def _keep_house(self) -> None:
        self._housekeeping = self._runtime.call_later(REMEMBERED, self._keep_house)
        self._replays.rotate()
        self._directory.keep_house()


def _uri(node: NodeURI | str) -> NodeURI:
    """The address of a node in either form that a program may give."""
    return NodeURI.parse(node) if isinstance(node, str) else node


def _local_node(settings: BusSettings, identity: Identity, now: float) -> Node:
    return Node(
        uri=settings.server_address,
        status=NodeStatus.ACTIVE,
        endpoint=settings.server_address.endpoint,
        local=True,
        confirmed=True,
        user_agent=settings.user_agent,
        supported=frozenset(settings.supported),
        instance=identity.instance,
        since=now,
    )
