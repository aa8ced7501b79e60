"""From a request of another node to the handler of its channel.

Owns who is taken for the sender, and what a request is answered that no handler gets. Who that sender is on
this bus, ``nodes/contacts.py`` knows; order and workers are ``exchange/dispatch.py``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.answers import Due
from dmqcache.bus.exchange.dispatch import Dispatcher, Job
from dmqcache.bus.node import OWN_TAG, Node, other_wire
from dmqcache.bus.nodes.directory import Directory
from dmqcache.bus.nodes.verify import KNOCK_CHANNEL
from dmqcache.bus.peer import Message, Peer, Reply
from dmqcache.bus.sip.sip_message import MessageError, SipRequest
from dmqcache.bus.sip.uri import NodeURI, SipURI, URIError, as_written
from dmqcache.bus.trust.guard import Guard

log = logging.getLogger(__name__)

#: Texts of URIs whose meaning is kept; every node and channel has one of its own.
CACHED_URIS = 4_096


class Delivery:
    """The channels of one node."""

    def __init__(
        self,
        peers: Mapping[str, Peer],
        directory: Directory,
        dispatcher: Dispatcher,
        counters: BusCounters,
        guard: Guard,
    ) -> None:
        self._guard = guard
        self._peers = peers
        self._directory = directory
        self._dispatcher = dispatcher
        self._counters = counters
        self._channels: dict[str, str] = {}
        #: Channels of which was said that a body does not go to a Kamailio.
        self._cut: set[str] = set()
        #: To headers that were read.
        self._readable: set[str] = set()
        #: Text of a From -> the node that it names, and how.
        self._senders: dict[str, tuple[NodeURI, str]] = {}

    def deliver(self, due: Due) -> None:
        """Hand a request to its channel's handler, or refuse it."""
        request = due.request
        try:
            sender, written = self._sender(request.from_.uri)
            channel = self._channel(request.uri)
            self._check_to(request)
        except (URIError, MessageError) as error:
            self._counters.drops[error.reason if isinstance(error, MessageError) else "bad_uri"] += 1
            due.refuse(400)
            return
        if self._directory.membership.is_own(sender):
            self._counters.drops["own_address_claimed"] += 1
            due.refuse(403)
            return
        peer = self._peers.get(channel)
        if due.seal is None and self._must_be_signed(sender, peer):
            self._counters.drops["unsigned"] += 1
            return
        node = self._directory.contacts.sender(sender, written, due.source, request)
        if peer is None:
            if channel != KNOCK_CHANNEL:
                self._counters.unknown_channel(channel, from_node=node is not None)
            due.refuse(404)
            return
        self._counters.messages[channel, "in", "request"] += 1
        self._submit(due, peer, _message(due, channel, sender, node))

    def _must_be_signed(self, sender: NodeURI, peer: Peer | None) -> bool:
        """Whether a request that is admitted without a signature must not count all the same: on a channel
        of those who hold the key, or in the name of one of them."""
        if not self._guard.required:
            return False
        node = self._directory.nodes.get(sender)
        endpoint = node.endpoint if node is not None else sender.endpoint
        return (peer is not None and peer.key_holders_only) or self._guard.must_sign(endpoint)

    def _submit(self, due: Due, peer: Peer, message: Message) -> None:
        channel, node = message.channel, message.node
        give = partial(self._give, due, message)
        job = Job(channel, partial(peer.handle, message), give, stranger=node is None)
        # A queue for each host that claims to be a node: none fills that of the node itself.
        sender = message.sender
        queue = (sender, channel) if node is not None else (sender, channel, due.source.host)
        due.begin()
        self._dispatcher.submit(queue, job)

    def _give(self, due: Due, message: Message, reply: Reply) -> None:
        """Answer with what the handler gave, without its body if that would do harm."""
        channel = message.channel
        # The notification channel is for lists; and who signs is no Kamailio.
        harmless = channel == self._directory.notification.channel or due.seal is not None
        if reply.body and not harmless and not _reads_bodies(message):
            reply = Reply(reply.status, reply.reason)
            if channel not in self._cut:
                self._cut.add(channel)
                log.warning(
                    "channel %s: the body of a reply to %s is left out: a Kamailio reads every body as a "
                    "node list; send it a message instead",
                    channel,
                    message.sender,
                )
        due.give(channel, reply)

    def _sender(self, uri: str) -> tuple[NodeURI, str]:
        known = self._senders.get(uri)
        if known is None:
            if len(self._senders) >= CACHED_URIS:
                self._senders.clear()
            known = self._senders[uri] = NodeURI.from_sip(SipURI.parse(uri)), as_written(uri)
        return known

    def _check_to(self, request: SipRequest) -> None:
        """Nothing follows from To, but what cannot be read is answered so. Raises MessageError."""
        text = request.headers.get("to")
        if text not in self._readable:
            request.to  # noqa: B018 (asked for what it raises)
            if len(self._readable) >= CACHED_URIS:
                self._readable.clear()
            self._readable.add(text)

    def _channel(self, uri: str) -> str:
        known = self._channels.get(uri)
        if known is None:
            if len(self._channels) >= CACHED_URIS:
                self._channels.clear()
            known = self._channels[uri] = SipURI.parse(uri).user
        return known


def _reads_bodies(message: Message) -> bool:
    """Whether the sender surely is no Kamailio: ``dmq_send_message()`` of its script takes the body of a 200
    for a list of nodes. A 5.6.3 then hangs for good, a 6.2 adds the nodes in it."""
    node, supported = message.node, message.supported
    return (
        OWN_TAG in supported
        or other_wire(supported) is not None
        or (node is not None and bool(node.instance))
    )


def _message(due: Due, channel: str, sender: NodeURI, node: Node | None) -> Message:
    """What the handler is given."""
    request = due.request
    return Message(
        channel=channel,
        body=request.body,
        content_type=request.content_type,
        sender=sender,
        source=due.source,
        node=node,
        max_forwards=request.max_forwards,
        user_agent=request.user_agent,
        supported=node.supported if node is not None else request.supported,
        call_id=request.call_id,
        forgeable=due.seal is None and due.source.transport == "udp",
    )
