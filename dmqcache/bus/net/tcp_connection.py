"""One TCP connection: bytes in, whole SIP messages out, and a bounded buffer for what is to be written.

Owns framing, keep-alive answers and the limits of one connection. Which connection leads to which endpoint,
opening and back-off are ``tcp``'s.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

from dmqcache.bus.allow import AllowList
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net.failure import CLOSED, FRAMING, REFUSED, RESET, SHUT, TIMEOUT, TLS, reason_of
from dmqcache.bus.net.handshake_words import words
from dmqcache.bus.net.log_limit import LogLimit
from dmqcache.bus.net.sockaddr import endpoint_of
from dmqcache.bus.net.tls import Certificate
from dmqcache.bus.sip.headers import MessageError
from dmqcache.bus.sip.stream import MAX_STREAM_MESSAGE, StreamFramer
from dmqcache.bus.sip.uri import Endpoint

log = logging.getLogger(__name__)

#: Bytes that may wait to be written to one peer: two messages of the largest size that a framer takes.
BACKLOG_BYTES = 16 * 1024 * 1024
#: Connections taken from others at once. A cluster of fifty nodes needs fifty; each costs a descriptor.
MAX_ACCEPTED = 512
#: Of these from one host. Nodes on one machine share it, each with a connection or two.
MAX_ACCEPTED_FROM_HOST = 64
#: Of these, places that only hosts on which a node is known may have.
KEPT_FOR_NODES = 128
#: Seconds of silence after which a connection of a host without a node makes room for another one.
IDLE_SECONDS = 2.0
#: Bytes of one message from a host on which no node is known: a notification has a few hundred, Kamailio's
#: largest batch of cells 60,000. With all their connections strangers hold 128 MiB at most.
STRANGER_MESSAGE_BYTES = 256 * 1024
#: Seconds from the first byte of a message to its last: then its sender has given it up (RFC 3261 timer F).
MESSAGE_SECONDS = 32.0
#: Seconds until an attempt to connect is given up. The kernel's own limit is about 130.
CONNECT_SECONDS = 5.0
#: Seconds that a taken connection has for its first whole message.
FIRST_MESSAGE_SECONDS = 30.0
#: Seconds in which an answer to something written may still be due: the life of a non-INVITE transaction
#: (RFC 3261 timer F, 64 * T1).
ANSWER_SECONDS = 32.0
#: Seconds without an acknowledgement of what was written until the kernel gives the connection up.
UNACKNOWLEDGED_SECONDS = 20
#: Seconds of silence before the kernel asks whether the other machine is still there, and between questions.
KEEPALIVE_IDLE_SECONDS = 30
KEEPALIVE_INTERVAL_SECONDS = 10
#: Seconds that a write goes unanswered until a connection that the peer made is preferred to ours.
STALE_SECONDS = 5.0
#: RFC 5626 section 3.5.1: the answer to a double line end.
PONG = b"\r\n"

Receive = Callable[[bytes, Endpoint], None]


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """What may be set about connections."""

    #: Bytes that may wait for one peer. Fewer: less memory for slow readers; more messages lost to them.
    backlog: int = BACKLOG_BYTES
    max_accepted: int = MAX_ACCEPTED
    max_accepted_from_host: int = MAX_ACCEPTED_FROM_HOST
    kept_for_nodes: int = KEPT_FOR_NODES
    #: Seconds.
    idle: float = IDLE_SECONDS
    #: Seconds.
    connect_timeout: float = CONNECT_SECONDS
    #: Seconds for the first message on a taken connection.
    first_message_timeout: float = FIRST_MESSAGE_SECONDS
    message_timeout: float = MESSAGE_SECONDS
    #: Whether the host of an endpoint is a node's, so that large messages are taken from it.
    is_node: Callable[[Endpoint], bool] = lambda endpoint: True
    #: Names by which an endpoint's node is known, beside its address; its certificate must speak for one.
    names: Callable[[Endpoint], Iterable[str]] = lambda endpoint: ()
    #: Whether the node at an endpoint said that it goes: that it takes no connections is nothing to tell.
    has_left: Callable[[Endpoint], bool] = lambda endpoint: False
    #: Hears in words why a TLS handshake with the node at an endpoint failed; empty: one succeeded.
    tls_failed: Callable[[Endpoint, str], None] = lambda endpoint, why: None
    #: Whose connections are taken at all.
    allow: AllowList = field(default_factory=AllowList)


@dataclass(frozen=True, slots=True)
class TcpContext:
    """What all connections of a node have in common."""

    loop: asyncio.AbstractEventLoop
    receive: Receive
    counters: BusCounters
    options: TcpOptions
    #: A connection stands; False: it is not wanted.
    made: Callable[[TcpConnection], bool]
    #: A connection is gone: why, and whether anybody must be told.
    lost: Callable[[TcpConnection, str], None]
    #: Anybody may call and send nonsense, thousands of times.
    complaints: LogLimit = field(default_factory=LogLimit)


class TcpConnection(asyncio.Protocol):
    """One connection, taken (``accepted``) or made by us. It may be written to before it stands."""

    def __init__(self, context: TcpContext, name: str, target: Endpoint | None = None) -> None:
        """``name``: the transport's, for endpoints. ``target``: where we connect to; None: it is taken."""
        self._context = context
        self._name = name
        self._transport: asyncio.Transport | None = None
        self._framer = StreamFramer()
        self._pongs = 0
        self._reason = ""
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._last_write = float("-inf")
        self._unanswered_since: float | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._unfinished: asyncio.TimerHandle | None = None
        self.accepted = target is None
        #: The other end, as the system sees it.
        self.peer = target or Endpoint(name, "", 0)
        #: The endpoints that this connection leads to. Kept by ``tcp``.
        self.leads_to: set[Endpoint] = set()
        #: When something last came, or the connection was made.
        self.last_read = context.loop.time()
        #: Whether a whole message came.
        self.heard = False
        #: Why it did not come about, or not last, in words; empty where ``tcp`` has nothing to say of it.
        self.why = ""
        #: What the other end showed, over TLS.
        self.certificate: Certificate | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        self.certificate = transport.get_extra_info("peercert")
        address = transport.get_extra_info("peername")
        if not address or address == transport.get_extra_info("sockname"):
            # Gone already; or connected to itself, which the kernel does when the port that it chose for us
            # is the very one that we call.
            self.abort(REFUSED)
            return
        if self.accepted:
            self.peer = endpoint_of(self._name, address)
            delay = self._context.options.first_message_timeout
            self._silence = self._context.loop.call_later(delay, self._too_silent)
        _prepare(transport.get_extra_info("socket"))
        if not self._context.made(self):
            self.abort(SHUT)
            return
        early, self._early = self._early, []
        for data in early:
            self.send(data)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._context.counters.bytes["in"] += len(data)
        self._unanswered_since = None
        self.last_read = self._context.loop.time()
        if self.accepted:
            known = self._context.options.is_node(self.peer)
            self._framer.max_message = MAX_STREAM_MESSAGE if known else STRANGER_MESSAGE_BYTES
        try:
            messages = self._framer.feed(data)
        except MessageError as error:
            self._not_sip(error)
            return
        self._watch_message(bool(messages))
        for message in messages:
            self._deliver(message)
        if self._framer.error is not None:
            self._not_sip(self._framer.error)
        elif self._framer.pongs != self._pongs:
            pings, self._pongs = self._framer.pongs - self._pongs, self._framer.pongs
            self.send(PONG * pings)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timers()
        if isinstance(exc, OSError):
            reason = reason_of(exc)
            if isinstance(exc, ssl.SSLError) and not self.heard:
                self.why = words(exc)
            # Once something came, the handshake was good.
            self._end(RESET if reason == TLS and self.heard else reason)
        else:
            self._end(CLOSED if exc is None else RESET)

    # What ``tcp`` calls

    def send(self, data: bytes) -> None:
        """Write; or drop, counted, when too much waits already or the connection is at its end."""
        transport = self._transport
        waiting = self._early_bytes if transport is None else transport.get_write_buffer_size()
        if not self.usable:
            self._context.counters.drops["tcp_closed"] += 1
        elif waiting + len(data) > self._context.options.backlog:
            self._context.counters.drops["tcp_backlog"] += 1
        else:
            self._last_write = self._context.loop.time()
            if self._unanswered_since is None:
                self._unanswered_since = self._last_write
            if transport is None:
                self._early.append(data)
                self._early_bytes += len(data)
            else:
                self._context.counters.bytes["out"] += len(data)
                transport.write(data)

    @property
    def usable(self) -> bool:
        """Whether something written now could still arrive."""
        return not self._reason and (self._transport is None or not self._transport.is_closing())

    @property
    def answer_due(self) -> bool:
        """Whether somebody may still wait for an answer over this connection."""
        return self._context.loop.time() - self._last_write < ANSWER_SECONDS

    @property
    def stale(self) -> bool:
        """Whether the other end is silent although it was written to."""
        since = self._unanswered_since
        return since is not None and self._context.loop.time() - since > STALE_SECONDS

    def close(self) -> None:
        """Write what waits, then close, with no word to anybody; unless the other side was first."""
        if self._transport is None or not self._transport.is_closing():
            self._reason = self._reason or SHUT
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Break it off at once, for ``reason``."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def not_made(self, reason: str, why: str = "") -> None:
        """The attempt to connect failed; ``why``: in words."""
        self.why = why
        self._context.counters.drops[f"tcp_{reason}"] += len(self._early)
        self._early.clear()
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._transport = None
        self._context.lost(self, self._reason)

    def _deliver(self, message: bytes) -> None:
        self._hear()
        try:
            self._context.receive(message, self.peer)
        except Exception:
            self._context.counters.drops["receive_error"] += 1
            log.exception("a message from %s port %d broke its receiver", self.peer.host, self.peer.port)

    def _hear(self) -> None:
        if not self.heard and self.certificate:
            self._context.options.tls_failed(self.peer, "")
        self.heard = True
        self._stop_silence_timer()

    def _stop_silence_timer(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _stop_timers(self) -> None:
        self._stop_silence_timer()
        if self._unfinished is not None:
            self._unfinished.cancel()
            self._unfinished = None

    def _too_silent(self) -> None:
        self._silence = None
        self._context.counters.drops["tcp_silent"] += 1
        self.abort(SHUT)

    def _watch_message(self, ended: bool) -> None:
        """A message that has begun must end in time. ``ended``: what comes now belongs to another one."""
        begun = self._framer.begun
        if self._unfinished is not None and (ended or not begun):
            self._unfinished.cancel()
            self._unfinished = None
        if begun and self._unfinished is None:
            delay = self._context.options.message_timeout
            self._unfinished = self._context.loop.call_later(delay, self._too_slow)

    def _too_slow(self) -> None:
        self._unfinished = None
        self._context.counters.drops["tcp_unfinished"] += 1
        self.abort(TIMEOUT)

    def _not_sip(self, error: MessageError) -> None:
        self._context.counters.drops[error.reason] += 1
        if self._context.complaints.may(self.peer.host, self._context.loop.time()):
            log.warning("closing the connection with %s port %d: %s", self.peer.host, self.peer.port, error)
        self.abort(FRAMING)


def _prepare(sock: socket.socket | None) -> None:
    """No delay for small messages; and a peer whose machine is gone is noticed."""
    if sock is None:
        return
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    if sys.platform == "linux":
        options += [
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_SECONDS * 1000),
        ]
    for level, option, value in options:
        try:
            sock.setsockopt(level, option, value)
        except OSError as error:
            log.debug("a connection without socket option %d: %s", option, error)
