"""One flush: all of it or nothing, and never more on its way than a few parts."""

from __future__ import annotations

import sqlite3
from collections import deque

from dmqcache.disk.file import TableState
from dmqcache.disk.flight import PART, WINDOW, Flight
from dmqcache.disk.writer import Done, Work
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from tests.disk.keeping import BusyRuntime
from tests.disk.shelf import Shelf, _named
from tests.simulation.runtime import VirtualRuntime, World
from tests.store.fixtures import make_table


class Disk:
    """A disk that does what a test lets it do."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.work: deque[tuple[Work, Done]] = deque()

    def submit(self, work: Work, done: Done) -> None:
        self.work.append((work, done))

    def do_one(self) -> None:
        work, done = self.work.popleft()
        error: Exception | None = None
        try:
            _named(work, self.shelf)
        except sqlite3.Error as failure:
            error = failure
        done(error)


def flown(
    disk: Disk, table: Table, keys: dict[str, None], world: World
) -> tuple[Flight, list[Exception | None]]:
    runtime = VirtualRuntime(world, "node", 1)
    flight = Flight({"t": table}, {"t": keys}, lambda: 1_000, table.clock, runtime, disk.submit)
    landed: list[Exception | None] = []
    flight.begin(landed.append, lambda: ({"t": TableState(0, 0, 7)}, {"time_ms": 9}))
    return flight, landed


def table_of(number: int) -> Table:
    table, _ = make_table()
    for one in range(number):
        table.set(f"k{one}", one)
    return table


def test_only_a_few_parts_are_on_their_way() -> None:
    world, disk, table = World(1), Disk(), table_of(10 * PART)
    flight, landed = flown(disk, table, dict.fromkeys(table.cells), world)
    most = 0
    while not landed:
        world.run(0.01)
        most = max(most, len(disk.work))
        disk.do_one()
    assert most == WINDOW
    assert landed == [None]
    assert flight.count == 10 * PART
    assert flight.bytes > 0
    assert disk.shelf.states() == {"t": TableState(0, 0, 7)}


def test_a_small_flush_of_many_tables_is_one_piece_of_work() -> None:
    """Each piece costs a busy loop a turn and the writer's thread two waits for its own."""
    world, disk, table = World(1), Disk(), table_of(30)
    tables = {f"t{number}": table for number in range(100)}
    changed = {name: dict.fromkeys(table.cells) for name in tables}
    changed["t5"] = {}
    runtime = VirtualRuntime(world, "node", 1)
    flight = Flight(tables, changed, lambda: 1_000, table.clock, runtime, disk.submit)
    landed: list[Exception | None] = []
    flight.begin(landed.append, lambda: ({}, {}))
    world.run(0.01)
    assert len(disk.work) == 1
    disk.do_one()
    assert landed == [None]
    assert [len(disk.shelf.cells(name)) for name in tables] == [0 if name == "t5" else 30 for name in tables]
    assert flight.count == 99 * 30


def test_a_loop_that_is_busy_is_asked_for_few_turns() -> None:
    world, disk, table = World(1), Disk(), table_of(2 * PART)
    runtime = BusyRuntime(world, "node", 1)
    turns: list[float] = []
    runtime.turn = 0.05

    def now() -> float:
        turns.append(world.now)
        return world.now

    clock = Clock(now, runtime.wall_ms)
    flight = Flight({"t": table}, {"t": dict.fromkeys(table.cells)}, lambda: 1, clock, runtime, disk.submit)
    landed: list[Exception | None] = []
    flight.begin(landed.append, lambda: ({}, {}))
    while not landed:
        world.run(0.01)
        if disk.work:
            disk.do_one()
    assert len(set(turns)) <= 5
    assert flight.count == 2 * PART


def test_a_part_that_fails_takes_the_whole_flush_back() -> None:
    world, disk, table = World(1), Disk(), table_of(3 * PART)
    _, landed = flown(disk, table, dict.fromkeys(table.cells), world)
    world.run(0.01)
    disk.do_one()
    disk.do_one()
    disk.shelf.full = True
    while not landed:
        world.run(0.01)
        disk.do_one()
    assert isinstance(landed[0], sqlite3.OperationalError)
    assert (disk.shelf.cells("t"), disk.shelf.states(), disk.work) == ({}, {}, deque())


def test_the_state_of_the_moment_is_written_and_what_is_gone_is_taken_out() -> None:
    world, disk, table = World(1), Disk(), table_of(2)
    table._new_cell("never written")
    _, landed = flown(disk, table, {"k0": None, "gone": None, "never written": None}, world)
    disk.shelf._kept[0]["t"] = {"gone": next(iter(Shelf().cells("t").values()), None)}  # type: ignore[dict-item]
    table.set("k0", "later")
    while not landed:
        world.run(0.01)
        disk.do_one()
    assert {key: row.value for key, row in disk.shelf.cells("t").items()} == {"k0": 0}
    assert TableSettings.parse("t") == table.settings
