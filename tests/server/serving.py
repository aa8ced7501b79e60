"""A RESP server in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dmqcache.server.resp.server import RespServer
from dmqcache.server.resp.session import ServedNode


class Serving(RespServer):
    """The server and the loop that it runs on."""

    loop: asyncio.AbstractEventLoop


@contextmanager
def serving(node: ServedNode, **options: Any) -> Iterator[Serving]:
    """The server, listening on a free port of 127.0.0.1."""
    loop = asyncio.new_event_loop()
    server = Serving(node, "127.0.0.1", 0, **options)
    server.loop = loop
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
