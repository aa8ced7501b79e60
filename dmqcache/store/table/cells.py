"""The cells of a table and the books kept beside them: key order, expiry, digest, tombstones, floor.

Every change of a cell goes through ``_enliven`` and ``_delete_cell``, so that the books always agree with the
cells. Who may change what, and with which version, is decided above, in ``local_writes.py`` and
``merge.py``; how a flush is done, in ``floor_raising.py``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from dmqcache.store.table.cell import (
    EXPIRED,
    NEVER,
    Cell,
    Evicted,
    Value,
    counter_digest,
    key_hash,
    plain_digest,
)
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.digest import UPPER_SHIFT, Digest
from dmqcache.store.table.expiry import ExpiryIndex
from dmqcache.store.table.flushing import Recent
from dmqcache.store.table.happenings import GONE, NOTHING, OVER, Events, Telling, of_write
from dmqcache.store.table.hashed_dict import hashed_dict
from dmqcache.store.table.late_flush import LateFlush
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.new_books import NewBooks
from dmqcache.store.table.order import KeyOrder
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import TableCounters
from dmqcache.store.table.text_size import size_of
from dmqcache.store.table.tombstones import Tombstones

#: How many times as many tombstones are kept while a node that is there has not heard of all of them: a burst
#: of deletes is over in seconds.
BEHIND_FACTOR: Final = 10


class Cells:
    """Live cells and tombstones by key."""

    def __init__(
        self,
        settings: TableSettings,
        clock: Clock,
        limits: TableLimits | None = None,
        listener: TableListener | None = None,
    ) -> None:
        """``listener``: who is told what happens here; None: nobody."""
        self.settings = settings
        self.name = settings.name
        self.clock = clock
        self.counters = TableCounters()
        #: Live cells and tombstones.
        self.cells: dict[str, Cell] = hashed_dict()
        #: Live cells, expired ones that nobody has noticed yet included.
        self.live = 0
        #: Bytes of the live cells' keys and values, see ``text_size.py``.
        self.text_bytes = 0
        #: A flush: everything with a version up to this one is dead on every node.
        self.floor = 0
        self.order = KeyOrder()
        self.expiry = ExpiryIndex()
        self.digest = Digest()
        self._use_digest()
        #: The keys of the tombstones.
        self.tombstones = Tombstones()
        self.limits: Final = limits or TableLimits()
        self.listener: Final = listener or TableListener()
        #: What a flush may leave.
        self.recent = Recent(clock.version())
        #: A flush that is prepared.
        self.late: LateFlush | None = None
        self.use_recent()
        #: A flush has emptied the table: what is on disk of it is to be written anew as a whole.
        self.emptied = False
        self._on_touch: Callable[[str, Events], None] | None = None
        #: What is written now is to those who listen.
        self.telling = Telling.WRITE
        #: The keys of cells that changed since whoever keeps the table on disk took them; None: nobody does.
        self.touched: dict[str, None] | None = None
        #: Cells were evicted: what is not here others may have.
        self.partial = False
        #: Keys that were evicted lately, the latest last: see ``evicting.py``.
        self.evicted: OrderedDict[str, Evicted] = OrderedDict()
        #: What is used now is said to be used then.
        self.tick = 0
        #: The greatest version of a delete that is remembered no more.
        self.forgot = 0
        #: Of a table that was read from disk and not compared with a node that is ready since: the version up
        #: to which this node had heard of everything. Else 0.
        self.known = 0

    def live_cell(self, key: str) -> Cell | None:
        """The cell if it holds a value and has not expired."""
        cell = self.cells.get(key)
        if cell is None or cell.value is None or self._has_expired(cell):
            return None
        cell.used = self.tick
        return cell

    def _has_expired(self, cell: Cell) -> bool:
        """Whether the cell has expired; if so it becomes a tombstone, with its version kept."""
        if cell.expires == NEVER or cell.expires > self.clock.now():
            return False
        if cell.value is not None:
            self._expire(cell)
        return True

    def _expire(self, cell: Cell) -> None:
        """Make a tombstone of a cell, with its version and, of a counter, its shares: increments made
        elsewhere in time may still come and bring it back."""
        self.counters.expirations += 1
        cell.flags = EXPIRED
        self._to_tombstone(cell)
        self.listener.expired(cell)

    def expire_sooner(self, cell: Cell, expires: float) -> None:
        """Its time is over at ``expires``, if that is sooner than was heard so far."""
        if expires < cell.expires:
            self.expiry.move(cell.key, cell.expires, expires)
            cell.expires = expires
            if self.touched is not None:
                self.touched[cell.key] = None

    def generation(self, dead: Cell) -> int:
        """The version under which all nodes begin to count again in a key that is not there.

        It must be the same on every node that knows the same past, and above that past.
        """
        if not dead.stamp or self.tombstones.died_at(dead.key) is None:
            return self.floor + 1
        return max(dead.last_modified(), self.floor) + 1

    def _new_cell(self, key: str) -> Cell:
        cell = self.cells[key] = Cell(key, key_hash(key), None, 0)
        if len(self.cells) > self._roomy:
            self._deepen()
        return cell

    def _enliven(self, cell: Cell, value: Value, stamp: int, ttl: int, expires: float, flags: int) -> None:
        """Give a cell a value and a version, and keep the books. ValueError, and nothing is changed, for a
        text that no bytes can make. Every write on every node comes through here: it is written for speed."""
        if cell.counts is None:
            digest = plain_digest(cell.hash, value, stamp, ttl, flags)
        else:
            digest = counter_digest(cell.hash, stamp, cell.counts)
        if self._on_touch is not None:
            self._on_touch(cell.key, of_write(cell, value, ttl, expires, flags, self.telling))
        held = cell.value
        if held is None:
            self.live += 1
            size = size_of(cell.key)
            self.order.add(cell.key)
            if self.tombstones:
                self.tombstones.remove(cell.key)
        else:
            size = -len(held) if held.__class__ is str and held.isascii() else -size_of(held)
        self.text_bytes += size + (
            len(value) if value.__class__ is str and value.isascii() else size_of(value)
        )
        if cell.expires != expires:
            self.expiry.move(cell.key, cell.expires, expires)
            cell.expires = expires
        cell.value = value
        cell.stamp = stamp
        cell.ttl = ttl
        cell.flags = flags
        change = digest - cell.digest
        hashed = cell.hash
        self._leaves[hashed >> self._shift] += change
        self._upper[hashed >> UPPER_SHIFT] += change
        cell.digest = digest
        cell.used = self.tick
        if stamp > self._horizon:
            self._fresh[cell.key] = stamp
        touched = self.touched
        if touched is not None:
            touched[cell.key] = None

    def enter(self, key: str, value: Value, stamp: int, ttl: int, expires: float, flags: int) -> None:
        """A cell of whose key nothing is known, not even a tombstone, of a table that nobody watches: in one
        step what :meth:`_new_cell` and :meth:`_enliven` do, as a million of them come at a start. ValueError,
        and nothing is changed, for a text that no bytes can make."""
        hashed = key_hash(key)
        digest = plain_digest(hashed, value, stamp, ttl, flags)
        if len(self.cells) >= self._roomy:
            self._deepen()
        self.cells[key] = Cell(key, hashed, value, stamp, ttl, expires, flags, None, "", digest, self.tick)
        self.live += 1
        if value.__class__ is str and value.isascii() and key.isascii():
            self.text_bytes += len(key) + len(value)
        else:
            self.text_bytes += size_of(key) + size_of(value)
        self.order.add(key)
        if expires != NEVER:
            self.expiry.move(key, NEVER, expires)
        self._leaves[hashed >> self._shift] += digest
        self._upper[hashed >> UPPER_SHIFT] += digest
        self.note(key, stamp)
        if self.touched is not None:
            self.touched[key] = None

    def note(self, key: str, stamp: int) -> None:
        """A cell got this version; 0: it is no more."""
        if stamp > self._horizon:
            self._fresh[key] = stamp

    def use_recent(self) -> None:
        """Hold at hand what every write needs to note its version."""
        if self.late is not None:
            self._fresh, self._horizon = self.late.changed, -1
        else:
            self._fresh, self._horizon = self.recent.keys, self.recent.horizon

    def note_all(self, changed: dict[str, int]) -> None:
        """What was noted for a flush that is prepared is noted for others too."""
        recent = self.recent
        recent.keys.update((key, stamp) for key, stamp in changed.items() if stamp > recent.horizon)
        self.use_recent()

    def _delete_cell(self, cell: Cell, stamp: int | None = None, flags: int = 0) -> None:
        """Make a tombstone of a cell; without a version given, with one above all it has had."""
        wanted = max(self.clock.version(), cell.last_modified() + 1) if stamp is None else stamp
        cell.stamp = wanted
        cell.flags = flags
        cell.ttl = 0
        cell.counts = None
        self._to_tombstone(cell)

    def _to_tombstone(self, cell: Cell, events: Events | None = None) -> None:
        """``events``: what that is, where it is neither a delete nor an end of a time to live."""
        if events is None:
            events = NOTHING if cell.value is None else OVER if cell.flags & EXPIRED else GONE
        if cell.value is not None:
            self.live -= 1
            key, value = cell.key, cell.value
            if value.__class__ is str and value.isascii() and key.isascii():
                self.text_bytes -= len(key) + len(value)
            else:
                self.text_bytes -= size_of(key) + size_of(value)
            self.order.discard(cell.key)
        if cell.expires != NEVER:
            self.expiry.move(cell.key, cell.expires, NEVER)
            cell.expires = NEVER
        cell.value = None
        self.digest.change(cell.hash, cell.digest, 0)
        cell.digest = 0
        self.tombstones.add(cell.key, self.clock.now(), bool(cell.flags & EXPIRED))
        self.note(cell.key, cell.stamp)
        self.touch(cell.key, events)

    def tell_touches(self, told: Callable[[str, Events], None] | None) -> None:
        """From now on tell of the key of each cell that changes, whoever writes it, and what that is (of all
        keys: an empty one); None: nobody watches."""
        self._on_touch = told

    @property
    def is_watched(self) -> bool:
        """Whether somebody is told of each key that changes."""
        return self._on_touch is not None

    def touch(self, key: str, events: Events = NOTHING) -> None:
        """A cell changed, or is gone: on disk it is to be written anew."""
        if self.touched is not None:
            self.touched[key] = None
        if self._on_touch is not None:
            self._on_touch(key, events)

    def tell(self, key: str, events: Events = NOTHING) -> None:
        """Tell those who watch, and nobody else."""
        if self._on_touch is not None:
            self._on_touch(key, events)

    def adopt(self, books: NewBooks) -> None:
        """Take these books in place of the present ones: a flush has left no more than they hold."""
        self.emptied, self.partial, self.evicted = True, False, OrderedDict()
        self.cells, self.live, self.text_bytes = books.cells, books.live, books.text_bytes
        self.order, self.expiry, self.tombstones = books.order, books.expiry, books.tombstones
        self.digest = books.digest
        self._use_digest()

    def sweep(self, limit: int) -> int:
        """Make tombstones of up to ``limit`` expired cells; returns how many."""
        now = self.clock.now()
        self.recent.turn(now, self.clock.version(), self.cells)
        self.use_recent()
        count = 0
        for key in self.expiry.due(now, limit):
            cell = self.cells.get(key)
            if cell is not None and cell.value is not None and cell.expires <= now:
                self._expire(cell)
                count += 1
        return count

    def collect(self, limit: int, held: bool, behind: bool = False) -> int:
        """Forget up to ``limit`` tombstones that are old enough, unless they are ``held`` for a node that
        has not heard of them; those above the table's limit are forgotten in any case. ``behind``: a node
        that is there has not heard of all yet: the limit is several times as high."""
        oldest = self.clock.now() - self.limits.tombstone_ttl * 1.1
        most = self.limits.tombstone_limit * (BEHIND_FACTOR if behind else 1)
        forgotten = self.tombstones.take_due(limit, oldest, most, held or behind)
        for key in forgotten:
            cell = self.cells.pop(key)
            self.note(key, 0)
            self.evicted.pop(key, None)
            if not cell.flags & EXPIRED:
                self.forgot = max(self.forgot, cell.stamp)
            if self.touched is not None:
                self.touched[key] = None
        return len(forgotten)

    def forget(self, cells: list[Cell], events: Events | None = None) -> None:
        """Forget these cells without a trace."""
        for cell in cells:
            self._to_tombstone(cell, events)
            self.tombstones.remove(cell.key)
            del self.cells[cell.key]
            cell.stamp = 0  # Where it still waits to be sent, it must not be told as deleted.

    def _use_digest(self) -> None:
        """Hold what every write needs of the digest at hand."""
        self._roomy = self.digest.roomy()
        self._shift = self.digest.shift
        self._leaves = self.digest.leaves
        self._upper = self.digest.upper

    def _deepen(self) -> None:
        """Give the digest another level of leaves, as the table has outgrown the present ones."""
        former, self.digest = self.digest, Digest(self.digest.depth + 1)
        self.digest.upper = former.upper
        self._use_digest()
        shift, leaves = self._shift, self._leaves
        for cell in self.cells.values():
            if cell.digest:
                leaves[cell.hash >> shift] += cell.digest
