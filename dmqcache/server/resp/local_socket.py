"""The unix socket for clients of this user and machine; which clients are on it, and what others are told."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from dmqcache.server.unix_socket import bind_path

#: What a client of another machine is told while there is no password; Redis' first sentences.
PROTECTED: Final = (
    "DENIED dmqcache is running in protected mode because protected mode is enabled and no password is set "
    "for the default user. In this mode connections are only accepted from the loopback interface. If you "
    "want to connect from external computers you may adopt one of the following solutions: 1) Setup an "
    "authentication password for the default user: --client-password-file. 2) Name users and what they may "
    "in a file: --client-acl-file, with 'user default off'. 3) Disable protected mode with --allow-open, "
    "however MAKE SURE the node is not publicly accessible from internet if you do so. NOTE: You only need "
    "to do one of the above things in order for the node to start accepting connections from the outside."
)


def bind(path: Path) -> socket.socket:
    """A socket that is bound to ``path``: see :func:`~dmqcache.server.unix_socket.bind_path`."""
    return bind_path(path, socket.SOCK_STREAM, "client_socket")


def is_local(client: socket.socket | None, host: str) -> bool:
    """Whether a client is on this machine: its socket is of that kind, or its address is of loopback."""
    if client is not None and client.family == socket.AF_UNIX:
        return True
    return host.startswith(("127.", "::ffff:127.")) or host == "::1"
