"""All datagram sockets of a node, and the choice of the one that sends.

Owns binding and routes. How one socket reads, writes and learns of refusals is ``udp_socket``'s.
"""

from __future__ import annotations

import asyncio
import socket

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net.failure import UNSUPPORTED, Failures
from dmqcache.bus.net.sockaddr import MAX_PORT, Address, IPAddress, address_of, ip_of, nearest, open_socket
from dmqcache.bus.net.udp_socket import KNOWN_PEERS, Receive, UdpContext, UdpOptions, UdpSocket
from dmqcache.bus.sip.uri import Endpoint

__all__ = ["UdpOptions", "UdpTransport"]

Route = tuple[UdpSocket, Address]


class UdpTransport:
    """Sends and receives datagrams on any number of addresses."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: Receive,
        failures: Failures,
        counters: BusCounters,
        options: UdpOptions,
    ) -> None:
        self._context = UdpContext(loop, receive, failures, counters, options, self._heard)
        self._sockets: list[UdpSocket] = []
        self._routes: dict[Endpoint, Route] = {}

    def listen(self, ip: IPAddress, port: int) -> Endpoint:
        """Bind a socket; returns where it really is (``port`` 0: any free). OSError naming the address."""
        added = UdpSocket(self._context, open_socket(socket.SOCK_DGRAM, ip, port), ip)
        for other in self._sockets:
            if other.ip.version == ip.version:
                other.shared = added.shared = True
        self._sockets.append(added)
        return added.endpoint

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send one datagram. Never blocks, never raises; ``unsupported`` if no socket can reach there."""
        route = self._routes.get(to) or self._find(to)
        if route is None:
            self._context.counters.drops["udp_unsupported"] += 1
            self._context.failures.report(to, UNSUPPORTED)
        else:
            route[0].send(data, route[1], to)

    def apply_allow_list(self) -> None:
        """The allow list leads elsewhere now."""
        for sock in self._sockets:
            sock.apply_allow_list()

    def close(self) -> None:
        """Close every socket."""
        sockets, self._sockets = self._sockets, []
        self._routes.clear()
        for sock in sockets:
            sock.close()

    def _heard(self, peer: Endpoint, by: UdpSocket, address: Address) -> None:
        """Answer ``peer`` from the socket that it called, as RFC 3581 section 4 and its firewall want."""
        route = self._routes.get(peer)
        if route is None or route[0] is not by:
            self._remember(peer, by, address)

    def _find(self, to: Endpoint) -> Route | None:
        """The way to a peer that has not called yet, or None if there is none."""
        # A name is never handed to the system here: it would go and ask the DNS, and block.
        ip = ip_of(to.host)
        if ip is None or not 0 < to.port <= MAX_PORT:
            return None
        sock = nearest(self._sockets, lambda candidate: candidate.ip, ip)
        return None if sock is None else self._remember(to, sock, address_of(ip, to.port))

    def _remember(self, peer: Endpoint, sock: UdpSocket, address: Address) -> Route:
        if len(self._routes) >= KNOWN_PEERS:
            self._routes.clear()
        route = self._routes[peer] = (sock, address)
        return route
