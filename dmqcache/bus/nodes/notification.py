"""The ``notification_peer`` channel: who is there, as an ordinary peer of the bus.

Owns what lists say and who is told which list. What that means for a node is judged by ``membership.py``;
when to ask is for ``join.py`` (notification addresses), ``verify.py`` (nodes heard of) and ``probe.py``.

Gossip (Kamailio's rule): a list that came with hops to spare and changed ours is answered, and our list goes
on to all active nodes with one hop less. Here a node changes our list when it has answered us, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Protocol
from weakref import WeakKeyDictionary

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import Node, NodeStatus
from dmqcache.bus.nodes.complaints import Complaints
from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.nodes.membership import Evidence, Membership
from dmqcache.bus.nodes.node_lines import NodeLine, NodeLines
from dmqcache.bus.peer import Later, Message, Peer, Reply, Response, Sending
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.bus.timers import TIMEOUT
from dmqcache.defaults import NOTIFICATION_CHANNEL

log = logging.getLogger(__name__)

#: Hops of a start-up notification and of a ping, as Kamailio sends them.
START_HOPS = 2
PING_HOPS = 1
#: Seconds for which nodes that come up are gathered before they are told on.
GOSSIP_DELAY = 0.05
#: Seconds between two pings to a node that holds us suspect. Where our answers do not reach it, though its
#: own do us, each answer to such a ping says the same again.
DENIAL_GAP = 0.25
#: Seconds in which a node that says goodbye answers whether it leaves: about as long as it waits for us.
#: Later its answers to other messages tell, or its silence.
GOODBYE_SECONDS = 1.0
#: Bytes of a node list that a Kamailio can build (its buffer has 1,024; longer ones are read well).
KAMAILIO_LIST_BYTES = 1_000


class NotificationListener(Protocol):
    """Who knows whether a node is suspect, and looks into what lists say."""

    def suspicion(self, node: Node) -> int:
        """How often ``node`` was asked in vain just now; 0: others need not look at it."""

    def is_newcomer(self, node: Node) -> bool:
        """Whether the others are to know of ``node`` before it has answered a ping."""

    def joins(self, uri: NodeURI, host: str, node: Node | None) -> Reply | Later:
        """A Kamailio that has just started calls from ``host``; if it is met already, it is ``node``. Its
        answer."""

    def suspected(self, node: Node, teller: Node, questions: int) -> None:
        """``teller`` has asked ``node`` so often in vain."""

    def trusted(self, node: Node, teller: Node) -> None:
        """``teller`` holds ``node`` active and says nothing against it."""

    def suspected_ourselves(self, teller: Node, questions: int) -> None:
        """``teller`` has asked us so often in vain."""

    def doubted(self, node: Node) -> None:
        """``node`` calls and seems to have started anew, or to have another name: its answer tells."""

    def names_others(self, teller: Node) -> None:
        """A list in the name of ``teller`` has nodes that are new here: its answer tells if it is its own."""

    def heard_of(self, node: Node) -> None:
        """Another node holds ``node`` active."""

    def heard_of_removed(self, uri: NodeURI) -> None:
        """Another node lists this address, which was removed here not long ago."""

    def heard_of_suspect(self, uri: NodeURI) -> None:
        """A node that we asked names this address, which was never met here, and asks it in vain."""


class Notification(Peer):
    """Membership as a peer."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        contacts: Contacts,
        counters: BusCounters,
        instance: str,
        listener: NotificationListener,
        complaints: Complaints,
        channel: str = NOTIFICATION_CHANNEL,
    ) -> None:
        """``instance``: what our own line says of this start of ours."""
        super().__init__(channel)
        self._complaints = complaints
        self._runtime = runtime
        self._membership = membership
        self._contacts = contacts
        self._lines = NodeLines(counters.drops)
        self._instance = instance
        self._gossip_hops = 0
        self._warned_of_length = False
        self._listener = listener
        #: Monotonic seconds when we last sent a node our list.
        self._pinged: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        #: Nodes that came with a list that had hops to spare: once active, they are told on with so many.
        self._hops: WeakKeyDictionary[Node, int] = WeakKeyDictionary()
        #: Nodes in whose name a list came that may be forged: their own has so many hops to spare.
        self._told: WeakKeyDictionary[Node, int] = WeakKeyDictionary()

    # -- what comes

    def handle(self, message: Message) -> Reply | Later:
        """Read a list, answer with ours. A stranger is told of nobody but ourselves: until it has answered,
        its address may be forged, and what it gets is small. A Kamailio that starts is answered when its
        address is known to be its own, and the others know of it."""
        node = message.node
        if node is not None:
            self._contacts.called(node)
            lines = self._lines.read(message.body)
            self._read_own_line(node, lines, message)
            if node.confirmed:
                if message.max_forwards < START_HOPS:
                    self._complaints.told(node, _active(lines), self._membership.is_own)
                self._read_hearsay(
                    node, lines, message.max_forwards - 1, asked=False, forgeable=message.forgeable
                )
        # One that was met by this very message is in the list, but was not when the message came.
        caller = node or self._just_met(message)
        if caller is not None and not caller.active and message.max_forwards > 1:
            self._hops[caller] = message.max_forwards - 1
        # One that calls itself by name is being looked up.
        may_be_met = caller is not None or message.sender.endpoint is None
        if message.max_forwards >= START_HOPS and may_be_met and not _is_ours(message):
            return self._listener.joins(message.sender, message.source.host, caller)
        return Reply(200, body=self.body_for(node))

    def _just_met(self, message: Message) -> Node | None:
        node = self._membership.nodes.get(message.sender)
        fits = node is not None and self._contacts.is_at(node.uri, message.source.host, message.sender)
        return node if fits else None

    def _read_own_line(self, node: Node, lines: list[NodeLine], message: Message) -> None:
        """What a node says of itself is first-hand."""
        line = _line_of(node, lines)
        if node.calls_itself != node.written:
            self._listener.doubted(node)
        if line is not None and line.status is NodeStatus.DISABLED:
            if message.forgeable:
                self._ask_whether_it_leaves(node)
            else:
                self._membership.judge(node, Evidence.GOODBYE)
        elif line is not None and line.instance:
            # A request can be forged; the answer to our ping will carry the new instance if it is true.
            if node.instance and line.instance != node.instance:
                self._listener.doubted(node)
        elif message.max_forwards >= START_HOPS and not node.ours:
            self._membership.started(node)

    def _ask_whether_it_leaves(self, node: Node) -> None:
        """Somebody else may have said goodbye in its name: one question tells, whose answer nobody can forge.
        What leaves answers that it does so, or refuses as it goes down. If it is silent, the failure detector
        looks into that as into every silence: some lost datagrams must not make a forged goodbye true."""

        def answered(response: Response) -> None:
            # A list has been judged already.
            if not self._membership.is_leaving(node):
                return
            if response.local and response.status == 408:
                self._membership.is_silent_on_its_goodbye(node)
            else:
                self._membership.judge(node, Evidence.GOODBYE)

        recently = self._runtime.now() - self.last_ping(node) < DENIAL_GAP
        if self._membership.says_goodbye(node) and not (recently and not node.active):
            self.ping(node, timeout=GOODBYE_SECONDS, fast=node.ours, done=answered)

    def _read_hearsay(
        self, teller: Node, lines: list[NodeLine], hops: int, *, asked: bool, forgeable: bool = False
    ) -> None:
        """What a node says of others: reasons to ask them, nothing more. ``asked``: it is its answer, which
        nobody can forge. ``forgeable``: somebody else may name addresses in its name that are to be sent
        questions; so who is new here is asked only if the node's own answer names it too."""
        for line in lines:
            if line.uri in teller.names and not teller.written:
                teller.written = line.written
            if self._membership.is_own(line.uri):
                if line.suspect and self._runtime.now() - self.last_ping(teller) >= DENIAL_GAP:
                    self._listener.suspected_ourselves(teller, line.suspect)
                continue
            node = self._membership.nodes.get(line.uri)
            if node is teller or line.status is not NodeStatus.ACTIVE:
                continue
            if forgeable and not line.suspect and (node is None or node.stranger):
                self._told[teller] = max(hops, self._told.get(teller, 0))
                self._listener.names_others(teller)
            elif node is None:
                if not line.suspect:
                    self._meet(line.uri, hops)
                elif asked and not self._membership.departed(line.uri):
                    self._listener.heard_of_suspect(line.uri)
            elif line.suspect and not (asked and node.stranger):
                self._listener.suspected(node, teller, line.suspect)
            elif not node.active:
                self._listener.heard_of(node)
            else:
                self._listener.trusted(node, teller)

    def _meet(self, uri: NodeURI, hops: int) -> None:
        if self._membership.departed(uri):
            self._listener.heard_of_removed(uri)
            return

        def met(node: Node) -> None:
            if hops > 0 and not node.active:
                self._hops[node] = hops
            self._listener.heard_of(node)

        self._contacts.meet_named(uri, met)

    # -- what goes

    def body_for(self, node: Node | None) -> bytes:
        """Our list for one node: ourselves, and for one that has answered anything, or is a notification
        address, all that we hold active first-hand."""
        local = self._membership.nodes.local
        lines = [NodeLine(local.uri, local.status, self._instance)]
        if node is not None and (node.confirmed or node.proven or node.seed) and local.active:
            lines += self._lines_of_others(node)
        return self._lines.write(lines)

    def _lines_of_others(self, reader: Node) -> Iterator[NodeLine]:
        """By their addresses for nodes of our kind, which look at nothing else. For others by what they call
        themselves, and not before that is known; a Kamailio is told nothing of itself."""
        for other in self._membership.nodes:
            newcomer = self._listener.is_newcomer(other)
            if other.local or not (other.confirmed or newcomer):
                continue
            if reader.ours:
                suspect = self._listener.suspicion(other)
                if suspect or other.active:
                    yield NodeLine(other.uri, suspect=suspect)
            elif other is not reader and (other.active or newcomer):
                written = other.written or (other.calls_itself if newcomer else "")
                if written or other.ours:
                    yield NodeLine(other.uri, written=written)

    def last_ping(self, node: Node) -> float:
        """Monotonic seconds when ``node`` last got our list; minus infinity: never."""
        return self._pinged.get(node, float("-inf"))

    def ping(
        self,
        node: Node,
        *,
        hops: int = PING_HOPS,
        timeout: float = TIMEOUT,
        repeat: bool = True,
        fast: bool = False,
        done: Callable[[Response], None] | None = None,
    ) -> Sending:
        """Send our list to one node and learn from its answer. ``done`` hears the answer afterwards."""
        assert self.bus is not None
        self._pinged[node] = self._runtime.now()

        def answered(response: Response) -> None:
            self._answered(node, response)
            if done is not None:
                done(response)

        return self.bus.send_message(
            self,
            self.body_for(node),
            node.uri,
            max_forwards=hops,
            timeout=timeout,
            repeat=repeat,
            fast=fast,
            on_response=answered,
        )

    def _answered(self, node: Node, response: Response) -> None:
        if self._membership.nodes.get(node.uri) is not node:
            # Removed meanwhile; if its address is in the list again, that is another record.
            return
        if response.local or not 200 <= response.status < 300:
            self._membership.missed(node)
            return
        lines = self._lines.read(response.body)
        _learn_name(node, lines)
        self._complaints.answered(node, _active(lines), self._membership.is_own)
        line = _line_of(node, lines)
        if line is not None and line.status is NodeStatus.DISABLED:
            self._membership.judge(node, Evidence.GOODBYE)
            return
        new = not node.confirmed
        before, node.instance = node.instance, line.instance if line is not None else ""
        again = node.active and before != node.instance
        self._membership.judge(node, Evidence.ANSWERED)
        if again and before:
            self._membership.restarted(node)
        if new and (len(self._membership.nodes.active()) > 1 or self._was_short(node, lines)):
            # Until now it was told of nobody but us, or told of nobody but itself.
            self.ping(node)
        self._read_hearsay(node, lines, self._told.pop(node, 0), asked=True)

    def _was_short(self, node: Node, lines: list[NodeLine]) -> bool:
        """Whether a node of our kind did not believe in us yet when it answered, as its list lacks us: it
        told of nobody else. By now our answer to its question has come there."""
        return node.ours and not any(self._membership.is_own(line.uri) for line in lines)

    def node_up(self, node: Node) -> None:
        """``node`` became active: tell it on if the list that named it had hops to spare."""
        hops = self._hops.pop(node, 0)
        if hops <= 0:
            return
        if not self._gossip_hops:
            self._runtime.call_later(GOSSIP_DELAY, self._gossip)
        self._gossip_hops = max(self._gossip_hops, hops)

    def _gossip(self) -> None:
        hops, self._gossip_hops = self._gossip_hops, 0
        if self._membership.nodes.local.active:
            for node in self._membership.nodes.active():
                self.ping(node, hops=hops)

    def warn_of_length(self) -> None:
        """Once: from about twenty nodes on, a Kamailio cannot build its own list any more."""
        foreign = next((node for node in self._membership.nodes.active() if not node.ours), None)
        if foreign is None or self._warned_of_length:
            return
        size = len(self.body_for(foreign))
        if size > KAMAILIO_LIST_BYTES:
            self._warned_of_length = True
            log.warning(
                "the node list (%d bytes) is longer than a Kamailio can send: expect %s not to answer pings",
                size,
                foreign.uri,
            )

    def say_goodbye(self, node: Node, timeout: float, done: Callable[[], None]) -> None:
        """Tell one node that we leave; ``done`` when it has answered or ``timeout`` seconds are over."""
        assert self.bus is not None
        self.bus.send_message(
            self,
            self.body_for(None),
            node.uri,
            timeout=timeout,
            fast=node.ours,
            on_response=lambda response: done(),
        )


def _is_ours(message: Message) -> bool:
    """Whether the software is this one, with tables or without."""
    return bool(message.supported) or b";instance=" in message.body


def _active(lines: list[NodeLine]) -> list[NodeURI]:
    return [line.uri for line in lines if line.status is NodeStatus.ACTIVE]


def _learn_name(node: Node, lines: list[NodeLine]) -> None:
    """A node's answer has its own line, as it writes itself, among those of others. Which one that is, tells
    its last request; where it has sent none, a line with the very address that answered."""
    written = {line.written: line for line in lines}
    if node.calls_itself in written:
        node.written = node.calls_itself
    elif lines:
        # It was forged, or the node does not call itself so any more.
        node.calls_itself = node.written
    if not node.written:
        node.written = next((line.written for line in lines if line.uri == node.uri), "")


def _line_of(node: Node, lines: list[NodeLine]) -> NodeLine | None:
    """The line in which a node speaks of itself."""
    for line in lines:
        if line.uri == node.uri or line.uri in node.names:
            return line
    return None
