"""Where servers listen: HOST:PORT. SIP addresses of nodes are ``bus/sip/uri.py``'s."""

from __future__ import annotations

from typing import NamedTuple

MAX_PORT = 65535


class HostPort(NamedTuple):
    """A host and a TCP port. Port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(text: str) -> HostPort:
    """``127.0.0.1:6380``, ``[::1]:6380``, ``host:6380``. ValueError with the reason: "must ..."."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host:
        raise ValueError("must be HOST:PORT, like 127.0.0.1:6380 or [::1]:6380")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("must have an IPv6 address in brackets, like [::1]:6380")
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise ValueError(f"must end in a port from 0 to {MAX_PORT}, not {port!r}")
    if not _can_be_asked_for(host):
        raise ValueError(
            "must have a host that there can be, like node1.example.org: 1 to 63 characters between dots"
        )
    return HostPort(host, int(port))


def _can_be_asked_for(host: str) -> bool:
    """Whether a host can be looked up at all, be it there or not: else that raises what is no OSError."""
    try:
        host.encode("idna")  # as the lookup itself does
    except UnicodeError:
        return False
    return "\0" not in host
