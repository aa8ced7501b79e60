"""A node for programs without an event loop: it lives in a thread of its own, its tables are safe anywhere.

Each call is done on the node's thread, and waited for: some 50 microseconds, and right from any thread. What
is to be done as one (read, decide, write) goes there as a whole with :meth:`SyncCacheNode.call`.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack
from weakref import WeakSet

from dmqcache.cache_node import CacheNode
from dmqcache.config.config import Config
from dmqcache.config.node_options import NodeOptions
from dmqcache.process_end import LeaveFirst, leave_first
from dmqcache.sync_table import SyncTable, SyncWatch

T = TypeVar("T")
_STOPPED: Final = "the node has stopped meanwhile"


class SyncCacheNode:
    """A dmqcache node in a thread of this process.

    ::

        with SyncCacheNode(server_address="sip:127.0.0.11:5060", tables=["users"]) as node:
            users = node.table("users")
            users["alice"] = "sip:alice@example.com"
            node.wait_replicated()
    """

    def __init__(self, config: Config | None = None, **options: Unpack[NodeOptions]) -> None:
        """As :class:`~dmqcache.cache_node.CacheNode`."""
        self.node = CacheNode(config, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._leave_first: LeaveFirst | None = None
        #: The process in which the thread runs.
        self._process = 0
        #: Those who wait for changes: they end with the node.
        self._watches: WeakSet[SyncWatch] = WeakSet()
        #: Calls that have not been done yet.
        self._calls: set[Future[Any]] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread and the node. OSError names the address that is not to be had."""
        if self._thread is not None:
            raise RuntimeError("the node is started already; stop() comes first")
        self._process = os.getpid()
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, args=(loop,), name="dmqcache node", daemon=True)
        self._thread.start()
        try:
            self._wait(self.node.start())
        except BaseException:
            self._end_thread()
            raise
        self._leave_first = leave_first(self.node.stop, loop)
        # A program that ends without stop() leaves the bus as well.
        atexit.register(self.stop)

    @staticmethod
    def _live(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            # Whoever still waits for the node is told that it is gone.
            waiting = asyncio.all_tasks(loop)
            for task in waiting:
                task.cancel()
            if waiting:
                loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        finally:
            loop.close()

    def stop(self, leave: bool = True) -> None:
        """See :meth:`dmqcache.cache_node.CacheNode.stop`. In a process that was forked from the node's it
        does nothing."""
        if self._thread is None or os.getpid() != self._process:
            return
        atexit.unregister(self.stop)
        if self._leave_first is not None:
            self._leave_first.discard(self.node.stop)
            self._leave_first = None
        for watch in list(self._watches):
            watch.close()
        try:
            self._wait(self.node.stop(leave))
        finally:
            self._end_thread()

    def _end_thread(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        assert loop is not None and thread is not None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for call in list(self._calls):  # they came too late to be done
            call.cancel()

    def _running(self) -> asyncio.AbstractEventLoop:
        """The node's loop. RuntimeError where there is none in this process: nothing would ever be done."""
        if self._loop is None:
            raise RuntimeError("the node is not started: use `with SyncCacheNode(...)` or start()")
        if os.getpid() != self._process:
            raise RuntimeError(
                "the node runs in the process from which this one was forked: start a node after the fork"
            )
        return self._loop

    def _wait(self, coroutine: Any) -> Any:
        try:
            loop = self._running()
            if threading.current_thread() is self._thread:
                raise RuntimeError("on the node's own thread nothing may wait for it")
            waited = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:
            coroutine.close()
            raise
        return _result(waited)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Do this on the node's thread, undisturbed by any other call, and return what it returns."""
        loop = self._running()
        if threading.current_thread() is self._thread:
            return function(*args)
        done: Future[T] = Future()

        def do() -> None:
            try:
                done.set_result(function(*args))
            except BaseException as error:
                done.set_exception(error)

        self._calls.add(done)
        try:
            loop.call_soon_threadsafe(do)
            return _result(done)
        finally:
            self._calls.discard(done)

    def _post(self, function: Callable[[], object]) -> None:
        """Do this on the node's thread, soon, if there is still one; waits for nothing."""
        loop = self._loop
        with suppress(RuntimeError):  # it is closed
            if loop is not None:
                loop.call_soon_threadsafe(function)

    def table(self, name: str) -> SyncTable:
        """A table. KeyError names those that there are."""
        return SyncTable(self.call, self._post, self._watches, self.node.table(name))

    def reload_table(self, name: str) -> int:
        """See :meth:`~dmqcache.table_database.TableDatabase.reload`."""
        return int(self._wait(self.node.database.reload(name)))

    def store_table(self, name: str) -> int:
        """See :meth:`~dmqcache.table_database.TableDatabase.store`."""
        return int(self._wait(self.node.database.store(name)))

    @property
    def ready(self) -> bool:
        """Whether the initial sync is over."""
        return self.node.ready

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the initial sync is over. TimeoutError after ``timeout`` seconds."""
        self._wait(self.node.wait_ready(timeout))

    def wait_replicated(self, nodes: int | None = None, timeout: float | None = None) -> int:
        """See :meth:`dmqcache.cache_node.CacheNode.wait_replicated`."""
        return int(self._wait(self.node.wait_replicated(nodes, timeout)))

    def wait_on_disk(self, timeout: float | None = None) -> bool:
        """See :meth:`dmqcache.cache_node.CacheNode.wait_on_disk`."""
        return bool(self._wait(self.node.wait_on_disk(timeout)))


def _result(done: Future[T]) -> T:
    """What it comes to. RuntimeError where the node has stopped first."""
    try:
        return done.result()
    except CancelledError:
        raise RuntimeError(_STOPPED) from None
