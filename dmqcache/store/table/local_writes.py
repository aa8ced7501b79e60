"""A write of this node: which version and time to live it gets, whom it replaces, and who is told.

Owns the choice of versions for all that is written here: what programs write, and what this node writes anew
for other nodes' sake. What programs may do with a table, and what is refused, is ``table.py``'s; what others
wrote enters through ``merge.py``; the books are ``cells.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dmqcache.store.table.cell import DEFAULT_TTL, MAX_TTL_S, NEVER, PROVISIONAL, UNDATED, Cell, Value
from dmqcache.store.table.changes import Home
from dmqcache.store.table.checks import as_integer, checked_key
from dmqcache.store.table.clock import MAX_COUNT, Clock, version_at
from dmqcache.store.table.counts import Counts
from dmqcache.store.table.happenings import Telling
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.read_through import Seconds, in_seconds
from dmqcache.store.table.redating import Redating
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.views import MappedCells

#: Milliseconds by which nodes' versions of one write of a Kamailio's may differ: its way to one of them
#: may be repeated once (0.5 s). A later one is a write that crossed, and is settled as such.
PROVISIONAL_LEAD_MS: Final = 1_000

#: Under the next version other nodes may begin to count meanwhile in a key that is not there
#: (``Cells.generation``): a set is above that, so that it counts whatever the clock says.
NEXT: Final = 1


class LocalWrites(MappedCells):
    """A table as this node writes to it."""

    def __init__(
        self,
        settings: TableSettings,
        clock: Clock,
        limits: TableLimits | None = None,
        listener: TableListener | None = None,
        home: Home | None = None,
    ) -> None:
        """The arguments: as of :class:`~dmqcache.store.table.table.Table`."""
        super().__init__(settings, clock, limits, listener, home)
        # Every write calls it: it is held at hand.
        self._changed: Final = self.listener.changed
        self._default_ttl = settings.autoexpire * 1000
        self._default_flags = DEFAULT_TTL if settings.autoexpire else 0
        #: What lies ahead is being dated anew.
        self.redating: Redating | None = None

    def _write(self, cell: Cell | None, key: str, value: Value, ttl: int, expires: float, flags: int) -> None:
        """Give a key this value with a version above all that it has had, in place of whatever is there."""
        stamp = self.clock.version()
        if stamp <= self.floor + NEXT:
            stamp = self.floor + NEXT + 1
        if cell is None:
            cell = self._new_cell(key)
        else:
            last = cell.stamp if cell.counts is None else cell.last_modified()
            if cell.value is None:
                last += NEXT
            if stamp <= last and self.bring_down(cell):
                last = cell.last_modified() + NEXT
            if stamp <= last:
                stamp = last + 1
                if stamp & MAX_COUNT:
                    flags |= UNDATED
            if cell.writer:
                self._make_ours(cell)
            cell.counts = None
        self._enliven(cell, value, stamp, ttl, expires, flags)
        self.counters.sets += 1
        self._changed(cell)

    def _make_ours(self, cell: Cell) -> None:
        """What comes next is a write of this node."""
        if cell.writer:
            self.listener.overwritten(cell)
            cell.writer = ""

    def _next_version(self, cell: Cell) -> tuple[int, int]:
        """A version above all that the cell has had, and UNDATED if it is of the same millisecond."""
        last, now = cell.last_modified(), self.clock.version()
        if now <= last and self.bring_down(cell):
            last = cell.last_modified()
        if now > last:
            return now, 0
        return last + 1, UNDATED if last & MAX_COUNT != MAX_COUNT else 0

    def _life(self, ttl: Seconds | None) -> tuple[int, float, int]:
        """Milliseconds to live, the monotonic end, and the flag for the table's own time."""
        if ttl is None:
            return self._default_ttl, self._deadline(), self._default_flags
        ttl = in_seconds(ttl)
        if ttl < 0 or ttl != ttl:
            raise ValueError("a time to live is a positive number of seconds, or 0 for ever")
        if ttl == 0:
            return 0, NEVER, 0
        if ttl > MAX_TTL_S:
            raise ValueError(f"a time to live is at most {MAX_TTL_S} seconds; 0 means for ever")
        return max(1, round(ttl * 1000)), self.clock.now() + ttl, 0

    def _deadline(self) -> float:
        return self.clock.now() + self.settings.autoexpire if self._default_ttl else NEVER

    def _counter(self, key: str, cell: Cell | None) -> Cell:
        """The key's cell, ready to be counted in. All nodes must choose the same base for one beginning."""
        if cell is not None:
            if cell.counts is None:
                cell.counts = Counts(as_integer(cell.value), {})
                if cell.flags & PROVISIONAL and cell.stamp > self.floor + 1:
                    # Each node gave the Kamailio's number its own version on arrival, some a later one than
                    # this node: an increment of it needs one that beats them all.
                    cell.stamp = max(self.clock.version(), cell.stamp + version_at(PROVISIONAL_LEAD_MS))
            return cell
        base = self.settings.initval or 0
        dead = self.cells.get(key)
        if dead is None:
            checked_key(key)
            dead = self._new_cell(key)
        dead.stamp = self.generation(dead)
        dead.counts = Counts(base, {})
        return dead

    def rewrite(self, cell: Cell, stamp: int) -> None:
        """Write what is there once more as our own, with a later version: where two Kamailio nodes may hold
        different values, all nodes get this one."""
        self._make_ours(cell)
        if cell.value is None:
            self._delete_cell(cell, stamp)
        else:
            cell.counts = None
            self.telling = Telling.DIFFERENCE
            self._enliven(cell, cell.value, stamp, cell.ttl, cell.expires, cell.flags & DEFAULT_TTL)
            self.telling = Telling.WRITE
            self.counters.sets += 1
        self._changed(cell)

    def date_anew(self, key: str, stamp: int = 0) -> None:
        """Give a number a later version, and make it a counter, for a Kamailio 6.2 that takes only what is
        later. It is nobody's write: it costs no share, and no time to live begins anew. A key that is not
        there stays so. ``stamp``: that version; 0: the next."""
        live = self.live_cell(key)
        if live is None:
            return
        cell = self._counter(key, live)
        assert cell.counts is not None
        self._make_ours(cell)
        stamp, undated = (stamp, 0) if stamp else self._next_version(cell)
        cell.counts.date(stamp)
        flags = cell.flags & (DEFAULT_TTL | PROVISIONAL) | undated
        self._enliven(cell, cell.counts.total(), cell.stamp, cell.ttl, cell.expires, flags)
        self._changed(cell)

    def redate(self) -> int:
        """Date anew what lies further ahead than may be: other nodes refused it, as our clock was wrong, or
        have dated it anew themselves (``redating.py``). All nodes are told; returns of how many cells."""
        return sum(self.redate_in_pieces())

    def redate_in_pieces(self) -> Iterator[int]:
        """The same, by whoever runs through the iterator: of how many cells in each piece. What is needed
        before its turn comes is dated anew then."""
        self.clock.correct()
        self.redating = Redating(self)
        self._tell_floor(self.redating)
        return self._redate(self.redating)

    def redate_first(self, cells: list[Cell]) -> int:
        """These cells at once, and all others as soon as may be. Returns how many of these it were."""
        pieces = self.redate_in_pieces() if self.redating is None else None
        count = 0
        for cell in cells:
            if self.redating is not None and self.redating.date(cell):
                self._is_dated_anew(cell)
                count += 1
        if pieces is not None:
            self.listener.redates(pieces)
        return count

    def _redate(self, redating: Redating) -> Iterator[int]:
        for cells in redating.pieces():
            for cell in cells:
                self._is_dated_anew(cell)
            self._tell_floor(redating)
            yield len(cells)
        if self.redating is redating:
            self.redating = None

    def bring_down(self, cell: Cell) -> bool:
        """Date a cell anew before it is written or compared, if that is still to come."""
        if self.redating is None or not self.redating.bring_down(cell):
            return False
        self._is_dated_anew(cell)
        return True

    def _tell_floor(self, redating: Redating) -> None:
        if redating.lowered:
            redating.lowered = False
            self.listener.flushed(iter(()))

    def _is_dated_anew(self, cell: Cell) -> None:
        cell.writer = ""
        self._changed(cell)
