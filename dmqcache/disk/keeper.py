"""What is written to disk when: the tables' changes, a flush at a time, and the tables read back at a start.

A table names the cells that changed; at each flush their present state is handed to the writer in small
parts, as one transaction. A flush that fails is tried again with what has changed since: nothing is queued
but names. How old the oldest change is that is not on disk is known at any moment (:meth:`Keeper.behind`).
The clock of kept times goes on from one process to the next: while this node runs it is the monotonic clock,
and in between the wall clock, but never backwards, so no jump of it prolongs a life.

Knows no thread, no file and no loop: the writer is given, and so is the runtime.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from dmqcache.bus.runtime import Runtime, Timer
from dmqcache.disk.file import DiskFile, FileGoneError, TableState
from dmqcache.disk.flight import Flight
from dmqcache.disk.writer import Done, Work
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import Clock, ms_of
from dmqcache.store.table.kept import restore

log = logging.getLogger("dmqcache.disk")

#: Of the interval, between the beginnings of two flushes. What is written just after a flush began is on disk
#: when the next one ends: within the interval, if that takes less than half of it. The rest: timers are late.
PACE: Final = 0.4
#: Seconds between two notes of the time where nothing changes.
IDLE_S: Final = 10.0
#: Seconds between two lines in the log while the disk fails.
SAY_S: Final = 60.0
#: Names of cells that are gone, kept while the disk fails; beyond it the table is written anew as a whole.
MAX_GONE: Final = 1_000_000

#: Names of a flush that is over, freed in one turn of the loop: half a millisecond. A million take 150 ms.
LET_GO: Final = 5_000

#: What is noted beside the tables: the keeper's clock and the wall clock at the last flush, and up to when
#: others knew what is kept, by the clock of versions; Unix ms.
TIME: Final = "time_ms"
WALL: Final = "wall_ms"
TOLD: Final = "told_ms"


class Writer(Protocol):
    """Who does the work on the file, in order, and says on the loop how it ended."""

    def submit(self, work: Work, done: Done) -> None:
        """Do one piece of work after all before it."""

    def close(self, done: Done) -> None:
        """Close the file after all before it."""


@dataclass(slots=True)
class DiskStatus:
    """How it stands with the disk."""

    #: The folder.
    folder: str
    #: Seconds by which the disk may be behind, as it was asked for, and by how many it is now at most.
    interval: float
    behind: Callable[[], float]
    #: Unix seconds of the last flush that succeeded; 0: there was none.
    flushed_at: float = 0.0
    #: Bytes of the file.
    bytes: int = 0
    #: Flushes that failed, and starts at which the folder could not be used.
    errors: int = 0
    #: Cells and tombstones written, and cells that were read at the start.
    written: int = 0
    loaded: int = 0
    #: What is wrong now; empty: nothing.
    fault: str = ""


class Keeper:
    """Keeps the tables of one node on disk."""

    def __init__(
        self,
        tables: Mapping[str, Cells],
        clock: Clock,
        runtime: Runtime,
        interval: float,
        folder: str,
        told_until: Callable[[], int | None],
    ) -> None:
        """``interval``: seconds by which the disk may be behind. ``folder``: named in the log.
        ``told_until``: Unix ms up to which all who are to be told what the tables hold have been; None: there
        is nobody to be told."""
        self._tables = tables
        self._told_until = told_until
        self._clock = clock
        self._runtime = runtime
        self._interval = interval
        self.status = DiskStatus(folder, interval, self.behind)
        #: Milliseconds from the monotonic clock to the clock of what is kept.
        self._offset = 0.0
        #: The same clock when what was read was written.
        self._saved_ms = 0
        #: Up to when others had been told of it; None: it was not noted.
        self._told_ms: int | None = None
        self._writer: Writer | None = None
        self._flight: Flight | None = None
        self._timer: Timer | None = None
        #: Floors as they stand on disk.
        self._floors: dict[str, int] = {}
        #: Tables to be written anew as a whole.
        self._anew: set[str] = set()
        #: Who waits for the flush under way, and for the one after it.
        self._waiting: deque[Callable[[bool], None]] = deque()
        self._next: deque[Callable[[bool], None]] = deque()
        self._noted = 0.0
        #: What changed before this moment is on disk; what the flush under way holds changed before that one.
        self._safe = 0.0
        self._taken = 0.0
        #: There is no disk, and will be none.
        self._without = False
        #: The time for the next flush came while one was under way.
        self._due = False
        self._said = float("-inf")
        self._closing: Callable[[], None] | None = None
        #: The flush under way is the last one.
        self._last = False

    def time_ms(self) -> int:
        """The clock of what is kept, Unix ms."""
        return int(self._offset + self._clock.now() * 1000)

    def behind(self) -> float:
        """Seconds since the oldest change that is not on disk, at most; 0: there is none."""
        waiting = self._flight is not None or any(
            table.touched or table.emptied for table in self._tables.values()
        )
        is_behind = self._without or (waiting and self._writer is not None)
        return self._clock.now() - self._safe if is_behind else 0.0

    def go_without(self, why: str) -> None:
        """In place of :meth:`start`: the folder cannot be used, and nothing is kept from now on."""
        self.status.errors += 1
        self.status.fault = why
        self._safe = self._clock.now()
        self._without = True

    # -- reading back ------------------------------------------------------------------------------------

    def load(self, file: DiskFile) -> Iterator[int]:
        """Bring back what is kept, before anything else is in the tables; yields the number of cells so far
        now and then, so that others have their turn. ValueError, and nothing is in the tables, if it makes
        no sense."""
        self._begin_time(file)
        try:
            yield from self._load(file)
        except Exception:
            self.take_out()
            raise

    def _begin_time(self, file: DiskFile) -> None:
        wall = self._runtime.wall_ms()
        notes = file.notes()
        self._saved_ms = notes.get(TIME, wall)
        self._told_ms = notes.get(TOLD)
        time_ms = self._saved_ms + max(0, wall - notes.get(WALL, wall))
        self._offset = time_ms - self._clock.now() * 1000

    def _load(self, file: DiskFile) -> Iterator[int]:
        states = file.states()
        others = sorted(set(file.names()) - set(self._tables))
        if others:
            log.info("on disk are tables that are not declared: %s; they are left there", ", ".join(others))
        for name, table in self._tables.items():
            state = states.get(name)
            if state is not None:
                table.floor, table.forgot, table.known = state
                self._floors[name] = state.floor
            for part in file.rows(name):
                restore(table, part, self._clock.now(), self.time_ms(), self._saved_ms)
                self.status.loaded += len(part)
                yield self.status.loaded

    def take_out(self) -> None:
        """As if nothing had been read."""
        for table in self._tables.values():
            table.forget(list(table.cells.values()))
            table.floor = table.forgot = table.known = 0
        self._floors.clear()
        self.status.loaded = 0

    def saved_ms(self) -> int | None:
        """Unix ms up to which what was read reaches, and had been told to others; None: nothing was read."""
        known = [ms_of(table.known) for table in self._tables.values() if table.known]
        if known and self._told_ms is not None:
            known.append(self._told_ms)
        return min(known, default=None)

    # -- writing -----------------------------------------------------------------------------------------

    def start(self, writer: Writer) -> None:
        """From now on write what changes. After :meth:`load`: what is there now is on disk already."""
        self._writer = writer
        for table in self._tables.values():
            table.touched = {}
            table.emptied = False
        self._safe = self._clock.now()
        self._tick()

    def _tick(self) -> None:
        if self._closing is None:
            # A disk that is slower than that gets the next flush as soon as it is done.
            self._due = self._flight is not None
            self._flush()
            self._timer = self._runtime.call_later(self._interval * PACE, self._tick)

    def flush(self, then: Callable[[bool], None]) -> Callable[[], object]:
        """Call ``then`` once all that is in the tables now is on disk, or has failed to get there (False).
        Returns what to call when nobody waits any more."""
        self._next.append(then)
        self._flush()
        return lambda: self._forget(then)

    def _forget(self, then: Callable[[bool], None]) -> None:
        for queue in (self._waiting, self._next):
            if then in queue:
                queue.remove(then)

    def close(self, then: Callable[[], None]) -> None:
        """Write everything, close the file, and call ``then``."""
        if self._timer is not None:
            self._timer.cancel()
        self._closing = then
        if self._writer is None:
            then()
        elif self._flight is None:
            self._last = True
            self._flush()

    def _flush(self) -> None:
        writer = self._writer
        if writer is None or self._flight is not None:
            return
        changed = {name: self._take(name, table) for name, table in self._tables.items()}
        floors = {name: table.floor for name, table in self._tables.items()}
        now = self._clock.now()
        idle = not any(changed.values()) and floors == self._floors and not self._anew
        self._taken = now
        if idle:
            self._safe = now
        if idle and not self._next and self._closing is None and now - self._noted < IDLE_S:
            return
        self._waiting, self._next = self._next, deque()
        self._due = False
        self._flight = Flight(self._tables, changed, self.time_ms, self._clock, self._runtime, writer.submit)
        self._flight.floors = {
            name: floor for name, floor in floors.items() if floor != self._floors.get(name, 0)
        }
        self._flight.anew, self._anew = self._anew, set()
        self._noted = now
        self._flight.begin(partial(self._landed, floors), self._notes)

    def _take(self, name: str, table: Cells) -> dict[str, None]:
        """The names of what changed, and from now on of what changes next."""
        touched, table.touched = table.touched or {}, {}
        if table.emptied or len(touched) > len(table.cells) + MAX_GONE:
            self._anew.add(name)
            table.emptied = False
        return dict.fromkeys(table.cells) if name in self._anew else touched

    def _notes(self) -> tuple[dict[str, TableState], dict[str, int]]:
        now = self._clock.version()
        states = {
            name: TableState(table.floor, table.forgot, table.known or now)
            for name, table in self._tables.items()
        }
        told = self._told_until()
        # Always a number: it takes the place of the one before.
        told_ms = ms_of(now) if told is None else told
        return states, {TIME: self.time_ms(), WALL: self._runtime.wall_ms(), TOLD: told_ms}

    def _landed(self, floors: dict[str, int], error: Exception | None) -> None:
        flight, self._flight = self._flight, None
        assert flight is not None
        if error is None:
            self._let_go(flight.changed)
            self._floors = floors
            self._safe = self._taken
            self.status.written += flight.count
            self.status.bytes = flight.bytes
            self.status.flushed_at = self._runtime.wall_ms() / 1000
            if self.status.fault:
                log.warning("writing to %s works again", self.status.folder)
                self.status.fault, self._said = "", float("-inf")
        else:
            self._failed(flight, error)
        waiting, self._waiting = self._waiting, deque()
        for then in waiting:
            then(error is None)
        if self._last:
            self._end(error)
        elif self._closing is not None:
            self._last = True
            self._flush()
        elif self._next or (self._due and error is None):
            self._flush()

    def _let_go(self, changed: dict[str, dict[str, None]]) -> None:
        """Free the names of what is on disk."""
        left = LET_GO
        for names in changed.values():
            for _ in range(min(left, len(names))):
                names.popitem()
                left -= 1
        if any(changed.values()):
            self._runtime.call_later(0, partial(self._let_go, changed))

    def _failed(self, flight: Flight, error: Exception) -> None:
        self.status.errors += 1
        self.status.fault = str(error)
        self._anew |= flight.anew
        if isinstance(error, FileGoneError):
            # The next flush goes into a new file.
            self._anew |= self._tables.keys()
            self._floors.clear()
        for name, names in flight.changed.items():
            # Added to what may be a million names, which would take the loop its time at each try.
            table = self._tables[name]
            names.update(table.touched or {})
            table.touched = names
        now = self._clock.now()
        if isinstance(error, FileGoneError) or now - self._said >= SAY_S:
            self._said = now
            log.error("cannot write to %s: %s; it is tried again", self.status.folder, error)

    def _end(self, error: Exception | None) -> None:
        """The last flush is over."""
        writer, self._writer = self._writer, None
        then = self._closing
        assert writer is not None and then is not None
        for table in self._tables.values():
            table.touched = None
        if error is not None:
            log.error("the last changes are not on disk: %s", error)
        writer.close(lambda failed: then())
