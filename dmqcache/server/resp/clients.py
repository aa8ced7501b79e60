"""All clients of one server, and what they may take together: connections, and bytes that are held for them.

What one client may take is bounded in ``connection.py``; many that each stay below that could still fill the
memory. Then the one for whom most is held is ended, as Redis does with ``maxmemory-clients``.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from dmqcache.server.resp.session import Shared

log = logging.getLogger("dmqcache.server.resp.clients")

#: Clients at once (Redis' default).
MAX_CLIENTS: Final = 10_000
#: Bytes of all clients' unfinished commands, commands that wait (for EXEC too), watched keys, and replies
#: that were not taken.
MAX_HELD_BYTES: Final = 256 << 20
#: Bytes of one read (as Redis): what of a client is run before others have their turn, of short commands
#: some hundreds.
READ_BYTES: Final = 16 << 10


class Client(Protocol):
    """A connection, as far as the others are concerned."""

    #: Bytes that are held for it, as it told last.
    held: int

    def end(self, reason: str) -> None:
        """Close it at once; ``reason`` is counted."""

    def close(self) -> None:
        """Close it once its replies are out."""


class Clients:
    """The connections of one server."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._clients: set[Client] = set()
        #: Where every read of every client goes: it is taken out before the next one.
        self.buffer: Final = memoryview(bytearray(READ_BYTES))

    def __len__(self) -> int:
        return len(self._clients)

    def admit(self, client: Client) -> bool:
        """Whether there is room for one more."""
        self._shared.counters.connections += 1
        if len(self._clients) >= self._shared.max_clients:
            self._shared.counters.refused["max_clients"] += 1
            return False
        self._clients.add(client)
        return True

    def forget(self, client: Client) -> None:
        """The connection is gone."""
        self._clients.discard(client)
        self._shared.held -= client.held
        client.held = 0

    def hold(self, client: Client, size: int) -> None:
        """So many bytes are held for a client now."""
        self._shared.held += size - client.held
        client.held = size
        if self._shared.held > MAX_HELD_BYTES:
            largest = max(self._clients, key=lambda one: one.held)
            log.warning(
                "closing a connection that holds %d bytes: all clients together hold too much", largest.held
            )
            largest.end("memory")
            self.forget(largest)

    def close(self) -> None:
        """Close every connection once its replies are out."""
        for client in list(self._clients):
            client.close()
