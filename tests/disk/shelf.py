"""A file in memory and a writer on virtual time: what the keeper's tests and the simulation give it."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

from dmqcache.bus.runtime import Runtime
from dmqcache.disk.file import DiskFile, TableState
from dmqcache.disk.flight import _all
from dmqcache.disk.writer import Done, Work
from dmqcache.store.table.kept import KeptPart, KeptRow, rows_of

Contents = tuple[dict[str, dict[str | bytes, KeptRow]], dict[str, TableState], dict[str, int]]


class Shelf:
    """Does what a :class:`~dmqcache.disk.file.DiskFile` does, and outlives its process."""

    def __init__(self) -> None:
        self._kept: Contents = ({}, {}, {})
        self._draft: Contents | None = None
        #: Transactions that became part of it.
        self.commits = 0
        #: Every write fails.
        self.full = False
        self.closed = False

    @property
    def file(self) -> DiskFile:
        """As the keeper wants it."""
        return cast(DiskFile, self)

    def cells(self, table: str) -> dict[str | bytes, KeptRow]:
        """What is kept of a table."""
        return self._kept[0].get(table, {})

    def rows(self, table: str) -> Iterator[list[KeptRow]]:
        yield list(self.cells(table).values())

    def names(self) -> list[str]:
        return [name for name, rows in self._kept[0].items() if rows]

    def states(self) -> dict[str, TableState]:
        return self._kept[1]

    def notes(self) -> dict[str, int]:
        return self._kept[2]

    def crash(self) -> None:
        """The process is gone: what was not committed is not there."""
        self._draft = None

    # -- what the writer calls ---------------------------------------------------------------------------

    def begin(self) -> None:
        cells, states, notes = self._kept
        self._draft = {name: dict(rows) for name, rows in cells.items()}, dict(states), dict(notes)

    def _writing(self) -> Contents:
        if self._draft is None or self.full:
            self._draft = None
            raise sqlite3.OperationalError("database or disk is full")
        return self._draft

    def put(self, table: str, part: KeptPart) -> None:
        kept = self._writing()[0].setdefault(table, {})
        kept.update({row.key: row for row in (*rows_of(part.plain), *part.rows)})
        for key in part.gone:
            kept.pop(key, None)

    def drop_up_to(self, table: str, floor: int) -> None:
        kept = self._writing()[0]
        kept[table] = {key: row for key, row in kept.get(table, {}).items() if row.version > floor}

    def drop_all(self, table: str) -> None:
        self._writing()[0][table] = {}

    def note(self, states: dict[str, TableState], numbers: dict[str, int]) -> None:
        draft = self._writing()
        draft[1].update(states)
        draft[2].update(numbers)

    def commit(self) -> None:
        self._kept, self._draft = self._writing(), None
        self.commits += 1

    def roll_back(self) -> None:
        self._draft = None

    def size(self) -> int:
        return 100 * sum(map(len, self._kept[0].values()))

    def close(self) -> None:
        self.closed = True


class VirtualWriter:
    """A disk that takes its time."""

    def __init__(self, shelf: Shelf, runtime: Runtime, takes: float = 0.001) -> None:
        """``takes``: seconds for each piece of work."""
        self._shelf = shelf
        self._runtime = runtime
        self._takes = takes
        self._work: deque[tuple[Work, Done]] = deque()

    def submit(self, work: Work, done: Done) -> None:
        self._work.append((work, done))
        if len(self._work) == 1:
            self._runtime.call_later(self._takes, self._do)

    def close(self, done: Done) -> None:
        self.submit(cast(Work, Shelf.close), done)

    def _do(self) -> None:
        work, done = self._work[0]
        error: Exception | None = None
        try:
            _named(work, self._shelf)
        except sqlite3.Error as failure:
            error = failure
        self._work.popleft()
        if self._work:
            self._runtime.call_later(self._takes, self._do)
        done(error)


def _named(work: Callable[..., object], shelf: Shelf) -> None:
    """The same work on the shelf: methods of the file are called by their names."""
    name = getattr(work, "__qualname__", "")
    if name.startswith("DiskFile."):
        getattr(shelf, name.removeprefix("DiskFile."))()
    elif name == "" and work.func is _all:  # type: ignore[attr-defined]
        for one in work.args[0]:  # type: ignore[attr-defined]
            _named(one, shelf)
    else:
        work(shelf)
