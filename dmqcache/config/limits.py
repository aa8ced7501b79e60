"""What the operating system allows one process, raised as far as it lets us."""

from __future__ import annotations

import resource

#: Files beside the clients' connections: sockets of the bus, TCP connections to other nodes, HTTP, the log.
OTHER_FILES = 1024


def raise_open_files(clients: int) -> int:
    """Allow one open file for each of ``clients`` and what the node needs itself; returns how many clients
    there is room for. The usual soft limit, 1,024, would end far below Redis' 10,000 clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return clients
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return max(1, min(clients, allowed - OTHER_FILES))
