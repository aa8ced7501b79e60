"""From bytes to a handler and back: what is done with each message that arrives.

Owns the order of the checks, the replies that the bus itself gives, and their memory. Who the sender is, is
``contacts.py``'s business; order and workers are ``dispatch.py``'s; bytes to messages ``message.py``'s.

=============================================  =================================================
what arrives                                   what it gets
=============================================  =================================================
no SIP, or broken                              dropped, counted under ``MessageError.reason``
a request whose body is not as long as it says 400, and counted so too
a reply                                        ends its transaction, or ``late_reply``, ``stray_reply``
a reply from another host than was asked       dropped (``reply_from_elsewhere``)
ACK                                            dropped (``ack``): no reply exists for it
OPTIONS                                        200
another method                                 405 with Allow
a request of our own that came back            482; its address is ours (``own_message``)
From, To or Request-URI that cannot be read    400
From is our own address                        403 (``own_address_claimed``)
a channel that is not here                     404
a request that came before                     its reply again, or nothing while the handler runs
a KDMQ request                                 what the handler answers; 500 if it fails, 503 if full,
                                               513 (``reply_too_large``) if the answer cannot be sent
=============================================  =================================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.dispatch import TURNED_AWAY, Dispatcher, Job
from dmqcache.bus.exchange.replay import RUNNING, Replays, transaction_key
from dmqcache.bus.exchange.transaction import ClientTransactions
from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.nodes.membership import Membership
from dmqcache.bus.nodes.resolution import node_uri
from dmqcache.bus.outgoing import METHOD, Identity, fits
from dmqcache.bus.peer import SILENCE, Message, Peer, Reply
from dmqcache.bus.sip.headers import reply_endpoint
from dmqcache.bus.sip.message import MessageError, SipRequest, SipResponse, build_response, parse_message
from dmqcache.bus.sip.uri import Endpoint, NodeURI, SipURI, URIError

log = logging.getLogger(__name__)

#: RFC 3261 20.5: what a 405 and the answer to OPTIONS say.
ALLOW = ("Allow", f"{METHOD}, OPTIONS")
#: Channel under which messages for channels that are not here are counted: theirs may be anything.
UNKNOWN_CHANNEL = "unknown"
#: Texts of URIs whose meaning is kept; every node and channel has one of its own.
CACHED_URIS = 4_096


class Incoming:
    """The receiving side of one node."""

    def __init__(
        self,
        identity: Identity,
        peers: Mapping[str, Peer],
        membership: Membership,
        contacts: Contacts,
        transactions: ClientTransactions,
        replays: Replays,
        dispatcher: Dispatcher,
        counters: BusCounters,
        send: Callable[[bytes, Endpoint], None],
        connected: Callable[[Endpoint], bool],
    ) -> None:
        """``connected``: whether a connection still stands."""
        self._identity = identity
        self._peers = peers
        self._membership = membership
        self._contacts = contacts
        self._transactions = transactions
        self._replays = replays
        self._dispatcher = dispatcher
        self._counters = counters
        self._send = send
        self._connected = connected
        self._extra = identity.extra_headers
        self._channels: dict[str, str] = {}
        self._senders: dict[str, NodeURI] = {}

    def receive(self, data: bytes, source: Endpoint) -> None:
        """Take one whole message. Never raises."""
        try:
            message = parse_message(data, stream=source.transport != "udp")
            if isinstance(message, SipResponse):
                self._on_response(message, source)
            else:
                self._on_request(message, source)
        except MessageError as error:
            self._drop(error, source)
        except Exception:
            self._counters.drops["internal_error"] += 1
            log.exception("a message from %s could not be handled", source)

    def _drop(self, error: MessageError, source: Endpoint) -> None:
        self._counters.drops[error.reason] += 1
        log.debug("a message from %s is dropped: %s", source, error)
        request = error.request
        if isinstance(request, SipRequest) and request.method != "ACK":
            try:
                self._answer_plainly(request, source, 400)
            except MessageError:
                log.debug("and it cannot be answered either")

    # -- replies of others

    def _on_response(self, response: SipResponse, source: Endpoint) -> None:
        if self._transactions.on_response(response, source) is not None:
            return
        node = self._membership.nodes.at(source)
        if node is not None and self._transactions.is_ours(response.via.branch):
            self._contacts.heard(node)

    # -- requests

    def _on_request(self, request: SipRequest, source: Endpoint) -> None:
        if request.method == METHOD:
            self._on_kdmq(request, source)
        elif request.method == "ACK":
            self._counters.drops["ack"] += 1
        elif request.method == "OPTIONS":
            self._answer_plainly(request, source, 200, extra=(ALLOW,))
        else:
            self._counters.drops["method_not_allowed"] += 1
            self._answer_plainly(request, source, 405, extra=(ALLOW,))

    def _on_kdmq(self, request: SipRequest, source: Endpoint) -> None:
        if request.call_id.startswith(self._identity.call_id_prefix):
            self._own_message(request)
            return
        key = transaction_key(request, source)
        # A connection repeats nothing: RFC 3261's timer J is 0 for it.
        if source.transport == "udp" and self._replayed(request, source, key):
            return
        try:
            sender = self._sender(request.from_.uri)
            channel = self._channel(request.uri)
        except (URIError, MessageError) as error:
            self._counters.drops[error.reason if isinstance(error, MessageError) else "bad_uri"] += 1
            self._answer_plainly(request, source, 400)
            return
        if self._membership.is_own(sender):
            self._counters.drops["own_address_claimed"] += 1
            self._answer_plainly(request, source, 403)
            return
        node = self._contacts.sender(sender, source, request)
        peer = self._peers.get(channel)
        if peer is None:
            self._counters.unknown_channel(channel, from_node=node is not None)
            self._answer_plainly(request, source, 404)
            return
        self._counters.messages[channel, "in", "request"] += 1
        message = Message(
            channel,
            request.body,
            request.content_type,
            sender,
            source,
            node,
            request.max_forwards,
            request.user_agent,
            node.supported if node is not None else request.supported,
            request.call_id,
        )
        if source.transport == "udp":
            self._replays.open(key)
        answer = partial(self._answer, request, source, key, channel)
        job = Job(channel, partial(peer.handle, message), answer, stranger=node is None)
        # A lane for each host that claims to be a node: none fills that of the node itself.
        lane = (sender, channel) if node is not None else (sender, channel, source.host)
        self._dispatcher.submit(lane, job)

    def _own_message(self, request: SipRequest) -> None:
        """A request of ours came back: whoever we sent it to is ourselves under another address. Not a node
        that has ever answered us, since we do not answer ourselves: it only sends back what it was sent."""
        self._counters.drops["own_message"] += 1
        transaction = self._transactions.find(request.via.branch)
        if transaction is None:
            return
        node = self._membership.nodes.at(transaction.endpoint)
        if node is None or not node.confirmed:
            self._membership.add_own(node_uri(transaction.endpoint))
            transaction.end(482)

    def _replayed(self, request: SipRequest, source: Endpoint, key: bytes) -> bool:
        """Whether the request came before; if it was answered, it is answered again."""
        memory = self._replays.find(key)
        if memory is None:
            return False
        self._counters.retransmissions["in"] += 1
        if isinstance(memory, bytes):
            self._reply(memory, request, source)
        elif memory != RUNNING:
            self._reply(self._build(request, source, key, Reply(memory)), request, source)
        return True

    def _sender(self, uri: str) -> NodeURI:
        known = self._senders.get(uri)
        if known is None:
            if len(self._senders) >= CACHED_URIS:
                self._senders.clear()
            known = self._senders[uri] = NodeURI.from_sip(SipURI.parse(uri))
        return known

    def _channel(self, uri: str) -> str:
        known = self._channels.get(uri)
        if known is None:
            if len(self._channels) >= CACHED_URIS:
                self._channels.clear()
            known = self._channels[uri] = SipURI.parse(uri).user
        return known

    # -- our replies

    def _answer(self, request: SipRequest, source: Endpoint, key: bytes, channel: str, reply: Reply) -> None:
        if reply.status == SILENCE:
            self._counters.messages[channel, "out", "none"] += 1
            self._replays.forget(key)
            return
        data = self._build(request, source, key, reply)
        if not fits(len(data), source.transport):
            self._counters.drops["reply_too_large"] += 1
            log.error("a reply of %d bytes on channel %s cannot be sent to %s", len(data), channel, source)
            reply = Reply(513)
            data = self._build(request, source, key, reply)
        if source.transport == "udp":
            if reply is TURNED_AWAY:
                # For now: a copy of it deserves another try.
                self._replays.forget(key)
            else:
                bare = not (reply.body or reply.reason)
                self._replays.close(key, reply.status if bare else data)
        self._counters.messages[channel, "out", str(reply.status)] += 1
        self._reply(data, request, source)

    def _reply(self, data: bytes, request: SipRequest, source: Endpoint) -> None:
        connected = source.transport == "udp" or self._connected(source)
        self._send(data, reply_endpoint(request.via, source, connected))

    def _build(self, request: SipRequest, source: Endpoint, key: bytes, reply: Reply) -> bytes:
        # The tag comes from the key, so that a reply which is built again is the same reply.
        return build_response(
            request,
            reply.status,
            reply.reason,
            reply.body,
            reply.content_type,
            key[:8].hex(),
            self._identity.user_agent,
            self._extra,
            source,
        )

    def _answer_plainly(
        self, request: SipRequest, source: Endpoint, status: int, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """A reply that costs no memory: it would be the same again (RFC 3261 8.2.7, a stateless UAS)."""
        self._counters.messages[UNKNOWN_CHANNEL, "in", "request"] += 1
        self._counters.messages[UNKNOWN_CHANNEL, "out", str(status)] += 1
        data = build_response(
            request,
            status,
            "",
            b"",
            "",
            self._identity.tag,
            self._identity.user_agent,
            self._extra + extra,
            source,
        )
        self._reply(data, request, source)
