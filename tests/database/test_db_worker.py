"""The thread: in order, with what it returns or raises, and nobody waits for it in the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dmqcache.database.db_worker import DbWorker


def test_work_is_done_in_order_on_one_other_thread() -> None:
    async def ask() -> list[int]:
        worker = DbWorker()
        threads = [await worker.do(threading.get_ident) for _ in range(3)]
        worker.close()
        return threads

    threads = asyncio.run(ask())
    assert len(set(threads)) == 1 and threading.get_ident() not in threads


def test_what_it_raises_is_raised_here() -> None:
    async def ask() -> None:
        await DbWorker().do(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask())


def test_work_that_hangs_keeps_neither_the_caller_nor_the_process() -> None:
    go_on = threading.Event()

    async def ask() -> None:
        worker = DbWorker()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await worker.do(go_on.wait)
        assert worker._thread is not None and worker._thread.daemon

    asyncio.run(ask())
    go_on.set()
