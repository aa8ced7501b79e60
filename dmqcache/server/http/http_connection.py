"""One HTTP connection: how many there may be, how long a client may take, and how finely it may cut a body.

uvicorn reads and answers; here is what keeps somebody who only connects, or sends crumbs, from keeping others
out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Connections at once. Operators, Prometheus and probes need a handful; each costs a socket. One more takes
#: the place of the one that has waited longest, so that nobody who only connects keeps a probe out.
MAX_CONNECTIONS: Final = 256
#: Seconds in which a connection must bring a request, and that its body: 2 MiB at 70 kB/s.
PATIENCE_S: Final = 30.0
#: Bytes of a request's line and headers (uvicorn's own).
MAX_HEAD_BYTES: Final = 64 * 1024
#: Chunks of one body: each costs the loop a few microseconds, however small it is.
MAX_CHUNKS: Final = 1000


class _Reader(h11.Connection):
    """Reads requests, and no body in more chunks than anybody needs."""

    def __init__(self, role: type[h11.SERVER], longest: int) -> None:
        super().__init__(role, longest)
        self._chunks = 0

    def next_event(self) -> Any:
        """See h11. RemoteProtocolError for too many chunks."""
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            if self._chunks > MAX_CHUNKS:
                raise h11.RemoteProtocolError("too many chunks")
        elif isinstance(event, h11.Request):
            self._chunks = 0
        return event


class HttpConnection(H11Protocol):
    """One connection. With uvicorn's own limits, 64 silent ones would block all others for ever."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.conn = _Reader(h11.SERVER, MAX_HEAD_BYTES)
        # Nobody needs "Invalid HTTP request received." for each stray byte: the client has its 400.
        self.logger = logging.Logger("http")
        self.logger.disabled = True
        self._since = self.loop.time()
        self._looked_at: object = None
        self._look = self.loop.call_later(PATIENCE_S, self._see)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            held = [one for one in self.connections if isinstance(one, HttpConnection) and one is not self]
            min(held, key=lambda one: (not one._waits(), one._since)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

    def _waits(self) -> bool:
        """Whether it is the client's turn."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _see(self) -> None:
        """Close it if there is no other request, and none that is being answered, since the last look."""
        if self._waits() and self.cycle is self._looked_at:
            self.transport.close()
            return
        self._looked_at = self.cycle
        self._look = self.loop.call_later(PATIENCE_S, self._see)
