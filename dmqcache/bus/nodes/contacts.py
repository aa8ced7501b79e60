"""Who calls: what a request says of its sender, and what becomes of a sender that nobody knows.

Owns the step from a From header and a source address to a node. A request alone never makes a node active:
its source can be forged, so whoever is not active and calls is asked back first (``verify.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from dmqcache.bus.admission import Admission
from dmqcache.bus.bounded import Bounded
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.membership import Membership
from dmqcache.bus.nodes.resolution import Addresses, node_uri
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.sip_message import SipMessage, SipRequest, SipResponse
from dmqcache.bus.sip.uri import Endpoint, NodeURI

#: Seconds between two looks at where a name leads now, for one caller that is not where it led before.
MOVED_GAP = 5.0
#: Such callers remembered.
MAX_MOVED = 256
#: Names whose addresses are being looked up at once. Each costs a thread of the resolver.
MAX_LOOKUPS = 64


def _calls_itself(node: Node, uri: NodeURI, written: str) -> None:
    """Note what a request calls its sender. Only its own answer makes a name true; an IP address is believed
    where nothing better is known, as it leads nowhere else."""
    node.calls_itself = written
    if not node.written and uri == node.uri:
        node.written = written


class Contacts:
    """Senders to nodes."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        addresses: Addresses,
        counters: BusCounters,
        verify: Callable[[Node], None],
        admission: Admission,
        sources: Iterable[tuple[NodeURI, str]] = (),
        complain: Callable[[Node, str], None] = lambda node, host: None,
    ) -> None:
        """``verify`` asks a node first-hand whether it is there. ``sources``: nodes and further addresses
        from which each sends, or its own one: from any port then. ``complain`` hears of a node in whose name
        another host or port speaks."""
        self._sources = frozenset(sources)
        self._complain = complain
        self._admission = admission
        self._runtime = runtime
        self._membership = membership
        self._addresses = addresses
        self._counters = counters
        self._verify = verify
        #: Names that are looked up, and the host that calls itself so; empty: another node told of the name.
        self._lookups: dict[NodeURI, str] = {}
        #: Monotonic seconds when a node last sent a request on the notification channel.
        self._calls: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        #: The header lines from which ``Node.supported`` was read.
        self._supported: WeakKeyDictionary[Node, list[str]] = WeakKeyDictionary()
        #: (name, host that calls itself so) -> when that was looked into.
        self._moved: Bounded[tuple[NodeURI, str], float] = Bounded(MAX_MOVED)

    def learn(self, node: Node, answer: SipResponse) -> None:
        """Note what an answer of ``node`` says about it. A refusal may be short, and then says nothing."""
        node.last_seen = self._runtime.now()
        self._learn_software(node, answer)
        if answer.status < 300 or "supported" in answer.headers:
            self._learn_supported(node, answer)

    def _learn_software(self, node: Node, message: SipMessage) -> None:
        agent = message.user_agent
        if agent and agent != node.user_agent:
            node.user_agent = agent

    def _learn_supported(self, node: Node, message: SipMessage) -> None:
        # Compared as text: every answer carries it, and it changes only with the software.
        supported = message.headers.get_all("supported")
        if supported != self._supported.get(node, []):
            self._supported[node] = supported
            node.supported = message.supported

    def _learn_from_call(self, node: Node, request: SipRequest) -> None:
        """The same of a request, which may be forged: what sort of node it is, and so what it is told, only
        until it has answered."""
        node.last_seen = self._runtime.now()
        if node.last_answer is None:
            self._learn_supported(node, request)
        if node.last_answer is None or not node.user_agent:
            self._learn_software(node, request)

    def sender(self, uri: NodeURI, written: str, source: Endpoint, message: SipRequest) -> Node | None:
        """The node that sent a request, if its source is the node's own address; else None, and whoever it
        is will be asked back. ``written``: ``uri`` letter by letter."""
        if not self._admission.covers(source, uri.host):
            self._counters.drops["sender_not_in_its_certificate"] += 1
            return None
        node = self._membership.nodes.get(uri)
        if node is None:
            self._stranger(uri, written, source, message)
            return None
        if node.local:
            return None
        if not self.is_at(node.uri, source.host, uri):
            self._elsewhere(node, uri, written, source, message)
            return None
        if source.transport == "udp" and not self._is_at_its_port(node, source, uri):
            self._counters.drops["sender_not_at_its_port"] += 1
            self._complain(node, f"{source.host} port {source.port}")
            return None
        _calls_itself(node, uri, written)
        self._learn_from_call(node, message)
        if not node.ours and node.life.heard(message.call_id, self._runtime.now()):
            self._membership.started(node)
        if not node.active:
            self._verify(node)
        return node

    def is_at(self, uri: NodeURI, host: str, name: NodeURI | None = None) -> bool:
        """Whether a node (``name``: what it calls itself) sends from a host: its own one, or one that an
        operator names."""
        return uri.host == host or (uri, host) in self._sources or (name, host) in self._sources

    def lost(self, node: Node) -> None:
        """``node`` is not active any more: when it is again, it may send from another port. A restart that
        was only heard of is no reason: who forges it would be the next to say which port that is."""
        node.sends_from = 0

    def _is_at_its_port(self, node: Node, source: Endpoint, name: NodeURI) -> bool:
        """Whether a node may send from that port of its host. One that has begun with its own port keeps to
        it: another process there, or whoever forges the address, is not this node. One that has begun with
        another may be behind a translator that changes ports."""
        if not node.sends_from:
            if node.active:
                node.sends_from = source.port
            return True
        own = node.uri.port
        if source.port == own or node.sends_from != own:
            return True
        return (node.uri, source.host) in self._sources or (name, source.host) in self._sources

    def called(self, node: Node) -> None:
        """``node`` sends a request on the notification channel."""
        self._calls[node] = self._runtime.now()

    def last_call(self, node: Node) -> float:
        """Monotonic seconds when ``node`` last did; minus infinity: never."""
        return self._calls.get(node, float("-inf"))

    def meet_named(self, uri: NodeURI, met: Callable[[Node], None], source: Endpoint | None = None) -> None:
        """Find and take in the node behind a URI of any form; ``met`` gets it, if there is one. With
        ``source``, where a caller really is, only if that is one of its addresses."""
        if uri in self._lookups:
            return
        if uri.endpoint is None:
            if len(self._lookups) >= MAX_LOOKUPS:
                self._counters.drops["too_many_lookups"] += 1
                return
            self._lookups[uri] = source.host if source is not None else ""
        self._addresses.find(uri, lambda endpoints: self._resolved(uri, endpoints, met, source))

    def looks_up(self, host: str) -> bool:
        """Whether a host calls that may soon turn out to be a node."""
        return bool(self._lookups) and host in self._lookups.values()

    def _stranger(self, uri: NodeURI, written: str, source: Endpoint, message: SipMessage) -> None:
        """Only a caller at the address that it names is met: else anybody could make us call anybody."""

        def met(node: Node) -> None:
            _calls_itself(node, uri, written)
            if node.stranger:
                # Which question suits it.
                node.supported = message.supported
            self.called(node)
            self._verify(node)

        self.meet_named(uri, met, source)

    def _elsewhere(
        self, node: Node, uri: NodeURI, written: str, source: Endpoint, message: SipMessage
    ) -> None:
        """A known node's URI comes from another host: forged, or a name that leads there by now."""
        self._counters.drops["sender_not_at_its_address"] += 1
        if node.confirmed:
            self._complain(node, source.host)
        now, key = self._runtime.now(), (uri, source.host)
        if uri.endpoint is not None or now - self._moved.get(key, float("-inf")) < MOVED_GAP:
            return
        self._moved[key] = now
        self._stranger(uri, written, source, message)

    def _resolved(
        self, uri: NodeURI, endpoints: list[Endpoint], met: Callable[[Node], None], source: Endpoint | None
    ) -> None:
        self._lookups.pop(uri, None)
        if not endpoints:
            self._counters.drops["unresolved"] += 1
            return
        if source is not None:
            endpoints = [
                endpoint for endpoint in endpoints if self.is_at(node_uri(endpoint), source.host, uri)
            ]
            if not endpoints:
                self._counters.drops["sender_not_at_its_address"] += 1
                return
        if any(self._membership.is_own(node_uri(endpoint)) for endpoint in endpoints):
            self._membership.add_own(uri)
            return
        node = self._membership.meet(node_uri(endpoints[0]), calls=source is not None)
        if node is not None:
            self._membership.nodes.name(node, uri)
            met(node)
