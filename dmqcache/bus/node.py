"""The nodes of the bus as this one knows them.

Owns the record of a node and the list with its indexes. Why a status changes is ``membership.py``'s
business; that a node is silent is noticed by ``probe.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.timers import RoundTrip

#: Names that one node is remembered under; the one learnt first is forgotten first.
MAX_NAMES = 8
#: The option tag by which nodes of this software know each other; the number is that of the wire.
OWN_TAG = "dmqcache-2"
_WIRE = re.compile(r"dmqcache-\d{1,4}")
#: The number in a Kamailio's Call-ID (``7df63fa2385a193d-18446@192.0.2.1``): all its processes count up from
#: one, which is drawn at each start. One of 32 bits tells nothing, nor does the short Call-ID of a message
#: without a transaction (``sl_send``).
_CALL_ID = re.compile(r"([0-9a-f]{16})-\d{1,10}@.{1,100}")
#: No process counts so far; of two numbers that were drawn, one pair in millions is nearer.
SAME_LIFE = 1 << 40


def other_wire(supported: frozenset[str]) -> str | None:
    """The option tag of a node of this software that speaks another wire than this one; None: it is none."""
    if OWN_TAG in supported:
        return None
    return next((tag for tag in sorted(supported) if _WIRE.fullmatch(tag)), None)


class NodeStatus(StrEnum):
    """Kamailio 5's words. Only the first two ever go on the wire (see ``node_lines.py``)."""

    #: It answers: it gets broadcasts and stands in our list.
    ACTIVE = "active"
    #: It said goodbye, or an operator disabled it.
    DISABLED = "disabled"
    #: It answered once and does not any more.
    TIMEOUT = "timeout"
    #: It never answered us: hearsay, a stranger, or a notification address that is missing.
    PENDING = "pending"


class Trouble(StrEnum):
    """What may be wrong with a node that answers, as the metric has it: silence one way."""

    #: It answers our node list with a refusal: no route, or another channel.
    REFUSES_LIST = "refuses_list"
    #: Its own list leaves us out: it sends us nothing.
    UNLISTED = "unlisted"
    #: Its requests come from another address: they are refused.
    SENDS_FROM_ELSEWHERE = "sends_from_elsewhere"
    #: TLS handshakes with it fail; of the node itself: its own certificate is wrong.
    TLS_FAILS = "tls_fails"


@dataclass(slots=True)
class Life:
    """How often a Kamailio was seen to have been restarted, as its Call-IDs tell."""

    count: int = 0
    #: Monotonic seconds: when a Call-ID last told that.
    told_at: float = float("-inf")
    _number: int = -1
    #: No other was near the last one yet.
    _is_lone: bool = False

    def heard(self, call_id: str, now: float) -> bool:
        """A request has come: whether it is the first of a new life."""
        found = _CALL_ID.fullmatch(call_id)
        if found is None:
            return False
        number, before = int(found[1], 16), self._number
        self._number = number
        if before < 0 or abs(number - before) < SAME_LIFE:
            self._is_lone, self.told_at = False, now
            return False
        # Where each is another, they are drawn anew each time and tell nothing.
        if self._is_lone:
            return False
        self._is_lone, self.told_at = True, now
        self.count += 1
        return True


@dataclass(slots=True, eq=False, weakref_slot=True)
class Node:
    """One node. Two records are the same node only if they are the same object.

    What a part of the bus notes about a node for itself alone, it keeps in a book of its own.
    """

    #: Canonical: an IP address, the port, the transport. Unique in the list.
    uri: NodeURI
    status: NodeStatus = NodeStatus.PENDING
    #: Where to send. Never None for a node in the list: names are resolved before a node is added.
    endpoint: Endpoint | None = None
    #: Stands behind a configured notification address: never removed.
    seed: bool = False
    #: This very node.
    local: bool = False
    #: An operator disabled it: evidence does not change that.
    held: bool = False
    #: It answered a message of ours at its address, so the address is its own.
    confirmed: bool = False
    #: It answered a knock: its address is its own, but whether it is a node of the bus is not known yet.
    proven: bool = False
    #: What is wrong with it as seen from here, in words for an operator: see ``nodes/complaints.py``.
    trouble: dict[Trouble, str] = field(default_factory=dict)
    #: Monotonic seconds: its list last left us out, so that what was written there did not come here.
    left_out_at: float | None = None
    #: A node that has answered us lists it, or an operator named it.
    vouched: bool = False
    #: Its ``User-Agent`` or ``Server`` when last heard, maybe empty.
    user_agent: str = ""
    #: Its ``Supported`` option tags when last heard.
    supported: frozenset[str] = frozenset()
    #: Drawn at each start of a dmqcache node; empty for others.
    instance: str = ""
    #: Monotonic seconds: anything at all came from it.
    last_seen: float | None = None
    #: Monotonic seconds: it answered one of our messages.
    last_answer: float | None = None
    #: Messages of ours in a row that it left unanswered (Kamailio's ``fail_count``).
    unanswered: int = 0
    #: Its restarts, as far as they were seen: for a Kamailio that was not missed meanwhile.
    life: Life = field(default_factory=Life)
    #: Monotonic seconds: it last sent a start-up notification, as a Kamailio does (ours draw an instance), or
    #: its Call-IDs told of a start.
    started: float | None = None
    #: The UDP port of its first request since it is active; 0: none came. Here, as each request asks for it.
    sends_from: int = 0
    #: Monotonic seconds when the status began.
    since: float = 0.0
    rtt: RoundTrip = field(default_factory=RoundTrip)
    #: Host names under which it was met (a Kamailio's own server_address, a notification address).
    #: In the order in which they were learnt.
    names: dict[NodeURI, None] = field(default_factory=dict)
    #: What its last request called it, letter by letter (``sip:kam.example:5060``). May be forged.
    calls_itself: str = ""
    #: The same, first-hand: it stands in its own answers. Under any other form of its address a Kamailio
    #: takes itself, and others take it, for one more node. Empty: not known yet.
    written: str = ""

    @property
    def active(self) -> bool:
        """Whether it gets broadcasts."""
        return self.status is NodeStatus.ACTIVE

    @property
    def stranger(self) -> bool:
        """Whether nothing but its own calls speaks for it: their address may be forged, and a victim's."""
        known = self.confirmed or self.proven or self.vouched or self.seed or self.held or self.local
        return not known and self.last_answer is None

    @property
    def kind(self) -> str | None:
        """The tag of the wire that it speaks, if it runs this software; None: it is another one."""
        return OWN_TAG if self.ours else other_wire(self.supported)

    @property
    def ours(self) -> bool:
        """Whether it runs this software."""
        return OWN_TAG in self.supported


class NodeList:
    """All known nodes, this one included, in the order in which they were met.

    Invariants: each name and each endpoint leads to one node; the local node is always there.
    """

    def __init__(self, local: Node) -> None:
        self.local = local
        self._nodes: dict[NodeURI, Node] = {}
        self._names: dict[NodeURI, Node] = {}
        self._endpoints: dict[Endpoint, Node] = {}
        self._hosts: dict[str, list[Node]] = {}
        #: Addresses that are no nodes here unless they answer the question that is on its way to them.
        self.asked: set[NodeURI] = set()
        self.add(local)

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __contains__(self, uri: NodeURI) -> bool:
        return self.get(uri) is not None

    def get(self, uri: NodeURI) -> Node | None:
        """The node with this URI, or met under this name."""
        return self._nodes.get(uri) or self._names.get(uri)

    def at(self, endpoint: Endpoint) -> Node | None:
        """The node that listens at an endpoint."""
        return self._endpoints.get(endpoint)

    def on_host(self, host: str) -> Sequence[Node]:
        """The other nodes at this IP address, whatever their ports."""
        return self._hosts.get(host, ())

    def is_shown(self, host: str) -> bool | None:
        """Whether something else than its own calls speaks for a host; None: nobody there was ever met."""
        nodes = self._hosts.get(host)
        if not nodes:
            return None
        return any(not node.stranger for node in nodes)

    def add(self, node: Node) -> None:
        """Take in a new node. ValueError if its URI is taken."""
        if node.uri in self._nodes:
            raise ValueError(f"{node.uri} is in the list already")
        self._nodes[node.uri] = node
        for name in node.names:
            self._names[name] = node
        if node.endpoint is not None:
            self._endpoints[node.endpoint] = node
            if not node.local:
                self._hosts.setdefault(node.endpoint.host, []).append(node)

    def name(self, node: Node, name: NodeURI) -> None:
        """Remember that ``node`` is also known as ``name``; a name moves if it meant another node before."""
        if name == node.uri:
            return
        before = self._names.get(name)
        if before is not None and before is not node:
            before.names.pop(name, None)
        node.names[name] = None
        self._names[name] = node
        if len(node.names) > MAX_NAMES:
            oldest = next(iter(node.names))
            del node.names[oldest], self._names[oldest]

    def remove(self, node: Node) -> None:
        """Forget a node. The local one stays."""
        if node.local or self._nodes.get(node.uri) is not node:
            return
        del self._nodes[node.uri]
        for name in node.names:
            self._names.pop(name, None)
        if node.endpoint is not None:
            self._endpoints.pop(node.endpoint, None)
            there = self._hosts[node.endpoint.host]
            there.remove(node)
            if not there:
                del self._hosts[node.endpoint.host]

    def others(self) -> list[Node]:
        """Every node but this one."""
        return [node for node in self if not node.local]

    def active(self) -> list[Node]:
        """Every other node that is active."""
        return [node for node in self if node.status is NodeStatus.ACTIVE and not node.local]
