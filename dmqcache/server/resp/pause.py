"""CLIENT PAUSE: the clients of this node wait. What other nodes write goes on arriving.

Owns until when, and who waits; which command is one that waits, ``command_table.py`` asks here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: Commands that send something to other nodes beside those with the flag ``write`` (Redis' may_replicate).
_SEND = frozenset({"DMQ.BROADCAST", "DMQ.SEND", "EVAL", "EVALSHA", "PUBLISH"})


class Pause:
    """At most one at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: When it ends, by the clock; 0 while there is none.
        self.until = 0.0
        self._writes_only = False
        #: In the order in which they came.
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float, writes_only: bool) -> None:
        """Within a pause: it ends with the later of the two, and holds whom either of them holds."""
        under_way = self.until > self._clock()
        self._writes_only = writes_only and (self._writes_only or not under_way)
        self.until = max(self.until, self._clock() + seconds)

    def end(self) -> None:
        """Those who wait go on, in their order."""
        self.until = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def holds(self, changes: bool) -> bool:
        """Whether a command must wait; ``changes``: it changes something, see :func:`changes`."""
        if self._clock() >= self.until:
            self.end()
        return self.until > 0 and (changes or not self._writes_only)

    async def over(self) -> None:
        """Wait for the end."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        try:
            self._look()
            await future
        finally:
            del self._waiting[future]

    def _look(self) -> None:
        """End it, or look again when it should have ended: it may have become longer."""
        left = self.until - self._clock()
        if left <= 0:
            self.end()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._looked)

    def _looked(self) -> None:
        self._timer = None
        self._look()


def changes(name: str, flags: str) -> bool:
    """Whether a command of this name and with these flags waits in a pause of writes too."""
    return "write" in flags or name in _SEND
