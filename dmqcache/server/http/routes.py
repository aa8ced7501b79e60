"""What is answered over HTTP at which path: metrics, health, JSON-RPC and the status page.

Which metrics there are is ``metrics``'s business, what the methods do ``rpc_methods.py``'s, what the page
says ``page.py``'s, who is answered ``http_guard.py``'s, how all this is served ``http_server.py``'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from dmqcache.metrics.exposition import Metrics
from dmqcache.metrics.memory import resident_bytes
from dmqcache.metrics.rates import Rates
from dmqcache.server.http import page, rpc
from dmqcache.server.http.http_guard import Guard
from dmqcache.server.http.page_assets import SECURITY_POLICY
from dmqcache.server.http.recent_warnings import RecentWarnings
from dmqcache.server.http.rpc_methods import ServedNode, methods_of

log = logging.getLogger("dmqcache.http")

#: Bytes of a JSON-RPC request: the largest value that a table takes (1 MiB) fits, unless most of its bytes
#: are written as escapes.
MAX_RPC_BODY: Final = 2 << 20


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
