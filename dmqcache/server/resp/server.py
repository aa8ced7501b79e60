"""The Redis protocol's server: it listens, and hands each client to a ``Connection``."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Final

from dmqcache.server.resp.clients import MAX_CLIENTS, Clients
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.connection import Connection
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.session import RespCounters, ServedNode, Shared

#: Connections that may wait to be accepted (Redis' tcp-backlog).
BACKLOG: Final = 511
#: The longest argument unless the tables take longer values: enough to be told so instead of cut off.
MAX_ARGUMENT_BYTES: Final = 16 << 20


class RespServer:
    """Serves the tables of one node to Redis clients. ``port`` 0 lets the system choose."""

    def __init__(
        self,
        node: ServedNode,
        host: str,
        port: int,
        *,
        max_clients: int = MAX_CLIENTS,
        max_value_bytes: int = 0,
    ) -> None:
        self._host, self._port = host, port
        self._max_argument = max(MAX_ARGUMENT_BYTES, 2 * max_value_bytes)
        self.shared = Shared(
            node,
            time.time,
            time.monotonic,
            Cursors(random.randrange(1, 1 << 31)),
            execute,
            run_id=f"{random.getrandbits(160):040x}",
            max_clients=max_clients,
            room=max_clients,
            started=time.monotonic(),
        )
        self._clients = Clients(self.shared)
        self._server: asyncio.Server | None = None

    @property
    def counters(self) -> RespCounters:
        """Plain numbers, for the metrics."""
        return self.shared.counters

    @property
    def clients(self) -> int:
        """Connections now."""
        return len(self._clients)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._host, self.shared.port

    async def start(self) -> None:
        """Listen. OSError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self.shared, self._clients, self._max_argument, loop),
                self._host,
                self._port,
                backlog=BACKLOG,
            )
        except OSError as problem:
            # The loop's own text repeats the address; the system's says enough.
            reason = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem)
            raise OSError(problem.errno, reason) from None
        self.shared.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and close every connection once its replies are out."""
        if self._server is None:
            return
        self._server.close()
        self._clients.close()
        self._server = None
        await asyncio.sleep(0)
