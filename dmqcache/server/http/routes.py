"""The HTTP server of a node: metrics, health, JSON-RPC and the status page, in the node's own loop.

Which metrics there are is ``metrics``'s business, what the methods do ``rpc_methods.py``'s, what the page
says ``page.py``'s, who is answered ``http_guard.py``'s, how long a client may take ``http_connection.py``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dmqcache.metrics.exposition import Metrics
from dmqcache.metrics.memory import resident_bytes
from dmqcache.metrics.rates import Rates
from dmqcache.server.http import page, rpc
from dmqcache.server.http.http_connection import HttpConnection
from dmqcache.server.http.http_guard import Guard, HttpDoors, TlsDoor
from dmqcache.server.http.page_assets import SECURITY_POLICY
from dmqcache.server.http.recent_warnings import RecentWarnings
from dmqcache.server.http.rpc_methods import ServedNode, methods_of

log = logging.getLogger("dmqcache.http")

#: Bytes of a JSON-RPC request: the largest value that a table takes (1 MiB) fits, unless most of its bytes
#: are written as escapes.
MAX_RPC_BODY: Final = 2 << 20
#: Seconds that a stopping node waits for answers under way.
GRACE_S: Final = 2


def application(
    node: ServedNode,
    version: str,
    warnings: RecentWarnings | None = None,
    address: Callable[[], tuple[str, int]] | None = None,
    guard: Guard | None = None,
) -> ASGIApp:
    """The routes of one node behind its guard. ``warnings`` are shown on its page; ``address`` is where it is
    served."""
    guard = guard or Guard()
    began = time.monotonic()
    metrics = Metrics(node, version, time.time)
    methods = methods_of(node, version)
    rates = Rates(node)

    async def show_metrics(request: Request) -> Response:
        rates.look(time.monotonic())  # so that the page has rates when somebody opens it
        body, content_type = metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def healthz(request: Request) -> Response:
        # Whoever reads this was answered by the loop that does all the work.
        return JSONResponse({"healthy": True})

    async def readyz(request: Request) -> Response:
        return _readiness(node)

    async def show_page(request: Request) -> Response:
        now = time.monotonic()
        rates.look(now)
        moment = page.Moment(
            version,
            time.time(),
            now - began,
            rates,
            warnings.lines() if warnings is not None else (),
            resident_bytes(),
            address() if address is not None else None,
            "http" if guard.doors.tls is None else "https",
        )
        return HTMLResponse(page.render(node, moment), headers=_PAGE_HEADERS)

    async def call(request: Request) -> Response:
        return await _rpc(methods, request, guard.why_no_change(request))

    routes = Starlette(
        routes=[
            Route("/", show_page),
            Route("/metrics", show_metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/rpc", call, methods=["POST", "GET"]),
            Route("/RPC", call, methods=["POST", "GET"]),
        ]
    )
    return guard.around(routes)


_PAGE_HEADERS: Final = {"content-security-policy": SECURITY_POLICY}


def _readiness(node: ServedNode) -> Response:
    sync = node.sync_progress()
    body: dict[str, object] = {"ready": node.ready, "sync": str(sync.state), "cells": sync.cells}
    if sync.donor:
        body["donor"] = sync.donor
    if not node.ready:
        reasons = [f"the initial sync is not done: {sync.state}"]
        reasons += [f"{row.uri}: {row.trouble}" for row in node.node_rows() if row.trouble]
        body["reason"] = "; ".join(reasons)
    return JSONResponse(body, status_code=200 if node.ready else 503)


async def _rpc(methods: rpc.Methods, request: Request, why_no_change: str) -> Response:
    """Kamailio's scripts send any Content-Type, so that cannot tell a browser's page from a script. But a
    browser adds an Origin to each POST: that is refused, or any web site could write into the tables of
    somebody who has it open."""
    if "origin" in request.headers:
        return PlainTextResponse("requests from web pages are refused\n", status_code=403)
    body = await _body(request, MAX_RPC_BODY)
    if body is None:
        return PlainTextResponse(f"the body is longer than {MAX_RPC_BODY} bytes\n", status_code=413)
    found = await rpc.answer(methods, body, why_no_change)
    if found.pieces is None:
        return Response(status_code=found.status)
    return StreamingResponse(_bytes(found.pieces), found.status, media_type="application/json")


async def _body(request: Request, limit: int) -> bytes | None:
    """The body, or None as soon as it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _bytes(pieces: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece.encode("ascii")


def _guarded(app: ASGIApp) -> ASGIApp:
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
            _guarded(application(node, version, self._warnings, lambda: self.address, self._guard)),
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
