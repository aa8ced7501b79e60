"""A RESP server in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dmqcache.server.resp.served_node import ServedNode
from dmqcache.server.resp.server import RespServer
from dmqcache.store.table.changes import Changes


class Serving(RespServer):
    """The server and the loop that it runs on."""

    loop: asyncio.AbstractEventLoop


class OnLoop:
    """The next turn is the loop's, whatever thread asks for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback)


@contextmanager
def serving(node: ServedNode, **options: Any) -> Iterator[Serving]:
    """The server, listening on a free port of 127.0.0.1."""
    loop = asyncio.new_event_loop()
    for table in node.tables.values():
        table.changes = Changes(table, OnLoop(loop), lambda error: None)
    server = Serving(node, "127.0.0.1", 0, **options)
    server.loop = loop
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()
