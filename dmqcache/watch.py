"""``async for change in table.watch(prefix)``: the changes of a table, on an event loop.

What a change is, and who is told when, is ``store/table/changes.py``'s.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from dmqcache.store.table.changes import Change, Subscribe


class Watch:
    """The changes from now on, each key's latest state. Ends with ``close()``, with its node, or when nobody
    holds it."""

    def __init__(self, subscribe: Subscribe, prefix: str = "") -> None:
        self._waiting: dict[str, Change] = {}
        self._something = asyncio.Event()
        self._closed = False
        loop = asyncio.get_running_loop()
        self._forget = subscribe(weakly(self._came), prefix)
        self._end = weakref.finalize(self, _post, loop, self._forget)
        self._end.atexit = False

    def _came(self, change: Change) -> None:
        self._waiting[change.key] = change
        self._something.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        return self._waiting.pop(next(iter(self._waiting)))

    def close(self) -> None:
        """Watch no longer; what was not taken yet is still given."""
        self._closed = True
        self._end.detach()
        self._forget()
        self._something.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def weakly(came: Callable[[Change], object]) -> Callable[[Change], object]:
    """Calls this method as long as somebody else holds its object."""
    method = weakref.WeakMethod(came)

    def tell(change: Change) -> None:
        told = method()
        if told is not None:
            told(change)

    return tell


def _post(loop: asyncio.AbstractEventLoop, forget: Callable[[], None]) -> None:
    """On the loop's thread: the last one to hold an object may be any."""
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(forget)
