"""The unix socket for clients of this user and machine, and which clients are on this machine."""

from __future__ import annotations

import socket
from pathlib import Path

from dmqcache.server.unix_socket import bind_path


def bind(path: Path) -> socket.socket:
    """A socket that is bound to ``path``: see :func:`~dmqcache.server.unix_socket.bind_path`."""
    return bind_path(path, socket.SOCK_STREAM, "client_socket")


def is_local(client: socket.socket | None, host: str) -> bool:
    """Whether a client is on this machine: its socket is of that kind, or its address is of loopback."""
    if client is not None and client.family == socket.AF_UNIX:
        return True
    return host.startswith(("127.", "::ffff:127.")) or host == "::1"
