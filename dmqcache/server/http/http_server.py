"""The HTTP server of a node, in the node's own loop: uvicorn on a socket of ours.

What is answered at which path is ``routes.py``'s business, who is answered ``http_guard.py``'s, how long a
client may take ``http_connection.py``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from dmqcache.server.http.http_connection import HttpConnection
from dmqcache.server.http.http_guard import Guard, HttpDoors, TlsDoor
from dmqcache.server.http.recent_warnings import RecentWarnings
from dmqcache.server.http.routes import application
from dmqcache.server.http.rpc_methods import ServedNode

log = logging.getLogger("dmqcache.http")

#: Seconds that a stopping node waits for answers under way.
GRACE_S: Final = 2


def _logged(app: ASGIApp) -> ASGIApp:
    """``app``, whose failures go to our log and not to uvicorn's, which has no handler. Starlette has sent
    the 500 by then, if the answer had not begun."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ClientDisconnect:
            pass  # it went in the middle of its own request
        except Exception:
            log.exception("a request failed", extra={"path": scope.get("path", "")[:200]})

    return call


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals to the node and says when it listens."""

    def __init__(self, config: uvicorn.Config, door: TlsDoor | None, refused: Callable[[str], None]) -> None:
        """``door``: takes connections over TLS, all of them; ``refused``: those that it does not."""
        super().__init__(config)
        self.listening = asyncio.Event()
        self._door = door
        self._refused = refused

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._door is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self.servers = [self._door.listen(one, self._connection, self._refused) for one in sockets or ()]
        self.listening.set()

    def _connection(self) -> asyncio.Protocol:
        """As uvicorn makes them."""
        return HttpConnection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._door is not None:
            self._door.close()
        await super().shutdown(sockets)


class HttpServer:
    """Serves one node on ``host`` and ``port`` (0: any free one; see :attr:`address`)."""

    def __init__(
        self, node: ServedNode, host: str, port: int, version: str, doors: HttpDoors | None = None
    ) -> None:
        self._wanted = (host, port)
        self._refused = node.bus.counters.refused_clients
        self._guard = Guard(doors)
        self._warnings = RecentWarnings()
        self._config = uvicorn.Config(
            _logged(application(node, version, self._warnings, lambda: self.address, self._guard)),
            lifespan="off",
            ws="none",
            http=HttpConnection,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server: _Uvicorn | None = None
        self._task: asyncio.Task[None] | None = None
        #: Host and port that are listened on, once started.
        self.address: tuple[str, int] = (host, port)

    async def start(self) -> None:
        """Read the token and listen. OSError if the address cannot be had, ValueError if there is no token in
        its file."""
        self._guard.reload()
        self._config.load()
        listener = _listener(*self._wanted)
        self.address = listener.getsockname()[:2]
        self._server = server = _Uvicorn(self._config, self._guard.doors.tls, self._not_shaken)
        self._task = asyncio.create_task(server.serve([listener]), name="http")
        listening = asyncio.create_task(server.listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            listening.cancel()
            self._task.result()
        self._warnings.start()
        if not self._wanted[1]:
            log.info("http is served on %s port %d", *self.address)

    def _not_shaken(self, why: str) -> None:
        self._refused[why] += 1

    def reload(self) -> None:
        """Read the token again. ValueError, and the former one goes on."""
        self._guard.reload()

    async def close(self) -> None:
        """Stop listening, and let answers under way end."""
        if self._server is None or self._task is None:
            return
        self._warnings.stop()
        self._server.should_exit = True
        await self._task
        self._server = self._task = None


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
