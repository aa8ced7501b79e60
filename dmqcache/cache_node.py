"""One whole node: builds the bus, the store, the peers and the servers, starts and stops them.

The only place that knows all the parts; each part knows only what it needs. What the configuration is to a
part is ``node_settings.py``'s business; how a process runs a node until it is told to stop,
``cli/run_node.py``'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from dmqcache.bus.bus import Bus
from dmqcache.bus.net.aio import AsyncioRuntime
from dmqcache.bus.peer import Peer
from dmqcache.config.config import Config, ConfigError, embedded
from dmqcache.config.node_options import NodeOptions
from dmqcache.config.peer_loading import load_peers, register_peers
from dmqcache.config.secrets import warn_if_open
from dmqcache.disk.keeper import DiskStatus
from dmqcache.disk.node_disk import NodeDisk
from dmqcache.metrics.node_view import MemoryView, NodeRow, SyncProgress, node_rows, sync_progress
from dmqcache.node_channels import NodeChannels, open_channels
from dmqcache.node_servers import NodeServers
from dmqcache.node_settings import bus_settings, security, store_options
from dmqcache.process_end import LeaveFirst, leave_first
from dmqcache.release import SOFTWARE
from dmqcache.socket_bus import OpenBus
from dmqcache.store.store import Store
from dmqcache.store.table.changes import Home, Subscribe
from dmqcache.store.table.evicting import Policy
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from dmqcache.table_database import TableDatabase
from dmqcache.watch import Watch

log = logging.getLogger("dmqcache")


class CacheNode:
    """A dmqcache node in this process.

    ::

        async with CacheNode(server_address="sip:127.0.0.11:5060", tables=["users"]) as node:
            users = node.table("users")
            users["alice"] = "sip:alice@example.com"
            await node.wait_replicated()

    Reads and writes are plain calls on the event loop's thread; nothing of them waits for the network.
    """

    def __init__(self, config: Config | None = None, **options: Unpack[NodeOptions]) -> None:
        """``config``, or the options of ``dmqcache serve`` by name (``server_address``,
        ``notification_address``, ``table``, ...; a list where they may be repeated). Servers for clients
        and HTTP run only where an address is given. ConfigError says what is wrong."""
        if config is not None and options:
            raise ConfigError(f"a Config and options of their own, {', '.join(options)}: give one of the two")
        self.config = config if config is not None else embedded(options)
        self.started_at = time.time()
        self._shell: OpenBus | None = None
        self._store: Store | None = None
        self._disk: NodeDisk | None = None
        self._channels: NodeChannels | None = None
        self._database: TableDatabase | None = None
        self._peers = load_peers(self.config.peers)
        self._servers = NodeServers(self.config, self._certificate_read)
        self._stopping = asyncio.Lock()
        self._leave_first: LeaveFirst | None = None
        #: Those who wait for changes: they end with the node.
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        _refuse_in_children(weakref.ref(self))

    # -- life ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the servers and join the bus. OSError names the address that is not to be had."""
        if self._shell is not None:
            raise RuntimeError("the node is started already; stop() comes first")
        config = self.config
        for note in config.notes:
            log.warning(note)
        for key in filter(None, (config.tls_key, config.client_tls_key)):
            warn_if_open(key)
        # The servers first, with all that is to be imported for them: a node that cannot be whole, or is slow
        # to become so, is not heard of by any other.
        self._shell = OpenBus(
            bus_settings(config), self._prepare, config.listen_addresses, self._open_servers, security(config)
        )
        try:
            await self._shell.start()
        except BaseException:
            await self.stop(leave=False)
            raise
        self.store.start(bool(config.notification_addresses))
        self._leave_first = leave_first(self.stop)

    def _prepare(self, bus: Bus, runtime: AsyncioRuntime) -> None:
        config = self.config
        home = Home(_only_here(), runtime, _watcher_failed, self._new_watch)
        self._store = Store(config.tables, bus, runtime, store_options(config), home)
        self._store.memory.bound(config.max_memory, Policy(config.max_memory_policy))
        register_peers(bus, self._peers)
        try:
            self._channels = open_channels(bus, runtime, config.channels, config.has_clients)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if config.data_dir is not None:
            store = self._store
            self._disk = NodeDisk(
                config.data_dir, config.flush_interval, store.tables, store.clock, runtime, store.told_until
            )

        self._database = TableDatabase(config, self._store)

    def _new_watch(self, subscribe: Subscribe, prefix: str) -> Watch:
        watch = Watch(subscribe, prefix)
        self._watches.add(watch)
        return watch

    async def _open_servers(self) -> None:
        if self._database is not None:
            await self._database.check()
        if self._disk is not None:
            read_until = await self._disk.open()
            if read_until is not None:
                self.store.restored(read_until)
        await self._servers.open(self)

    def _certificate_read(self, expires: float) -> None:
        self.bus.counters.served_certificate_expires = expires

    async def stop(self, leave: bool = True) -> None:
        """Close the servers, take no more writes (RuntimeError), wait up to ``stop_timeout`` seconds until
        all nodes that answer have acknowledged what was written here, and leave the bus (``leave`` false:
        without a word)."""
        async with self._stopping:
            await self._servers.close()
            if self._shell is not None:
                if leave and self._store is not None:
                    self._take_no_more(self._store)
                    await self._empty(self._store)
                await self._shell.close(leave)
                self._shell = None
            if self._store is not None:
                self._store.stop()
            if self._disk is not None:
                await self._disk.close()
            if self._database is not None:
                await self._database.close(leave)
            for watch in list(self._watches):
                watch.close()
            if self._leave_first is not None:
                self._leave_first.discard(self.stop)
                self._leave_first = None

    @staticmethod
    def _take_no_more(store: Store) -> None:
        """What a program wrote from now on, nobody might hear of any more: it is told so."""
        for table in store.tables.values():
            table.guard_by(_no_more)

    def _refuse_after_a_fork(self) -> None:
        """This process was forked from the node's: nobody would hear of what it writes."""
        for table in self._store.tables.values() if self._store is not None else ():
            table.guard_by(_not_here)

    async def _empty(self, store: Store) -> None:
        emptied = asyncio.Event()
        store.emptying.start(self.config.stop_timeout, emptied.set)
        await emptied.wait()

    def hurry(self) -> None:
        """Have a :meth:`stop` that is under way wait for no node any longer."""
        if self._store is not None:
            self._store.emptying.hurry()

    def reload(self) -> None:
        """Read passwords, users, certificate and key files again and resolve the names of lists, now
        instead of soon."""
        if self._shell is not None:
            self._shell.refresh()
        self._servers.reload()

    # -- what it is made of ------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The tables and their replication. RuntimeError before :meth:`start`."""
        if self._store is None:
            raise RuntimeError("the node is not started: use `async with CacheNode(...)` or await start()")
        return self._store

    @property
    def bus(self) -> Bus:
        """The DMQ bus: register further peers here."""
        return self.store.bus

    @property
    def channels(self) -> NodeChannels:
        """What clients publish and subscribe to. RuntimeError before :meth:`start`."""
        if self._channels is None:
            raise RuntimeError("the node is not started")
        return self._channels

    @property
    def tables(self) -> Mapping[str, Table]:
        """All tables by name, in the order of their declaration."""
        return self.store.tables

    @property
    def peers(self) -> Mapping[str, Peer]:
        """What ``peer`` in the configuration has loaded, by channel."""
        return {peer.channel: peer for _, peer in self._peers}

    def peer(self, channel: str) -> Any:
        """The peer that was loaded for a channel, or by a name: with ``dialog``, for example, a
        :class:`~dmqcache.peers.dialog_peer.DialogPeer`. KeyError names those that there are."""
        found: dict[str, Peer] = {**dict(self._peers), **self.peers}
        try:
            return found[channel]
        except KeyError:
            known = ", ".join(self.peers) or "none"
            raise KeyError(f"no peer {channel!r} was loaded; there are: {known}") from None

    @property
    def counters(self) -> StoreCounters:
        """What replication counts."""
        return self.store.counters

    def table(self, name: str) -> Table:
        """A table. KeyError names those that there are."""
        try:
            return self.tables[name]
        except KeyError:
            raise KeyError(f"no table {name!r}; there are: {', '.join(self.tables)}") from None

    # -- how it is ---------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the initial sync has ended."""
        return self._store is not None and self._store.ready

    async def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the initial sync has ended. TimeoutError after ``timeout`` seconds."""
        async with asyncio.timeout(timeout):
            while not self.ready:
                await asyncio.sleep(0.01)

    def congested(self) -> bool:
        """Whether writers should pause: more waits for live nodes than a moment's work."""
        return self.store.congested()

    async def drain(self) -> None:
        """Wait while the node is congested: call it now and then in a loop that only writes."""
        await asyncio.sleep(0)
        while self.congested():
            await asyncio.sleep(0.001)

    async def wait_replicated(self, nodes: int | None = None, timeout: float | None = None) -> int:
        """Wait until ``nodes`` other nodes (None: all active ones) have acknowledged every write made on
        this node so far; returns how many have, which is fewer only after ``timeout`` seconds."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def finish(count: int) -> None:
            if not done.done():
                done.set_result(count)

        forget = self.store.waiters.wait(nodes, timeout, finish)
        try:
            return await done
        finally:
            forget()  # Whoever waited may have gone away.

    @property
    def memory(self) -> MemoryView:
        """The bound on what all cells take together."""
        return self.store.memory

    @property
    def disk(self) -> DiskStatus | None:
        """How it stands with the disk; None: the node was given no ``data_dir``."""
        return self._disk.status if self._disk is not None else None

    async def wait_on_disk(self, timeout: float | None = None) -> bool:
        """Wait until every write made on this node so far is on its disk; False: it is not, or not within
        ``timeout`` seconds, or there is none."""
        return self._disk is not None and await self._disk.flush(timeout)

    @property
    def database(self) -> TableDatabase:
        """What loads the tables from their database and stores them there. RuntimeError before
        :meth:`start`."""
        if self._database is None:
            raise RuntimeError("the node is not started: use `async with CacheNode(...)` or await start()")
        return self._database

    def compare_all(self) -> None:
        """Compare the tables with every node that answers, and exchange what differs, as soon as may be."""
        self.store.compare_all()

    def acknowledged(self) -> int:
        """How many other nodes have acknowledged every write made on this node so far."""
        return self.store.waiters.acknowledged(self.store.outboxes.latest_number())

    def sync_progress(self) -> SyncProgress:
        """How far the initial sync is."""
        return sync_progress(self.store)

    def node_rows(self) -> list[NodeRow]:
        """All nodes of the bus, this one first."""
        return node_rows(self.store, SOFTWARE)


def _only_here() -> Callable[[], None]:
    """What raises on any thread but this one."""
    here = threading.get_ident()

    def guard() -> None:
        if threading.get_ident() != here:
            raise RuntimeError(
                "a table is written to on the thread of its node's loop only: "
                "use loop.call_soon_threadsafe(table.set, ...), or a SyncCacheNode"
            )

    return guard


def _refuse_in_children(node: weakref.ref[CacheNode]) -> None:
    """To ask at each write which process it is would make it slower."""

    def refuse() -> None:
        held = node()
        if held is not None:
            held._refuse_after_a_fork()

    os.register_at_fork(after_in_child=refuse)


def _not_here() -> None:
    """What raises always."""
    raise RuntimeError(
        "the node runs in the process from which this one was forked: start a node after the fork"
    )


def _no_more() -> None:
    """What raises always."""
    raise RuntimeError("the node is stopping: it takes no more writes")


def _watcher_failed(error: Exception) -> None:
    log.error("a callback of a table's changes failed", exc_info=error)
