"""Socket addresses as the system writes them, and as the bus does (:class:`Endpoint`).

Owns the conversion both ways and the question which local address is near a remote one. Never asks the DNS:
what is not an address is told apart here, before the system could block over it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dmqcache.bus.sip.uri import Endpoint

#: (host, port) of IPv4; (host, port, flow, scope) of IPv6
Address = tuple[Any, ...]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_PORT = 65_535

T = TypeVar("T")


def host_of(address: Address) -> str:
    """The host of a socket address; a link-local IPv6 one keeps its interface, as nothing else reaches it."""
    if len(address) == 4 and address[3]:
        return f"{str(address[0]).partition('%')[0]}%{address[3]}"
    return str(address[0])


def endpoint_of(transport: str, address: Address) -> Endpoint:
    """The endpoint for a socket address."""
    return Endpoint(transport, host_of(address), address[1])


def ip_of(host: str) -> IPAddress | None:
    """The IP address that ``host`` spells, or None if it is a name or nonsense."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def family_of(ip: IPAddress) -> socket.AddressFamily:
    """The socket family for an address."""
    return socket.AF_INET if ip.version == 4 else socket.AF_INET6


def address_of(ip: IPAddress, port: int) -> Address:
    """What the system's calls take. An interface that is not there becomes 0: no route, and no exception."""
    if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
        return (str(ip).partition("%")[0], port, 0, _interface(ip.scope_id))
    return (str(ip), port)


def nearest(locals_: Sequence[T], ip_of_local: Callable[[T], IPAddress], remote: IPAddress) -> T | None:
    """The local one to reach ``remote`` from: of its family, first one that is on loopback just as it is
    (a socket bound to loopback cannot reach beyond it), else any. None: no local one of that family."""
    family = [local for local in locals_ if ip_of_local(local).version == remote.version]
    for local in family:
        if ip_of_local(local).is_loopback == remote.is_loopback:
            return local
    return family[0] if family else None


def open_socket(kind: socket.SocketKind, ip: IPAddress, port: int) -> socket.socket:
    """A non-blocking socket bound to an address. OSError naming the address if it is not to be had."""
    sock = socket.socket(family_of(ip), kind)
    try:
        sock.setblocking(False)
        if ip.version == 6:
            # Else [::] would take 0.0.0.0 too, and IPv4 peers would come with addresses of IPv6.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of the process before us may still be in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address_of(ip, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(socket.SOMAXCONN)
    except OSError as error:
        sock.close()
        name = "tcp" if kind == socket.SOCK_STREAM else "udp"
        text = f"cannot listen on {name} {ip} port {port}: {error.strerror or error}"
        raise OSError(error.errno, text) from error
    return sock


def _interface(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else socket.if_nametoindex(name)
    except OSError:
        return 0
