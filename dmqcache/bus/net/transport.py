"""Bytes between this node and others, over whichever transport an endpoint names.

Owns the choice between UDP, TCP and TLS and the addresses that a node listens on. Knows nothing of what a
message says.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net.failure import UNSUPPORTED, Failed, Failures
from dmqcache.bus.net.sockaddr import IPAddress, ip_of
from dmqcache.bus.net.tcp import TcpOptions, TcpTransport
from dmqcache.bus.net.tls import TlsContexts
from dmqcache.bus.net.udp import UdpOptions, UdpTransport
from dmqcache.bus.sip.uri import Endpoint, NodeURI

Receive = Callable[[bytes, Endpoint], None]


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What may be set about sockets."""

    udp: UdpOptions = field(default_factory=UdpOptions)
    tcp: TcpOptions = field(default_factory=TcpOptions)
    #: None: no ``tls`` endpoint is listened on or sent to.
    tls: TlsContexts | None = None


class Transports:
    """Every socket of one node. Lives on one event loop."""

    def __init__(
        self,
        listen: Sequence[NodeURI],
        receive: Receive,
        failed: Failed,
        counters: BusCounters,
        options: TransportOptions | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """``listen``: the addresses to take messages on; port 0 takes any free one.

        ``receive`` is called with each whole SIP message and where it came from; over TCP that is the
        connection's far end, to which an answer goes back over the same connection. ``failed`` is called on
        a turn of its own with an endpoint that cannot be reached and why (the words of ``failure``): it is
        about the endpoint, and everything lately sent there may be lost. ``counters``: bytes and drops are
        counted here. ``loop``: default the running one.
        """
        self._loop = loop if loop is not None else asyncio.get_running_loop()
        self._listen = tuple(listen)
        self._options = options if options is not None else TransportOptions()
        self._counters = counters
        self._failures = Failures(self._loop, failed)
        self._udp = UdpTransport(self._loop, receive, self._failures, counters, self._options.udp)
        self._streams = {
            "tcp": TcpTransport(self._loop, receive, self._failures, counters, self._options.tcp)
        }
        if self._options.tls is not None:
            self._streams["tls"] = TcpTransport(
                self._loop, receive, self._failures, counters, self._options.tcp, "tls", self._options.tls
            )
        self._bound: tuple[Endpoint, ...] = ()
        self._closed = False

    @property
    def bound(self) -> tuple[Endpoint, ...]:
        """Where this node really listens, in the order of ``listen``. Empty before :meth:`start`."""
        return self._bound

    async def start(self) -> None:
        """Bind every address. OSError with a text that names the one that is not to be had; then none is
        left bound."""
        try:
            self._bound = tuple([await self._bind(uri) for uri in self._listen])
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Write what waits, for at most a second, and close everything. Nothing is reported any more."""
        self._closed = True
        self._failures.stop()
        self._udp.close()
        await asyncio.gather(*(stream.close() for stream in self._streams.values()))

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send one SIP message. Never blocks, never raises: what goes wrong comes through ``failed`` on a
        later turn of the loop. No news says nothing: a datagram may be lost silently."""
        if self._closed:
            self._counters.drops["transport_closed"] += 1
        elif to.transport == "udp":
            self._udp.send(data, to)
        elif to.transport in self._streams:
            self._streams[to.transport].send(data, to)
        else:
            self._counters.drops["transport_unsupported"] += 1
            self._failures.report(to, UNSUPPORTED)

    def connected(self, endpoint: Endpoint) -> bool:
        """Whether something sent to ``endpoint`` would go over a connection that stands. True for UDP."""
        stream = self._streams.get(endpoint.transport)
        return stream is None or stream.connected(endpoint)

    def covers(self, source: Endpoint, host: str) -> bool:
        """Whether who speaks from ``source`` has shown that it is ``host``: over TLS by its certificate; over
        the other transports nothing is shown, and nothing denied."""
        return source.transport != "tls" or self._streams["tls"].covers(source, host)

    async def use_tls(self, contexts: TlsContexts) -> None:
        """From now on make handshakes with these; connections that stand go on."""
        if "tls" in self._streams:
            await self._streams["tls"].use_tls(contexts)

    def apply_allow_list(self) -> None:
        """The names of the allow list lead elsewhere now."""
        self._udp.apply_allow_list()

    def alias(self, endpoint: Endpoint, source: Endpoint) -> None:
        """A message from ``source`` named ``endpoint`` as where its sender listens (Via sent-by): over TCP
        send there on the same connection. Does nothing where that would be wrong or for UDP."""
        stream = self._streams.get(source.transport)
        if stream is not None:
            stream.alias(endpoint, source)

    async def _bind(self, uri: NodeURI) -> Endpoint:
        if uri.transport != "udp" and uri.transport not in self._streams:
            raise OSError(f"cannot listen on {uri}: TLS needs a certificate, its key and the CA")
        ip = await self._ip(uri)
        if uri.transport == "udp":
            bound = self._udp.listen(ip, uri.port)
        else:
            bound = await self._streams[uri.transport].listen(ip, uri.port)
        for stream in self._streams.values():
            stream.use_local(ip)
        return bound

    async def _ip(self, uri: NodeURI) -> IPAddress:
        """The address to bind: a name's first one."""
        ip = ip_of(uri.host)
        if ip is not None:
            return ip
        try:
            found = await self._loop.getaddrinfo(uri.host, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise OSError(f"cannot listen on {uri}: {uri.host} does not resolve ({error})") from error
        ip = ip_of(str(found[0][4][0])) if found else None
        if ip is None:
            raise OSError(f"cannot listen on {uri}: {uri.host} has no address")
        return ip
