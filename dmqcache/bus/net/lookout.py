"""Looking at something now and then, and at once when somebody asks (SIGHUP): a task with pauses.

Owns the task, the pause, and what shows that a file has changed. What is looked at, and what follows, is for
``refresh.py`` and ``served_tls.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Seconds between two looks. A certificate is renewed weeks before its end; a pod's name moves in a minute.
INTERVAL_SECONDS: Final = 10.0


class Lookout:
    """One thing that is looked at."""

    def __init__(self, look: Callable[[bool], Awaitable[None]], name: str) -> None:
        """``look(asked)``: whether somebody asked. ``name``: the task's."""
        self._look = look
        self._name = name
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on, for the first time after a pause."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    def ask(self) -> None:
        """Look now."""
        self._asked.set()

    async def close(self) -> None:
        """No more looks."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            await self._look(asked)


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew or replaced."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
