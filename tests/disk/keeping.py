"""One process after the other with the same shelf, on virtual time."""

from __future__ import annotations

from collections.abc import Callable

from dmqcache.defaults import TOMBSTONE_LIMIT
from dmqcache.disk.keeper import Keeper
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.listener import TableLimits
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from tests.disk.shelf import Shelf, VirtualWriter
from tests.simulation.runtime import VirtualRuntime, VirtualTimer, World


class BusyRuntime(VirtualRuntime):
    """A process whose loop has other things to do."""

    turn = 0.0

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        return super().call_later(max(delay, self.turn), callback)


class Process:
    """Tables that are kept, without a bus."""

    def __init__(
        self,
        world: World,
        shelf: Shelf,
        *declared: str,
        life: int = 1,
        skew_ms: int = 0,
        interval: float = 1.0,
        tombstone_limit: int = TOMBSTONE_LIMIT,
        turn: float = 0.0,
    ) -> None:
        """``skew_ms``: by how much its wall clock is ahead. ``turn``: seconds of each turn of its loop."""
        self.world = world
        self.shelf = shelf
        self.runtime = BusyRuntime(world, "node", life, skew_ms)
        self.runtime.turn = turn
        self.clock = Clock(self.runtime.now, self.runtime.wall_ms)
        settings = [TableSettings.parse(text) for text in declared or ("t",)]
        identity = f"node#{life}"
        limits = TableLimits(tombstone_limit=tombstone_limit)
        self.tables = {one.name: Table(one, self.clock, identity=identity, limits=limits) for one in settings}
        #: What its store would say: up to when others know what is in the tables.
        self.told_ms: int | None = None
        self.keeper = Keeper(self.tables, self.clock, self.runtime, interval, "/data", lambda: self.told_ms)
        self.status = self.keeper.status
        shelf.closed = False
        for _ in self.keeper.load(shelf.file):
            pass
        self.keeper.start(VirtualWriter(shelf, self.runtime))

    @property
    def table(self) -> Table:
        """The first one."""
        return next(iter(self.tables.values()))

    def until(self, condition: Callable[[], object]) -> None:
        """Live until something is so."""
        for _ in range(10_000):
            if condition():
                return
            self.world.run(0.01)
        raise AssertionError("not within 100 s of virtual time")

    def flush(self) -> bool:
        """Wait for the disk."""
        said: list[bool] = []
        self.keeper.flush(said.append)
        self.until(lambda: said)
        return said[0]

    def kill(self) -> None:
        """``kill -9``."""
        self.runtime.halted = True
        self.shelf.crash()

    def stop(self) -> None:
        """A clean stop."""
        ended: list[bool] = []
        self.keeper.close(lambda: ended.append(True))
        self.until(lambda: ended)
        self.runtime.halted = True
