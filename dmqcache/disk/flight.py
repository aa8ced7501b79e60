"""One flush on its way to the disk: parts of a few milliseconds' work, all in one transaction.

Owns the pace: how much is handed over at once, and how much may be on its way. When to flush, and what
follows from how it ended, is ``keeper.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

from dmqcache.bus.runtime import Runtime
from dmqcache.disk.file import DiskFile, TableState
from dmqcache.disk.writer import Done, Work
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.kept import KeptPart

#: Cells looked at in one turn of the loop: half a millisecond.
STEP: Final = 1_000
#: And as many more for each second since the last turn, a tenth of that time: where the loop is busy and its
#: turns are long, a flush shall not take many of them.
PER_SECOND: Final = 200_000
#: Cells handed over at once. Each time the writer's thread comes and goes, it and the loop may have to wait
#: for their turn, some 5 ms in a busy program; so that is seldom.
PART: Final = 8_000
#: Handovers that may wait for the disk.
WINDOW: Final = 2

#: What is kept of the tables and of the time: asked for last, when all cells are handed over.
Notes = Callable[[], tuple[dict[str, TableState], dict[str, int]]]


class Flight:
    """One flush."""

    def __init__(
        self,
        tables: Mapping[str, Cells],
        changed: dict[str, dict[str, None]],
        time_ms: Callable[[], int],
        clock: Clock,
        runtime: Runtime,
        submit: Callable[[Work, Done], None],
    ) -> None:
        """``changed``: by table, the names of cells that changed. ``time_ms``: the keeper's clock."""
        self.changed = changed
        #: Floors that rose, and tables of which nothing that is on disk counts any more.
        self.floors: dict[str, int] = {}
        self.anew: set[str] = set()
        self.count = 0
        #: Bytes of the file after it.
        self.bytes = 0
        self._tables = tables
        self._time_ms = time_ms
        self._clock = clock
        self._runtime = runtime
        self._submit = submit
        self._names = ((name, iter(names)) for name, names in list(changed.items()))
        self._table: tuple[str, Iterator[str]] | None = None
        self._part = KeptPart()
        #: Gathered to be handed over at once, and how many cells that is.
        self._works: list[Work] = []
        self._gathered = 0
        self._turn = 0.0
        self._on_way = 0
        self._paused = False
        self._error: Exception | None = None
        self._landed: Done = lambda error: None
        self._notes: Notes = lambda: ({}, {})

    def begin(self, landed: Done, notes: Notes) -> None:
        """Hand everything over; call ``landed`` once, when it is on disk or has failed as a whole."""
        self._landed, self._notes = landed, notes
        self._works.append(DiskFile.begin)
        self._works += [partial(_drop_all, name) for name in self.anew]
        self._works += [partial(_drop_up_to, name, floor) for name, floor in self.floors.items()]
        self._turn = self._clock.now()
        self._step()

    def _done(self, error: Exception | None) -> None:
        self._on_way -= 1
        self._error = self._error or error
        if self._paused and (self._on_way < WINDOW or self._error):
            self._paused = False
            self._step()

    def _step(self) -> None:
        if self._error is not None:
            self._submit(DiskFile.roll_back, lambda error: self._landed(self._error))
            return
        if self._on_way >= WINDOW:
            self._paused = True
            return
        now = self._clock.now()
        room = min(STEP + int((now - self._turn) * PER_SECOND), PART - self._gathered)
        self._turn = now
        while room > 0:
            if self._table is None:
                self._table = next(self._names, None)
            if self._table is None:
                self._works.append(partial(self._finish, *self._notes()))
                self._submit(partial(_all, self._works), self._finished)
                return
            room -= self._gather(*self._table, room)
        if self._gathered >= PART:
            self._hand_over()
        self._runtime.call_later(0, self._step)

    def _gather(self, name: str, keys: Iterator[str], room: int) -> int:
        """Look at up to ``room`` cells of one table; returns at how many."""
        some = list(islice(keys, room))
        self._part.add(self._tables[name], some, self._clock.now(), self._time_ms())
        self._gathered += len(some)
        if len(some) < room:
            self._table = None
        if self._table is None or self._gathered >= PART:
            part, self._part = self._part, KeptPart()
            self.count += len(part)
            if len(part):
                self._works.append(partial(_put, name, part))
        return len(some)

    def _hand_over(self) -> None:
        works, self._works = self._works, []
        self._gathered = 0
        self._on_way += 1
        self._submit(partial(_all, works), self._done)

    def _finish(self, states: dict[str, TableState], numbers: dict[str, int], file: DiskFile) -> None:
        """On the writer's thread: note the rest, and make it last. Nothing of a transaction that has failed
        is committed: SQLite or we have rolled it back."""
        file.note(states, numbers)
        file.commit()
        self.bytes = file.size()

    def _finished(self, error: Exception | None) -> None:
        self._error = self._error or error
        if self._error is not None:
            self._submit(DiskFile.roll_back, lambda failed: self._landed(self._error))
        else:
            self._landed(None)


def _all(works: Sequence[Work], file: DiskFile) -> None:
    for work in works:
        work(file)


def _put(name: str, part: KeptPart, file: DiskFile) -> None:
    file.put(name, part)


def _drop_all(name: str, file: DiskFile) -> None:
    file.drop_all(name)


def _drop_up_to(name: str, floor: int, file: DiskFile) -> None:
    file.drop_up_to(name, floor)
