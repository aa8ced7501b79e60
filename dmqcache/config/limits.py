"""What the operating system allows one process, raised as far as it lets us, and how many clients that is."""

from __future__ import annotations

import resource
from typing import Final

#: Files kept beside the clients': sockets of the bus, TCP connections to other nodes, HTTP, the log.
OTHER_FILES: Final = 1024


def raise_open_files(clients: int) -> None:
    """Allow a file for each of ``clients`` and what the node needs itself, as far as the system lets us. The
    usual soft limit, 1,024, would end far below Redis' 10,000 clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


def room_for(clients: int) -> int:
    """How many of ``clients`` may connect, so that the bus and HTTP always find a file to open: where few are
    allowed, half of them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return clients
    return max(1, min(clients, soft - min(OTHER_FILES, soft // 2)))
