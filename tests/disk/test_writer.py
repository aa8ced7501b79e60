"""The thread: work in its order, each end told on the loop, and nobody waits for a loop that is gone."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest

from dmqcache.disk.file import DiskFile
from dmqcache.disk.writer import DiskWriter
from tests.disk.shelf import Shelf
from tests.waiting import wait_until


def test_work_is_done_in_order_elsewhere_and_its_end_is_told_here() -> None:
    async def scenario() -> None:
        shelf = Shelf()
        writer = DiskWriter(shelf.file, asyncio.get_running_loop().call_soon_threadsafe)
        seen: list[object] = []
        closed = asyncio.Event()
        here = threading.current_thread()

        def fail(file: DiskFile) -> None:
            assert cast(object, file) is shelf
            assert threading.current_thread() is not here
            raise OSError("no")

        def done(error: Exception | None) -> None:
            assert threading.current_thread() is here
            seen.append(error)

        writer.submit(lambda file: seen.append(1), done)
        writer.submit(fail, done)
        writer.submit(lambda file: seen.append(3), done)
        writer.close(lambda error: closed.set())
        await asyncio.wait_for(closed.wait(), 10)
        assert [one for one in seen if isinstance(one, int)] == [1, 3]
        told = [one for one in seen if not isinstance(one, int)]
        assert told[0] is None and isinstance(told[1], OSError) and told[2] is None

    # The shelf is no file: its close is called by the file's name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskFile, "close", Shelf.close)
        asyncio.run(scenario())


def test_a_loop_that_is_closed_stops_no_work() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    writer = DiskWriter(Shelf().file, loop.call_soon_threadsafe)
    seen: list[int] = []
    writer.submit(lambda file: seen.append(1), lambda error: None)
    writer.submit(lambda file: seen.append(2), lambda error: None)
    wait_until(lambda: seen == [1, 2])
