"""One replicated table as its users see it: read, write, expire, count, list.

Which version a write gets, and that it is told, is ``local_writes.py``'s; who is told, the store's; what no
table takes, ``checks.py``'s. What came from other nodes enters through ``merge.py``; which of two wins is
``version.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeVar, overload

from dmqcache.store.table.cell import DEFAULT_TTL, NEVER, PROVISIONAL, Cell, Value
from dmqcache.store.table.changes import Home
from dmqcache.store.table.checks import as_integer, checked_key, checked_value
from dmqcache.store.table.clock import MAX_COUNT, Clock
from dmqcache.store.table.counts import Counter, fits, saturated
from dmqcache.store.table.evicting import was_evicted
from dmqcache.store.table.floor_raising import sink
from dmqcache.store.table.happenings import Telling
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.local_writes import LocalWrites
from dmqcache.store.table.patterns import MatchKind, MatchOn, compile_pattern
from dmqcache.store.table.read_through import Seconds
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.use import peek

#: Within the class the name is that of a view.
Bytes = bytes
Default = TypeVar("Default")


class Table(LocalWrites):
    """A table. Keys are ``str``; values ``str`` or ``int``. Bytes that are no UTF-8 stand in strings as
    ``surrogateescape`` leaves them, so that any bytes survive."""

    def __init__(
        self,
        settings: TableSettings,
        clock: Clock,
        *,
        identity: str = "local",
        limits: TableLimits | None = None,
        listener: TableListener | None = None,
        home: Home | None = None,
    ) -> None:
        """``identity``: of this process, drawn at its start. The others: see :class:`TableListener`,
        :class:`TableLimits` and :class:`Home`."""
        super().__init__(settings, clock, limits, listener, home)
        #: How this process adds to counters.
        self.counter = Counter(identity, clock.now)
        self.max_value_bytes: Final = self.limits.max_value_bytes
        #: Characters of key and value together up to which nothing can be too long, escaped or not.
        self._short = min(1024, self.max_value_bytes // 6)

    # -- reading ----------------------------------------------------------------------------------------

    @overload
    def get(self, key: str, default: None = None) -> Value | None: ...

    @overload
    def get(self, key: str, default: Default) -> Value | Default: ...

    def get(self, key: str, default: Default | None = None) -> Value | Default | None:
        """The value, or ``default`` if there is none or it has expired."""
        cell = self.cells.get(key)
        if cell is None or cell.value is None or (cell.expires != NEVER and self._has_expired(cell)):
            self.counters.misses += 1
            return default
        self.counters.hits += 1
        cell.used = self.tick
        return cell.value

    def __getitem__(self, key: str) -> Value:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and peek(self, key) is not None

    def __len__(self) -> int:
        """Cells, among them those that expired within the last second and that nobody has read since."""
        return self.live

    def __iter__(self) -> Iterator[str]:
        """The keys in order, as they were when the iteration began, without those that went meanwhile."""
        return (key for key in self.scan() if key in self)

    def ttl(self, key: str) -> float | None:
        """Seconds left, None if it never expires. KeyError where there is no such key."""
        cell = peek(self, key)
        if cell is None:
            raise KeyError(key)
        return None if cell.expires == NEVER else cell.expires - self.clock.now()

    def scan(self, after: str | None = None, prefix: str = "", count: int | None = None) -> list[str]:
        """Keys in order: those above ``after`` that start with ``prefix``, at most ``count``."""
        alive = (key for key in self.order.after(after, prefix) if self._is_alive(key))
        return list(islice(alive, count))

    def _is_alive(self, key: str) -> bool:
        cell = self.cells[key]
        return cell.expires == NEVER or cell.expires > self.clock.now()

    def match(self, kind: MatchKind | str, pattern: str, on: MatchOn | str = MatchOn.NAME) -> list[str]:
        """The keys whose name or string value matches, in order. ``kind`` and ``on`` may be the words
        themselves. ValueError if one is unknown or the pattern is none (PatternError). As in Kamailio, values
        that are integers never match."""
        kind, on = MatchKind(kind), MatchOn(on)
        matches = compile_pattern(kind, pattern, strict=True)
        if on is MatchOn.NAME:
            return [key for key in self.scan() if matches(key)]
        return [key for key, value in self.items() if isinstance(value, str) and matches(value)]

    # -- writing ----------------------------------------------------------------------------------------

    def takes(self, value: Value | Bytes) -> bool:
        """Whether the value is one that :meth:`set` takes."""
        try:
            checked_value(value, self.max_value_bytes)
        except ValueError:
            return False
        return True

    def check(self, key: str, value: Value | Bytes) -> None:
        """ValueError, in the same words, for what :meth:`set` would refuse."""
        checked_key(key)
        checked_value(value, self.max_value_bytes)

    def set(self, key: str, value: Value | Bytes, ttl: Seconds | None = None, keep_ttl: bool = False) -> None:
        """Write a value. ``ttl`` in seconds, or a timedelta: None takes the autoexpire, 0 means for ever.
        ``keep_ttl`` leaves the time of a key that exists as it is. ValueError for what no table holds."""
        if (
            key.__class__ is not str
            or value.__class__ is not str
            or not (key.isascii() and value.isascii())
            or not 0 < len(key) <= len(key) + len(value) <= self._short
        ):
            key, value = checked_key(key), checked_value(value, self.max_value_bytes)
        if self.guard is not None:
            self.guard()
        cell = self.cells.get(key)
        if ttl is None and not self._default_ttl and (cell is None or cell.expires == NEVER):
            # No time before, none after: most writes of most tables.
            self._write(cell, key, value, 0, NEVER, 0)
            return
        alive = cell is not None and cell.value is not None and not self._has_expired(cell)
        if alive and (keep_ttl or (ttl is None and not self.settings.updateexpire)):
            assert cell is not None
            life, expires, flags = cell.ttl, cell.expires, cell.flags & DEFAULT_TTL
        else:
            life, expires, flags = self._life(ttl)
        self._write(cell, key, value, life, expires, flags)

    def __setitem__(self, key: str, value: Value | Bytes) -> None:
        self.set(key, value)

    def expire(self, key: str, ttl: Seconds) -> bool:
        """Give a key that exists ``ttl`` seconds more (0: for ever); False if there is none."""
        if self.guard is not None:
            self.guard()
        cell = self.live_cell(key)
        if cell is None or cell.value is None:
            return False
        life, expires, _ = self._life(ttl)
        self.telling = Telling.TIME
        if cell.counts is not None and life > 0 and cell.ttl <= life:
            self._prolong(cell, life, expires)
        else:
            self._write(cell, key, cell.value, life, expires, 0)
        self.telling = Telling.WRITE
        return True

    def _prolong(self, cell: Cell, life: int, expires: float) -> None:
        """Give a counter more time and end nothing: what others count meanwhile still counts. Of two nodes'
        times the longer one counts, so only a shorter one must be a write of its own."""
        assert cell.counts is not None and cell.value is not None
        self._make_ours(cell)
        stamp, undated = self._next_version(cell)
        self.counter.add(cell.counts, 0, stamp, self.limits.tombstone_ttl)
        self._enliven(cell, cell.value, cell.stamp, life, expires, cell.flags & PROVISIONAL | undated)
        self.counters.sets += 1
        self._changed(cell)

    def delete(self, key: str) -> bool:
        """Delete a key; False if there was none."""
        if self.guard is not None:
            self.guard()
        cell = self.live_cell(key)
        if cell is None:
            if self.partial and key not in self.cells:
                self._delete_elsewhere(key)
            return False
        self._make_ours(cell)
        self._delete_cell(cell)
        self.counters.deletes += 1
        self._changed(cell)
        return True

    def _delete_elsewhere(self, key: str) -> None:
        """Delete what is not here and may have been evicted: other nodes hold it."""
        cell = self._new_cell(checked_key(key))
        self._delete_cell(cell, max(self.clock.version(), self.floor + 1))
        self._changed(cell)

    def __delitem__(self, key: str) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def delete_matching(self, kind: MatchKind | str, pattern: str, on: MatchOn | str = MatchOn.NAME) -> int:
        """Delete what :meth:`match` finds; returns how many."""
        return sum(self.delete(key) for key in self.match(kind, pattern, on))

    def flush(self) -> int:
        """Delete everything that any node wrote before now; returns how many cells that were here."""
        if self.guard is not None:
            self.guard()
        # The floor kills what others write as well, so it is never ahead: what is, is deleted one by one.
        count, apart = sink(self, self.clock.version() + MAX_COUNT)
        ahead = [cell for cell in self.cells.values() if cell.value is not None]
        for cell in ahead:
            self._make_ours(cell)
            self._delete_cell(cell)
            self._changed(cell)
        self.counters.deletes += count + len(ahead)
        self.listener.flushed(apart)
        return count + len(ahead)

    def incr(self, key: str, by: int = 1) -> int:
        """Add to an integer (or a string that reads as one) and return the sum. A key that is absent
        begins at the table's initval, or 0. Simultaneous increments on dmqcache nodes all count.

        ValueError if the value is no integer, the sum would leave 64 bits, or the key was evicted here."""
        if self.guard is not None:
            self.guard()
        if by.__class__ is not int:
            raise ValueError("an increment is an integer")
        live = self.live_cell(key)
        if live is None:
            if self.evicted and was_evicted(self, key):
                raise ValueError("this node has evicted the key, and others may hold it")
            before = self.settings.initval or 0
        else:
            before = live.counts.exact() if live.counts is not None else as_integer(live.value)
        total = before + by
        # A sum that simultaneous increments brought beyond 64 bits may be brought back, step by step.
        if not fits(by) or (not fits(total) and abs(total) > abs(before)):
            raise ValueError("increment or decrement would overflow")
        total = saturated(total)
        cell = self._counter(key, live)
        counts = cell.counts
        assert counts is not None
        self._make_ours(cell)
        stamp, undated = self._next_version(cell)
        self.counter.add(counts, by, stamp, self.limits.tombstone_ttl)
        if cell.value is None:
            ttl, expires, flags = self._life(None)
            self._enliven(cell, total, cell.stamp, ttl, expires, flags | undated)
        elif self.settings.updateexpire and self._default_ttl:
            ttl, expires, default = self._default_ttl, self._deadline(), DEFAULT_TTL
            if cell.ttl > ttl:
                # Of two times of a counter the longer one counts, on all nodes.
                ttl, expires, default = cell.ttl, max(cell.expires, expires), 0
            self._enliven(cell, total, cell.stamp, ttl, expires, default | undated | cell.flags & PROVISIONAL)
        else:
            flags = cell.flags & (DEFAULT_TTL | PROVISIONAL) | undated
            self._enliven(cell, total, cell.stamp, cell.ttl, cell.expires, flags)
        self.counters.sets += 1
        self._changed(cell)
        return total
