"""One datagram socket: reads and writes under the event loop, and what ICMP says about what it wrote.

Our own, because asyncio's stock transport costs five times as much for each datagram. Owns what waits for a
full socket buffer, the error queue and the kernel's count of drops. Which socket sends is ``udp``'s choice;
the meaning of the bytes and their retransmission are the bus's.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from dmqcache.bus.allow import AllowList
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net import packet_filter
from dmqcache.bus.net.failure import ERROR, REFUSED, TOO_LARGE, UNREACHABLE, Failures, reason_of
from dmqcache.bus.net.readiness import Readiness
from dmqcache.bus.net.sockaddr import Address, IPAddress, endpoint_of
from dmqcache.bus.sip.uri import Endpoint

log = logging.getLogger(__name__)

#: The longest payload that the protocol can carry (RFC 768); a read of this size cuts nothing.
DATAGRAM_BYTES = 65_535
#: Datagrams read or written in one wake-up before everybody else gets a turn: at 100 us each for the bus's
#: own work this holds the loop for 6 ms.
DATAGRAMS_PER_WAKEUP = 64
#: Seconds after which no further one is read: those of a sync take milliseconds each.
READ_SECONDS = 0.002
#: Kamailio's initial sync sends a table at once: 8 MiB hold about 130 of its 60 kB datagrams.
SOCKET_BUFFER_BYTES = 8 * 1024 * 1024
#: What may wait for a full socket buffer. SIP sends again what is dropped.
BACKLOG_BYTES = 8 * 1024 * 1024
#: Peers whose endpoint is remembered in its ready form; when full all are forgotten and learned again.
KNOWN_PEERS = 4096
#: Tries of one send. The errors of earlier datagrams each cost one, see :meth:`UdpSocket.send`.
SEND_TRIES = 4
#: Seconds between looks at the kernel's count of what found no room.
KERNEL_DROPS_SECONDS = 0.1
#: Nothing of SIP is this short: CR, LF and NUL that hold a NAT's mapping open.
KEEPALIVE_BYTES = 4

# Linux, from <linux/in.h>, <linux/in6.h>, <linux/errqueue.h> and <asm-generic/socket.h>; Python does not
# name them all.
IP_RECVERR = 11
IPV6_RECVERR = 25
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
MEMINFO = struct.Struct("=9I")
MEMINFO_DROPS = 8
#: struct sock_extended_err: errno, origin, type, code, padding, info, data
EXTENDED_ERROR = struct.Struct("=IBBBBII")
ERROR_ORIGINS_ICMP = (2, 3)
ERROR_ANCILLARY_BYTES = 512
#: Bytes read of what an ICMP error quotes of our datagram: RFC 1812 4.3.2.3 has 576 of the whole packet.
QUOTE_BYTES = 576

Receive = Callable[[bytes, Endpoint], None]


@dataclass(frozen=True, slots=True)
class UdpOptions:
    """What may be set about datagrams."""

    #: Bytes asked for each socket's buffers. More: longer bursts survive. Fewer: less kernel memory.
    socket_buffer: int = SOCKET_BUFFER_BYTES
    #: Bytes that may wait when a socket's send buffer is full.
    backlog: int = BACKLOG_BYTES
    #: Whose datagrams are read at all.
    allow: AllowList = field(default_factory=AllowList)
    #: Whether what an ICMP error quotes was sent to an endpoint: anybody can send such an error in a node's
    #: name, but only who got our datagram can quote it.
    was_sent: Callable[[bytes, Endpoint], bool] = lambda quote, to: True


@dataclass(frozen=True, slots=True)
class UdpContext:
    """What all datagram sockets of a node have in common."""

    loop: asyncio.AbstractEventLoop
    receive: Receive
    failures: Failures
    counters: BusCounters
    options: UdpOptions
    #: Told which socket heard a peer, where there is a choice.
    heard: Callable[[Endpoint, UdpSocket, Address], None]


class UdpSocket:
    """One bound socket."""

    def __init__(self, context: UdpContext, sock: socket.socket, ip: IPAddress) -> None:
        self._context = context
        self._sock = sock
        self._counters = context.counters
        self._receive = context.receive
        self.endpoint = endpoint_of("udp", sock.getsockname())
        self.ip = ip
        #: Set when another socket could send to the same peers: then the one that heard a peer answers it.
        self.shared = False
        #: None: a stranger, of whom nothing is read.
        self._peers: dict[Address, Endpoint | None] = {}
        self._filtered = False
        self._queue: deque[tuple[bytes, Address, Endpoint]] = deque()
        self._queued = 0
        self._kernel_drops = 0
        self._next_look = 0.0
        self._buffer_errors = packet_filter.receive_buffer_errors() if context.options.allow else 0
        _enlarge_buffers(sock, context.options.socket_buffer)
        self._reports_errors = _report_errors(sock)
        self.apply_allow_list()
        self._readiness = Readiness(context.loop, sock, self._ready)

    def send(self, data: bytes, address: Address, to: Endpoint) -> None:
        """Send one datagram, now or when the buffer has room; a failure is reported and counted."""
        if self._queue or not self._sent(data, address, to):
            self._enqueue(data, address, to)

    def apply_allow_list(self) -> None:
        """The list is new, or its names lead elsewhere now."""
        self._peers.clear()
        allow = self._context.options.allow
        if allow:
            self._filtered = packet_filter.attach(self._sock, tuple(allow.networks()))

    def close(self) -> None:
        """Send what the kernel still takes, then close."""
        self._flush(len(self._queue))
        self._drop_backlog(len(self._queue))
        self._queue.clear()
        self._queued = 0
        self._readiness.close()
        self._sock.close()

    def _sent(self, data: bytes, address: Address, to: Endpoint) -> bool:
        """True when the datagram is gone for good or for bad, False when the socket is full."""
        # With IP_RECVERR the kernel shows the error of an earlier datagram, to another peer, once instead
        # of doing what was asked. So what fails is tried again, and an innocent peer loses nothing.
        for attempt in range(1, SEND_TRIES + 1):
            try:
                self._sock.sendto(data, address)
            except BlockingIOError:
                return False
            except OSError as error:
                self._read_errors()
                if attempt == SEND_TRIES:
                    self._lost(to, error)
            else:
                self._counters.bytes["out"] += len(data)
                break
        return True

    def _lost(self, to: Endpoint, error: OSError) -> None:
        if error.errno in (errno.ENOBUFS, errno.ENOMEM):
            # This machine is short of room: a loss like any other on the way, and no word on the peer.
            self._counters.drops["udp_no_buffer"] += 1
            return
        reason = reason_of(error)
        self._counters.drops[f"udp_{reason}"] += 1
        if reason == REFUSED:
            return  # an error of another datagram each time: a flood of them
        if reason in (ERROR, TOO_LARGE):
            log.warning("a datagram to %s could not be sent: %s", _text(to), error)
        self._context.failures.report(to, reason)

    def _enqueue(self, data: bytes, address: Address, to: Endpoint) -> None:
        if self._queued + len(data) > self._context.options.backlog:
            self._drop_backlog(1)
            return
        if not self._queue:
            self._readiness.want_write(True)
        self._queue.append((data, address, to))
        self._queued += len(data)

    def _drop_backlog(self, count: int) -> None:
        if count:
            self._counters.drops["udp_backlog"] += count

    def _flush(self, limit: int) -> None:
        queue = self._queue
        for _ in range(min(len(queue), limit)):
            data, address, to = queue[0]
            if not self._sent(data, address, to):
                return
            queue.popleft()
            self._queued -= len(data)

    def _ready(self) -> None:
        if self._queue:
            self._flush(DATAGRAMS_PER_WAKEUP)
            if not self._queue:
                self._readiness.want_write(False)
        self._read()

    def _read(self) -> None:
        """Read until the socket is empty, but no more than the turn's share."""
        recvfrom = self._sock.recvfrom
        until = monotonic() + READ_SECONDS
        for count in range(DATAGRAMS_PER_WAKEUP):
            try:
                # Measured: cheaper than recv_into one buffer and a copy out of it, at every size.
                data, address = recvfrom(DATAGRAM_BYTES)
            except BlockingIOError:
                # Woken for nothing: then it was for an error.
                if count == 0 and self._reports_errors:
                    self._read_errors()
                self._count_kernel_drops()
                return
            except OSError as error:
                if self._sock.fileno() < 0:
                    return  # closed by a callback
                log.debug("reading from %s: %s", _text(self.endpoint), error)
                self._read_errors()
            else:
                self._got(data, address)
                if monotonic() > until:
                    return

    def _got(self, data: bytes, address: Address) -> None:
        self._counters.bytes["in"] += len(data)
        if len(data) <= KEEPALIVE_BYTES:
            self._counters.drops["udp_keepalive"] += 1
            return
        source = self._peers[address] if address in self._peers else self._know(address)
        if source is None:
            self._counters.drops["not_allowed"] += 1
            return
        if self.shared:
            self._context.heard(source, self, address)
        try:
            self._receive(data, source)
        except Exception:
            self._counters.drops["receive_error"] += 1
            log.exception("a datagram from %s broke its receiver", _text(source))

    def _know(self, address: Address) -> Endpoint | None:
        if len(self._peers) >= KNOWN_PEERS:
            self._peers.clear()
        endpoint = endpoint_of("udp", address)
        allowed = self._context.options.allow.allows(endpoint.host)
        self._peers[address] = endpoint if allowed else None
        return self._peers[address]

    def _count_kernel_drops(self) -> None:
        """Now and then: what the full receive buffer cost. Linux only."""
        now = self._context.loop.time()
        if sys.platform == "linux" and now >= self._next_look:
            self._next_look = now + KERNEL_DROPS_SECONDS
            total = MEMINFO.unpack(self._sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))
            drops = total[MEMINFO_DROPS]
            if drops != self._kernel_drops:
                # A counter of 32 bits.
                self._account((drops - self._kernel_drops) & 0xFFFFFFFF)
                self._kernel_drops = drops

    def _account(self, drops: int) -> None:
        """The kernel counts what its filter turned away together with what found no room."""
        if not self._filtered:
            self._counters.drops["udp_receive_buffer"] += drops
            return
        full = packet_filter.receive_buffer_errors()
        found_no_room = min(drops, full - self._buffer_errors)
        self._buffer_errors = full
        self._counters.drops["udp_receive_buffer"] += found_no_room
        self._counters.drops["not_allowed"] += drops - found_no_room

    def _read_errors(self) -> None:
        """Empty the socket's queue of ICMP errors, which each name the peer they came for."""
        if not self._reports_errors or sys.platform != "linux":
            return
        for _ in range(DATAGRAMS_PER_WAKEUP):
            try:
                quote, extra, _, address = self._sock.recvmsg(
                    QUOTE_BYTES, ERROR_ANCILLARY_BYTES, socket.MSG_ERRQUEUE
                )
            except OSError:
                return
            for _level, _kind, payload in extra:
                self._icmp(payload, address, quote)

    def _icmp(self, payload: bytes, address: Address, quote: bytes) -> None:
        if len(payload) < EXTENDED_ERROR.size or not address:
            return
        code, origin, *_ = EXTENDED_ERROR.unpack_from(payload)
        # What the sending call reported itself comes here once more; path MTU news (EMSGSIZE) is no failure:
        # the kernel cuts the next datagram smaller.
        if origin not in ERROR_ORIGINS_ICMP or code == errno.EMSGSIZE:
            return
        endpoint = endpoint_of("udp", address)
        if not self._context.options.was_sent(quote, endpoint):
            self._counters.drops["icmp_unproven"] += 1
            return
        reason = REFUSED if code == errno.ECONNREFUSED else UNREACHABLE
        self._context.failures.report(endpoint, reason)


def _text(endpoint: Endpoint) -> str:
    return f"{endpoint.host} port {endpoint.port}"


def _report_errors(sock: socket.socket) -> bool:
    """Ask for ICMP errors with the address they came for. False where the system cannot."""
    if sys.platform != "linux":
        return False
    level, option = (socket.IPPROTO_IP, IP_RECVERR)
    if sock.family == socket.AF_INET6:
        level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR)
    try:
        sock.setsockopt(level, option, 1)
    except OSError as error:
        log.info("refusals of peers will not be seen at once: %s", error)
        return False
    return True


def _enlarge_buffers(sock: socket.socket, wanted: int) -> None:
    """Ask for large buffers: past the system's limit where we may, else up to it, with a word in the log."""
    for name, forced, option in (
        ("rmem_max", SO_RCVBUFFORCE, socket.SO_RCVBUF),
        ("wmem_max", SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        for attempt in (forced, option) if sys.platform == "linux" else (option,):
            try:
                sock.setsockopt(socket.SOL_SOCKET, attempt, wanted)
                break
            except OSError:
                continue
        granted = sock.getsockopt(socket.SOL_SOCKET, option)
        if sys.platform == "linux":
            granted //= 2  # Linux shows the double of what it was asked for, socket(7)
        if granted < wanted // 2:
            log.warning(
                "a socket buffer has only %d KiB of %d KiB: bursts may be lost; raise sysctl net.core.%s",
                granted // 1024, wanted // 1024, name,
            )  # fmt: skip
