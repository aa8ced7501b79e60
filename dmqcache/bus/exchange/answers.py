"""Our answers to requests of others: built, remembered, repeated and sent.

Owns the two kinds of answer. What a handler gives is remembered, so that a copy of the request gets the same
again; what the bus itself says without looking further costs no memory, since it would be the same again (RFC
3261 8.2.7, a stateless UAS). The memory and its limits are ``replay.py``'s; which answer is due,
``incoming.py``'s and ``delivery.py``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.dispatch import TURNED_AWAY
from dmqcache.bus.exchange.replay import RUNNING, Replays, transaction_key
from dmqcache.bus.identity import Identity, fits
from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.bus.sip.headers import reply_endpoint
from dmqcache.bus.sip.serialize import build_response
from dmqcache.bus.sip.sip_message import SipRequest
from dmqcache.bus.sip.uri import Endpoint

log = logging.getLogger(__name__)

#: Channel under which messages for channels that are not here are counted: theirs may be anything.
UNKNOWN_CHANNEL = "unknown"
Headers = tuple[tuple[str, str], ...]


class Answers:
    """What one node answers."""

    def __init__(
        self,
        identity: Identity,
        replays: Replays,
        counters: BusCounters,
        send: Callable[[bytes, Endpoint], None],
        connected: Callable[[Endpoint], bool],
    ) -> None:
        """``connected``: whether a connection still stands."""
        self._identity = identity
        self._extra = identity.extra_headers
        self._replays = replays
        self._counters = counters
        self._send = send
        self._connected = connected

    def plainly(self, request: SipRequest, source: Endpoint, status: int, extra: Headers = ()) -> None:
        """Answer with a status alone."""
        self._counters.messages[UNKNOWN_CHANNEL, "in", "request"] += 1
        self._counters.messages[UNKNOWN_CHANNEL, "out", str(status)] += 1
        identity = self._identity
        tag, agent = identity.tag, identity.user_agent
        data = build_response(request, status, "", b"", "", tag, agent, self._extra + extra, source)
        self._reply(data, request, source)

    def due(self, request: SipRequest, source: Endpoint) -> Due | None:
        """The answer that a request is still owed. None: it came before, and got the same answer again if
        there is one yet. A connection repeats nothing: RFC 3261's timer J is 0 for it."""
        key = transaction_key(request, source)
        if source.transport == "udp":
            memory = self._replays.find(key)
            if memory is not None:
                self._again(memory, request, source, key)
                return None
        return Due(self, request, source, key)

    def open(self, due: Due) -> None:
        """The handler starts: a copy that comes from now on is swallowed until it has answered."""
        if due.source.transport == "udp":
            self._replays.open(due.key)

    def finish(self, due: Due, channel: str, reply: Reply) -> None:
        """Send what a handler gave."""
        if reply.status == SILENCE:
            self._counters.messages[channel, "out", "none"] += 1
            self._replays.forget(due.key)
            return
        data = self._build(due.request, due.source, due.key, reply)
        if not fits(len(data), due.source.transport):
            self._counters.drops["reply_too_large"] += 1
            size = len(data)
            log.error("a reply of %d bytes on channel %s cannot be sent to %s", size, channel, due.source)
            reply = Reply(513)
            data = self._build(due.request, due.source, due.key, reply)
        if due.source.transport == "udp":
            self._remember(due.key, reply, data)
        self._counters.messages[channel, "out", str(reply.status)] += 1
        self._reply(data, due.request, due.source)

    def _remember(self, key: bytes, reply: Reply, data: bytes) -> None:
        if reply is TURNED_AWAY:
            # For now: a copy of it deserves another try.
            self._replays.forget(key)
        else:
            bare = not (reply.body or reply.reason)
            self._replays.close(key, reply.status if bare else data)

    def _again(self, memory: int | bytes, request: SipRequest, source: Endpoint, key: bytes) -> None:
        self._counters.retransmissions["in"] += 1
        if isinstance(memory, bytes):
            self._reply(memory, request, source)
        elif memory != RUNNING:
            self._reply(self._build(request, source, key, Reply(memory)), request, source)

    def _build(self, request: SipRequest, source: Endpoint, key: bytes, reply: Reply) -> bytes:
        # The tag comes from the key, so that a reply which is built again is the same reply.
        tag, agent = key[:8].hex(), self._identity.user_agent
        status, reason, body, media = reply.status, reply.reason, reply.body, reply.content_type
        return build_response(request, status, reason, body, media, tag, agent, self._extra, source)

    def _reply(self, data: bytes, request: SipRequest, source: Endpoint) -> None:
        connected = source.transport == "udp" or self._connected(source)
        self._send(data, reply_endpoint(request.via, source, connected))


class Due:
    """The answer that one request is owed."""

    __slots__ = ("_answers", "key", "request", "source")

    def __init__(self, answers: Answers, request: SipRequest, source: Endpoint, key: bytes) -> None:
        self._answers = answers
        self.request = request
        self.source = source
        #: What makes the request the same when it comes again.
        self.key = key

    def refuse(self, status: int) -> None:
        """Answer with a status alone, before any handler has seen the request."""
        self._answers.plainly(self.request, self.source, status)

    def begin(self) -> None:
        """A handler gets the request now."""
        self._answers.open(self)

    def give(self, channel: str, reply: Reply) -> None:
        """Answer with what the handler of ``channel`` gave."""
        self._answers.finish(self, channel, reply)
