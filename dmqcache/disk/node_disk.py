"""A node's folder on a real disk: opened and read before the node joins, closed when it has left.

Owns what is said in the log of a folder that cannot be used, and that the node goes on without it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dmqcache.bus.runtime import Runtime
from dmqcache.disk.file import DiskFile, begin_anew, open_file
from dmqcache.disk.folder import DiskError, verify
from dmqcache.disk.keeper import Keeper
from dmqcache.disk.writer import DiskWriter
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import Clock

log = logging.getLogger("dmqcache.disk")

#: Seconds for which a node that stops waits for the disk; a network's may hang.
CLOSE_S = 60.0


class NodeDisk:
    """The disk of one node."""

    def __init__(
        self,
        folder: Path,
        interval: float,
        tables: Mapping[str, Cells],
        clock: Clock,
        runtime: Runtime,
        told_until: Callable[[], int | None],
    ) -> None:
        """``told_until``: see :class:`~dmqcache.disk.keeper.Keeper`."""
        self._folder = folder
        self._keeper = Keeper(tables, clock, runtime, interval, str(folder), told_until)
        self.status = self._keeper.status
        self._open = False

    async def open(self) -> int | None:
        """Read what is there and keep the folder from now on; returns up to when (Unix ms) what was read
        reaches and had been told, None where nothing was. Raises nothing: without a disk the node lives from
        the bus."""
        began = time.monotonic()
        try:
            file = await self._read()
        except (DiskError, sqlite3.Error, OSError) as error:
            self._keeper.go_without(str(error))
            log.error("%s: nothing is kept on disk, the node goes on without", error)
            return None
        loop = asyncio.get_running_loop()
        self._keeper.start(DiskWriter(file, loop.call_soon_threadsafe))
        self._open = True
        self.status.flushed_at = time.time()
        self.status.bytes = file.size()
        seconds = time.monotonic() - began
        log.info("cells read from %s in %.1f s: %d", self._folder, seconds, self.status.loaded)
        return self._keeper.saved_ms()

    async def _read(self) -> DiskFile:
        now = time.strftime("%Y%m%dT%H%M%S")
        for _ in range(2):
            opened = await asyncio.to_thread(open_file, self._folder, now, False)
            if opened.set_aside is not None:
                self._say_aside(opened.set_aside, opened.why)
            # It is looked through while it is read: each takes as long as the other.
            looking = asyncio.ensure_future(asyncio.to_thread(verify, opened.file.path))
            try:
                try:
                    for _ in self._keeper.load(opened.file):
                        await asyncio.sleep(0)
                finally:
                    wrong = await looking
                if wrong:
                    self._keeper.take_out()
                    raise ValueError(wrong)
            except (ValueError, sqlite3.DatabaseError) as error:
                self._say_aside(begin_anew(opened.file, now), str(error))
            except BaseException:
                opened.file.close()
                raise
            else:
                return opened.file
        raise DiskError(f"{self._folder}: what was just written cannot be read")

    def _say_aside(self, aside: Path, why: str) -> None:
        self.status.errors += 1
        log.error("%s: not used and set aside as %s: %s", self._folder, aside.name, why)

    async def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that is in the tables now is on disk; False: it is not, or not in time."""
        if not self._open:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def finish(good: bool) -> None:
            if not done.done():
                done.set_result(good)

        forget = self._keeper.flush(finish)
        try:
            async with asyncio.timeout(timeout):
                return await done
        except TimeoutError:
            return False
        finally:
            forget()

    async def close(self) -> None:
        """Write all, and let go of the folder."""
        if not self._open:
            return
        self._open = False
        closed = asyncio.Event()
        self._keeper.close(closed.set)
        try:
            async with asyncio.timeout(CLOSE_S):
                await closed.wait()
        except TimeoutError:
            log.error("%s does not answer: the last changes may be missing", self._folder)
