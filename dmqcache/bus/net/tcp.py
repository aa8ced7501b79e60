"""All TCP connections of a node: one for each endpoint, made when something is to be sent, kept, used both
ways.

Owns listening, connecting, back-off and which connection leads where. What goes on inside one connection is
``tcp_connection``'s. Nothing is sent twice here: what a broken connection held is reported as failed.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net import tls
from dmqcache.bus.net.backoff import Backoff
from dmqcache.bus.net.failure import (
    CERTIFICATE,
    CLOSED,
    ERROR,
    RESET,
    SHUT,
    TLS,
    UNSUPPORTED,
    Failures,
    reason_of,
)
from dmqcache.bus.net.handshake_words import ENDED_WORDLESS, is_about_trust, listed, words
from dmqcache.bus.net.handshakes import Bounds, Handshakes, Listener
from dmqcache.bus.net.log_limit import News
from dmqcache.bus.net.sockaddr import MAX_PORT, IPAddress, endpoint_of, ip_of, nearest, open_socket
from dmqcache.bus.net.tcp_connection import Receive, TcpConnection, TcpContext, TcpOptions
from dmqcache.bus.net.tls import TlsContexts
from dmqcache.bus.sip.uri import Endpoint

__all__ = ["TcpOptions", "TcpTransport"]

log = logging.getLogger(__name__)

#: Seconds that peers have at the end to take what was written to them, the goodbye above all.
CLOSE_SECONDS = 1.0


class TcpTransport:
    """Sends and receives whole messages over connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: Receive,
        failures: Failures,
        counters: BusCounters,
        options: TcpOptions,
        name: str = "tcp",
        tls: TlsContexts | None = None,
    ) -> None:
        """``name``: the transport's in endpoints. ``tls``: wraps every connection."""
        self._context = TcpContext(loop, receive, counters, options, self._made, self._lost)
        self._loop = loop
        self._failures = failures
        self._counters = counters
        self._name = name
        self._tls = tls
        #: What is wrong with certificates of those who call us, and of those whom we call.
        self._callers, self._called = News(), News()
        self._shakes = None if tls is None else self._handshakes(tls, options)
        self._listening: list[asyncio.AbstractServer | Listener] = []
        self._local_ips: list[IPAddress] = []
        self._ways: dict[Endpoint, TcpConnection] = {}
        self._connections: set[TcpConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._backoff = Backoff()
        self._closed = False
        self._empty = asyncio.Event()

    async def listen(self, ip: IPAddress, port: int) -> Endpoint:
        """Take connections; returns where (``port`` 0: any free). OSError naming the address."""
        sock = open_socket(socket.SOCK_STREAM, ip, port)
        endpoint = endpoint_of(self._name, sock.getsockname())
        try:
            self._listening.append(await self._serve(sock))
        except BaseException:
            sock.close()
            raise
        self.use_local(ip)
        return endpoint

    async def _serve(self, sock: socket.socket) -> asyncio.AbstractServer | Listener:
        if self._shakes is None:
            return await self._loop.create_server(self._taken, sock=sock)
        return self._shakes.listen(sock, self._taken, self._not_shaken)

    def _handshakes(self, contexts: TlsContexts, options: TcpOptions) -> Handshakes:
        bounds = Bounds(seconds=options.connect_timeout)
        return Handshakes(contexts.server, bounds, options.allow.allows, self._shake_failed)

    def _shake_failed(self, host: str, error: OSError) -> None:
        why = words(error)
        if is_about_trust(error) and self._callers.is_news(host, why, self._loop.time()):
            log.warning("a TLS handshake with %s, which connects to this node, failed: %s", host, why)

    def _not_shaken(self, why: str) -> None:
        self._counters.drops[why] += 1

    async def use_tls(self, contexts: TlsContexts) -> None:
        """From now on make handshakes with these; connections that stand go on as they are."""
        self._tls = contexts
        if self._shakes is not None:
            self._shakes.context = contexts.server

    def covers(self, source: Endpoint, host: str) -> bool:
        """Whether the certificate that was shown on the connection from ``source`` speaks for ``host``."""
        connection = self._ways.get(source)
        if connection is None:
            return False
        if tls.covers(connection.certificate, host):
            return True
        names = listed(tls.names(connection.certificate))
        if self._callers.is_news(source.host, names, self._loop.time()):
            log.warning(
                "nothing is taken from %s, which calls itself %s: its certificate speaks for %s",
                source.host, host, names,
            )  # fmt: skip
        return False

    def use_local(self, ip: IPAddress) -> None:
        """Connect from this address where it leads: the peer's access list knows us by it."""
        if ip not in self._local_ips:
            self._local_ips.append(ip)

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send one message. Never blocks, never raises."""
        way = self._ways.get(to)
        if way is not None and way.usable:
            way.send(data)
            return
        ip = ip_of(to.host)
        if ip is None or self._closed or not 0 < to.port <= MAX_PORT:
            self._refuse(to, UNSUPPORTED, "tcp_unsupported")
            return
        reason = self._backoff.blocks(to, self._loop.time())
        if reason:
            self._refuse(to, reason, "tcp_backoff")
            return
        connection = TcpConnection(self._context, self._name, to)
        self._lead(to, connection)
        connection.send(data)
        task = self._loop.create_task(self._connect(connection, ip), name=f"connect {to.host} {to.port}")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def connected(self, endpoint: Endpoint) -> bool:
        """Whether there is a connection to ``endpoint``."""
        way = self._ways.get(endpoint)
        return way is not None and way.usable

    def alias(self, endpoint: Endpoint, source: Endpoint) -> None:
        """A message that came over the connection from ``source`` says (Via sent-by) that its sender listens
        at ``endpoint``: send there over the same connection, unless one to there works.

        Only for the host that the connection really comes from: a stranger must not draw to itself what is
        meant for another (RFC 5923 section 9).
        """
        if endpoint == source or endpoint.host != source.host or endpoint.transport != source.transport:
            return
        connection = self._ways.get(source)
        current = self._ways.get(endpoint)
        if connection is None or connection is current or not connection.usable:
            return
        if current is None or not current.usable or current.stale:
            self._lead(endpoint, connection)

    async def close(self) -> None:
        """Stop listening, write what waits (for at most a second), close everything."""
        self._closed = True
        for server in self._listening:
            server.close()
        if self._shakes is not None:
            self._shakes.close()
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._connections):
            connection.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort(SHUT)

    def _refuse(self, to: Endpoint, reason: str, drop: str) -> None:
        self._counters.drops[drop] += 1
        self._failures.report(to, reason)

    def _lead(self, endpoint: Endpoint, connection: TcpConnection) -> None:
        """From now on ``connection`` is the way to ``endpoint``."""
        before = self._ways.get(endpoint)
        if before is not None:
            before.leads_to.discard(endpoint)
            if not before.leads_to:
                before.close()
        self._ways[endpoint] = connection
        connection.leads_to.add(endpoint)

    def _taken(self) -> TcpConnection:
        return TcpConnection(self._context, self._name)

    async def _connect(self, connection: TcpConnection, ip: IPAddress) -> None:
        to = connection.peer
        try:
            async with asyncio.timeout(self._context.options.connect_timeout):
                await self._loop.create_connection(
                    lambda: connection,
                    to.host,
                    to.port,
                    local_addr=self._local_address(ip),
                    ssl=None if self._tls is None else self._tls.client,
                )
        except asyncio.CancelledError:
            connection.not_made(SHUT)
            raise
        except OSError as error:
            connection.not_made(reason_of(error), words(error))
        except Exception:
            log.exception("connecting to %s port %d failed", to.host, to.port)
            connection.not_made(ERROR)

    def _local_address(self, remote: IPAddress) -> tuple[str, int] | None:
        local = nearest(self._local_ips, _itself, remote)
        if local is None or local.is_unspecified or (local.is_loopback and not remote.is_loopback):
            return None  # the kernel chooses by its routes
        return (str(local), 0)

    def _made(self, connection: TcpConnection) -> bool:
        if self._closed:
            return False
        if connection.accepted:
            if not self._context.options.allow.allows(connection.peer.host):
                self._counters.drops["not_allowed"] += 1
                return False
            if not self._has_room(connection.peer):
                self._counters.drops["tcp_too_many"] += 1
                if self._context.complaints.may(connection.peer.host, self._loop.time()):
                    log.warning("a connection from %s is not taken: too many", connection.peer.host)
                return False
            self._backoff.forget_host(connection.peer.host)
            self._callers.over(connection.peer.host)
            self._lead(connection.peer, connection)
        elif self._tls is not None and not self._is_meant(connection):
            return False
        self._connections.add(connection)
        return True

    def _is_meant(self, connection: TcpConnection) -> bool:
        """Whether who answers is the node that we called, by the names that we know of it."""
        peer = connection.peer
        names = {peer.host, *self._context.options.names(peer)}
        if any(tls.covers(connection.certificate, name) for name in names):
            return True
        self._counters.drops["tls_wrong_name"] += 1
        shown = listed(tls.names(connection.certificate))
        connection.why = f"its certificate speaks for none of {', '.join(sorted(names))}, but for {shown}"
        connection.abort(CERTIFICATE)
        return False

    def _has_room(self, peer: Endpoint) -> bool:
        """Whether there is a place for one more, if need be that of a connection which does nothing."""
        options = self._context.options
        taken = [other for other in self._connections if other.accepted and other.usable]
        if sum(other.peer.host == peer.host for other in taken) >= options.max_accepted_from_host:
            return False
        is_node = options.is_node(peer)
        if len(taken) < options.max_accepted - (0 if is_node else options.kept_for_nodes):
            return True
        strangers = [other for other in taken if not options.is_node(other.peer)]
        idle = min(strangers, key=lambda other: other.last_read, default=None)
        if idle is None or not (is_node or self._loop.time() - idle.last_read >= options.idle):
            return False
        self._counters.drops["tcp_idle"] += 1
        idle.abort(SHUT)
        return True

    def _lost(self, connection: TcpConnection, reason: str) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        if not connection.accepted:
            self._note_outcome(connection, reason)
        # A peer may close what is idle, as Kamailio does after two minutes: no failure of anybody.
        told = reason != SHUT and (reason != CLOSED or connection.answer_due)
        for endpoint in connection.leads_to:
            del self._ways[endpoint]
            if told:
                self._failures.report(endpoint, reason)
        connection.leads_to.clear()

    def _note_outcome(self, connection: TcpConnection, reason: str) -> None:
        # Only a peer that said something is a success: one that takes connections just to drop them must
        # not be called in a tight loop.
        if connection.heard:
            self._backoff.forget(connection.peer)
            self._called.over(_named(connection.peer))
        elif reason != SHUT:
            self._say(connection, reason)
            self._backoff.failed(connection.peer, reason, self._loop.time())

    def _say(self, connection: TcpConnection, reason: str) -> None:
        """Say once, until it works or fails for another reason, why there is no connection."""
        to, why = connection.peer, connection.why
        if not why and self._tls is not None and reason in (CLOSED, RESET):
            why = ENDED_WORDLESS
        if not why:
            return
        is_news, level = self._backoff.reason(to) != reason, logging.INFO
        if reason in (CERTIFICATE, TLS) or why is ENDED_WORDLESS:
            self._context.options.tls_failed(to, why)
            # That the same node calls us, and may be well for that, does not make it news.
            is_news = self._called.is_news(_named(to), why, self._loop.time())
            level = logging.INFO if why is ENDED_WORDLESS else logging.WARNING
        if not is_news or self._context.options.has_left(to):
            level = logging.DEBUG
        log.log(level, "no connection to %s port %d: %s", to.host, to.port, why)


def _named(endpoint: Endpoint) -> str:
    return f"{endpoint.host} port {endpoint.port}"


def _itself(ip: IPAddress) -> IPAddress:
    return ip
