"""The end of a program that holds nodes and says nothing of SIGTERM: they leave first, then it ends as asked.

Only where the program left SIGTERM to the system, which would end it on the spot. The process' own table of
signals holds who is to leave; when the last node has stopped, the system's way is restored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

Leave = Callable[[], Awaitable[None]]


class LeaveFirst:
    """The handler of SIGTERM while there are nodes."""

    def __init__(self) -> None:
        self._leavers: dict[Leave, asyncio.AbstractEventLoop] = {}
        self._ending: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        #: The loops whose nodes have not left yet; None: nobody was told to.
        self._awaited: set[asyncio.AbstractEventLoop] | None = None
        #: Whose handler it is: a process that is forked has it as well.
        self.process = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM came: have all nodes leave, each on its loop. It comes once more when they have, as only
        the main thread may restore the system's way. A process that was forked from this one has the handler
        and none of the loops: it ends on the spot."""
        if self._awaited is None and os.getpid() == self.process:
            self._awaited = set(self._leavers.values())
            for loop in list(self._awaited):
                try:
                    loop.call_soon_threadsafe(self._begin)
                except RuntimeError:  # it is closed
                    self._awaited.discard(loop)
        if not self._awaited or os.getpid() != self.process:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def add(self, leave: Leave, loop: asyncio.AbstractEventLoop) -> None:
        """A node has started on this loop."""
        self._leavers[leave] = loop

    def discard(self, leave: Leave) -> None:
        """A node has stopped by itself. The last one takes the handler away."""
        self._leavers.pop(leave, None)
        if not self._leavers and not self._ending and signal.getsignal(signal.SIGTERM) is self:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _begin(self) -> None:
        here = asyncio.get_running_loop()
        if here not in self._ending:
            self._ending[here] = here.create_task(self._end(here), name="leave the bus")

    async def _end(self, here: asyncio.AbstractEventLoop) -> None:
        try:
            ours = [leave for leave, loop in self._leavers.items() if loop is here]
            await asyncio.gather(*(leave() for leave in ours), return_exceptions=True)
        finally:
            assert self._awaited is not None
            self._awaited.discard(here)
            if not self._awaited:
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTERM)


def leave_first(leave: Leave, loop: asyncio.AbstractEventLoop | None = None) -> LeaveFirst | None:
    """From now on SIGTERM lets ``leave`` run, on ``loop`` (None: the running one), before it ends the
    process. None, and nothing is changed, where the program has a handler of its own or this is not its main
    thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    loop = loop if loop is not None else asyncio.get_running_loop()
    held = signal.getsignal(signal.SIGTERM)
    if isinstance(held, LeaveFirst) and held.process == os.getpid():
        held.add(leave, loop)
        return held
    if held is not signal.SIG_DFL and not isinstance(held, LeaveFirst):
        return None
    handler = LeaveFirst()
    handler.add(leave, loop)
    signal.signal(signal.SIGTERM, handler)
    return handler
