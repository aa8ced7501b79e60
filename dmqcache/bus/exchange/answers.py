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
from dmqcache.bus.sip.headers import MessageError, reply_endpoint
from dmqcache.bus.sip.serialize import DraftReply, build_response
from dmqcache.bus.sip.sip_message import SipRequest
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.guard import PLAIN, Guard, Pass
from dmqcache.bus.trust.meaning import of_reply
from dmqcache.bus.trust.signature import HEADER, Signature

log = logging.getLogger(__name__)

#: Channel under which messages for channels that are not here are counted: theirs may be anything.
UNKNOWN_CHANNEL = "unknown"
#: Characters of a tag in an answer that is kept short.
BRIEF_TAG = 8
#: The status whose further headers may be left out: RFC 3261 11.2 wants Allow in it where that can be.
OPTIONAL_EXTRA = 200
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
        guard: Guard,
        fits: Callable[[int, Endpoint], bool],
    ) -> None:
        """``connected``: whether a connection still stands; ``guard`` signs; ``fits``: whether so many bytes
        may be sent to one who has not shown that he is there."""
        self._fits = fits
        self._guard = guard
        self.speak_as(identity)
        self._replays = replays
        self._counters = counters
        self._send = send
        self._connected = connected

    def speak_as(self, identity: Identity) -> None:
        """Say this of ourselves in each answer from now on."""
        self._identity = identity
        self._extra = identity.extra_headers

    def plainly(
        self,
        request: SipRequest,
        source: Endpoint,
        status: int,
        extra: Headers = (),
        seal: Signature | None = None,
    ) -> None:
        """Answer with a status alone. ``seal``: the signature of the request."""
        self._counters.messages[UNKNOWN_CHANNEL, "in", "request"] += 1
        self._counters.messages[UNKNOWN_CHANNEL, "out", str(status)] += 1
        identity = self._identity
        headers = self._signed(self._extra + extra, seal, status)
        draft = DraftReply(status, to_tag=identity.tag, server=identity.user_agent, extra=headers)
        data = build_response(request, draft, source)
        if seal is None and not self._fits(len(data), source):
            data = self._briefly(request, source, status, extra)
            if status == OPTIONAL_EXTRA and not self._fits(len(data), source):
                data = self._briefly(request, source, status, ())
        self._reply(data, request, source)

    def _briefly(self, request: SipRequest, source: Endpoint, status: int, extra: Headers) -> bytes:
        """An answer with nothing but what it must have."""
        tag = self._identity.tag[:BRIEF_TAG]
        return build_response(request, DraftReply(status, to_tag=tag, extra=extra), source)

    def to_broken(self, request: SipRequest, source: Endpoint, status: int) -> None:
        """Answer what could not be read, with no word more than the RFC wants: who sent it may be anybody.
        Where nothing says where answers go, it goes to where the request came from."""
        self._counters.messages[UNKNOWN_CHANNEL, "in", "request"] += 1
        self._counters.messages[UNKNOWN_CHANNEL, "out", str(status)] += 1
        data = self._briefly(request, source, status, ())
        try:
            self._reply(data, request, source)
        except MessageError:
            self._send(data, source)

    def due(self, request: SipRequest, source: Endpoint, passed: Pass = PLAIN) -> Due | None:
        """The answer that a request is still owed. None: it came before, and got the same answer again if
        there is one yet. A connection repeats nothing: RFC 3261's timer J is 0 for it. ``passed``: what the
        guard says of it."""
        due = Due(self, request, source, transaction_key(request, source), passed.seal)
        if source.transport == "udp":
            memory = self._replays.find(due.key)
            if memory is not None:
                self._again(memory, due)
                return None
        if passed.repeated:
            self._counters.drops["replayed"] += 1
            return None
        return due

    def refuse(self, due: Due, status: int) -> None:
        """Answer with a status alone. Nothing is remembered: a copy gets the same."""
        self._guard.not_handled(due.seal, due.request.cseq.number)
        self.plainly(due.request, due.source, status, seal=due.seal)

    def open(self, due: Due) -> None:
        """The handler starts: a copy that comes from now on is swallowed until it has answered."""
        if due.source.transport == "udp":
            self._replays.open(due.key)

    def finish(self, due: Due, channel: str, reply: Reply) -> None:
        """Send what a handler gave."""
        if reply.status == SILENCE:
            self._counters.messages[channel, "out", "none"] += 1
            self._forget(due)
            return
        data = self._build(due, reply)
        if not fits(len(data), due.source.transport):
            self._counters.drops["reply_too_large"] += 1
            size = len(data)
            log.error("a reply of %d bytes on channel %s cannot be sent to %s", size, channel, due.source)
            reply = Reply(513)
            data = self._build(due, reply)
        if due.source.transport == "udp":
            self._remember(due, reply, data)
        self._counters.messages[channel, "out", str(reply.status)] += 1
        self._reply(data, due.request, due.source)

    def _remember(self, due: Due, reply: Reply, data: bytes) -> None:
        if reply is TURNED_AWAY:
            # For now: a copy of it deserves another try.
            self._forget(due)
        else:
            bare = not (reply.body or reply.reason)
            self._replays.close(due.key, reply.status if bare else data)

    def _forget(self, due: Due) -> None:
        self._replays.forget(due.key)
        self._guard.not_handled(due.seal, due.request.cseq.number)

    def _again(self, memory: int | bytes, due: Due) -> None:
        self._counters.retransmissions["in"] += 1
        if isinstance(memory, bytes):
            self._reply(memory, due.request, due.source)
        elif memory != RUNNING:
            self._reply(self._build(due, Reply(memory)), due.request, due.source)

    def _build(self, due: Due, reply: Reply) -> bytes:
        # The tag comes from the key, so that a reply which is built again is the same reply.
        tag, agent = due.key[:8].hex(), self._identity.user_agent
        status, reason, body, media = reply.status, reply.reason, reply.body, reply.content_type
        extra = self._signed(self._extra, due.seal, status, media, body)
        draft = DraftReply(status, reason, body, media, tag, agent, extra)
        return build_response(due.request, draft, due.source)

    def _signed(
        self, extra: Headers, seal: Signature | None, status: int, media: str = "", body: bytes = b""
    ) -> Headers:
        """The further headers of a reply to a request with this signature."""
        signer = self._guard.signer
        if seal is None or signer is None:
            return extra
        return (*extra, (HEADER, signer.sign_reply(seal, of_reply(status, media, body, extra), body)))

    def _reply(self, data: bytes, request: SipRequest, source: Endpoint) -> None:
        connected = source.transport == "udp" or self._connected(source)
        self._send(data, reply_endpoint(request.via, source, connected))


class Due:
    """The answer that one request is owed."""

    __slots__ = ("_answers", "key", "request", "seal", "source")

    def __init__(
        self,
        answers: Answers,
        request: SipRequest,
        source: Endpoint,
        key: bytes,
        seal: Signature | None = None,
    ) -> None:
        self._answers = answers
        self.request = request
        self.source = source
        #: What makes the request the same when it comes again.
        self.key = key
        #: Its signature, if it has one that counts.
        self.seal = seal

    def refuse(self, status: int) -> None:
        """Answer with a status alone, before any handler has seen the request."""
        self._answers.refuse(self, status)

    def begin(self) -> None:
        """A handler gets the request now."""
        self._answers.open(self)

    def give(self, channel: str, reply: Reply) -> None:
        """Answer with what the handler of ``channel`` gave."""
        self._answers.finish(self, channel, reply)
