"""The runtime of a live node: asyncio's loop, the system's clocks and its source of chance.

Owns the tie between the sans-I/O core and one event loop. Leaves sockets to ``transport`` and names to
``resolver``. Works with asyncio's own loop and with uvloop.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from dmqcache.bus.runtime import Running, Timer

log = logging.getLogger(__name__)

#: Bytes of chance in a token: 64 bits cannot be guessed within the 32 s that a transaction lives.
TOKEN_BYTES = 8
NANOSECONDS_PER_MILLISECOND = 1_000_000


class AsyncioRuntime:
    """:class:`dmqcache.bus.runtime.Runtime` on an event loop. Use it from that loop's thread only."""

    __slots__ = ("_chance", "_loop", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``loop``: the one to live on; default the running one (RuntimeError if none runs)."""
        self._loop = loop if loop is not None else asyncio.get_running_loop()
        self._chance = random.Random()
        # A loop holds its tasks weakly: without this set a waiting one may be collected half-way.
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Monotonic seconds. Not the loop's own time: uvloop's counts whole milliseconds."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // NANOSECONDS_PER_MILLISECOND

    def random(self) -> float:
        """A number from 0 up to 1; for jitter, never for secrets."""
        return self._chance.random()

    def token(self) -> str:
        """Sixteen hexadecimal digits from the system's secure source."""
        return secrets.token_hex(TOKEN_BYTES)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call after ``delay`` seconds; 0 or less: on the loop's next turn, in the order of the calls."""
        if delay <= 0:
            return self._loop.call_soon(callback)
        return self._loop.call_later(delay, callback)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Running:
        """Start a task. What it raises is logged: nobody waits for it."""
        task = self._loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what was spawned and is not done yet, and wait until it is gone."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
