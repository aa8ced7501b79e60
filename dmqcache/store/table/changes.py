"""What those who watch a table are told: of each key that changed, its state; and, to those who listen, each
event by itself.

A table names the keys as they change; who watches is told a moment later, of the latest state alone, so a key
that is written often costs a slow watcher one change, and what waits is never more than the table's keys.
When a moment is over, the runtime says: nothing here knows a loop.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from dmqcache.store.table.cell import Value
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.happenings import FLUSHED, Events
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.settings import TableSettings


class Change(NamedTuple):
    """A key and what it holds now."""

    key: str
    #: None: it was deleted, or has expired.
    value: Value | None


class Later(Protocol):
    """The part of a runtime that is needed."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call after ``delay`` seconds; 0: on the next turn."""


class Changes:
    """Who watches one table."""

    def __init__(self, table: Cells, later: Later, failed: Callable[[Exception], None]) -> None:
        """``failed``: told what a callback raised; the others are called all the same."""
        self._table = table
        self._later = later
        self._failed = failed
        self._keys: dict[str, None] = {}
        #: Each in a list of its own: who is told twice is forgotten once.
        self._told: list[list[tuple[str, Callable[[Change], object]]]] = []
        self._listeners: list[list[Callable[[str, Events], object]]] = []

    def subscribe(self, callback: Callable[[Change], object], prefix: str = "") -> Callable[[], None]:
        """From now on call ``callback`` with each change of a key that starts with ``prefix``. Returns what
        to call when nobody wants to know any more. TypeError for a coroutine: nobody would wait for it."""
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"{callback!r} is a coroutine; for one there is `async for change in table.watch()`"
            )
        entry = [(prefix, callback)]
        self._told.append(entry)
        self._table.tell_touches(self._touched)

        def forget() -> None:
            self._told = [one for one in self._told if one is not entry]
            if not self._told:
                self._keys.clear()
            self._rest()

        return forget

    def listen(self, callback: Callable[[str, Events], object]) -> Callable[[], None]:
        """From now on call ``callback`` at once with the key and what happens to it, each time (of a flush:
        with an empty key). It must not write to the table. Returns what to call at the end."""
        entry = [callback]
        self._listeners.append(entry)
        self._table.tell_touches(self._touched)

        def forget() -> None:
            self._listeners = [one for one in self._listeners if one is not entry]
            self._rest()

        return forget

    def _rest(self) -> None:
        """Nothing is done for nobody."""
        if not self._told and not self._listeners:
            self._table.tell_touches(None)

    def _touched(self, key: str, events: Events) -> None:
        if events:
            for (listener,) in self._listeners:
                try:
                    listener(key, events)
                except Exception as error:
                    self._failed(error)
        if not self._told or events is FLUSHED:
            return
        if not self._keys:
            self._later.call_later(0, self._tell)
        self._keys[key] = None

    def _tell(self) -> None:
        keys, self._keys = self._keys, {}
        for key in keys:
            cell = self._table.live_cell(key)
            change = Change(key, None if cell is None else cell.value)
            for ((prefix, callback),) in list(self._told):
                if key.startswith(prefix):
                    try:
                        callback(change)
                    except Exception as error:
                        self._failed(error)


class Watching(Protocol):
    """What :meth:`Watched.watch` returns: ``async for`` takes the changes, and ``with`` or :meth:`close` ends
    it. It ends with its node, too, and when nobody holds it."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Change: ...

    def close(self) -> None:
        """Watch no longer; what was not taken yet is still given."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


#: Makes the iterator of changes of :meth:`Watched.watch`, from the way to subscribe and a prefix.
Subscribe = Callable[[Callable[[Change], object], str], Callable[[], None]]
NewWatch = Callable[[Subscribe, str], Watching]


@dataclass(frozen=True, slots=True)
class Home:
    """The node that a table is part of, once it runs: its loop and its thread."""

    #: Raises where the thread is not the node's.
    guard: Callable[[], None]
    later: Later
    #: Told what a callback of somebody who watches raised.
    failed: Callable[[Exception], None]
    new_watch: NewWatch


class Watched(Cells):
    """Cells of a node that runs: they can be watched, and written to on its loop's thread only."""

    def __init__(
        self,
        settings: TableSettings,
        clock: Clock,
        limits: TableLimits | None = None,
        listener: TableListener | None = None,
        home: Home | None = None,
    ) -> None:
        """``home``: without one it cannot be watched, and nobody looks at threads."""
        super().__init__(settings, clock, limits, listener)
        #: Raises where the thread is not the node's, or the node is stopping. None: nobody looks.
        self.guard = None if home is None else home.guard
        self._home = home
        self._changes = None if home is None else Changes(self, home.later, home.failed)

    def guard_by(self, guard: Callable[[], None]) -> None:
        """From now on this is asked before each write, and raises if there must be none."""
        self.guard = guard

    @contextmanager
    def by_itself(self) -> Iterator[None]:
        """What the node writes of itself, also when its program may write no more."""
        guard, self.guard = self.guard, None
        try:
            yield
        finally:
            self.guard = guard

    def subscribe(self, callback: Callable[[Change], object], prefix: str = "") -> Callable[[], None]:
        """Call ``callback`` with each :class:`Change` of a key that starts with ``prefix``, made here or on
        any other node, soon after it; of a key that changed more than once, the latest. Returns what to call
        when nobody wants to know any more. RuntimeError before the node is started."""
        return self._running().subscribe(callback, prefix)

    def listen(self, callback: Callable[[str, Events], object]) -> Callable[[], None]:
        """Call ``callback`` at once with each key and what happens to it: see :meth:`Changes.listen`."""
        return self._running().listen(callback)

    def watch(self, prefix: str = "") -> Watching:
        """``async for change in table.watch("user:")``: the same, as a loop. It begins now, and ends when the
        loop is left, it is closed, which ``with`` does, or the node stops."""
        changes = self._running()
        assert self._home is not None
        return self._home.new_watch(changes.subscribe, prefix)

    def _running(self) -> Changes:
        if self._changes is None:
            raise RuntimeError(f"table {self.name!r} can be watched while its node runs")
        return self._changes
