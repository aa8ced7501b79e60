"""What came from other nodes, merged into a table: rows of dmqcache nodes, writes of Kamailio nodes.

Nothing that arrives here is ever sent on. A Kamailio up to 6.1 sends no version: such a write gets ours on
arrival. ``version.py`` decides who wins; ``collisions`` tells the store which keys were written in two
places at nearly the same time, as a Kamailio beside may then hold the loser.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dmqcache.store.cell import (
    DEFAULT_TTL,
    EXPIRED,
    NEVER,
    PROVISIONAL,
    Cell,
    Counts,
    Value,
    clamp_shares,
)
from dmqcache.store.clock import MAX_AHEAD_MS
from dmqcache.store.counters import StoreCounters
from dmqcache.store.early import EarlyTimes
from dmqcache.store.patterns import MatchKind, MatchOn
from dmqcache.store.row import Row
from dmqcache.store.settings import MAX_AUTOEXPIRE_S
from dmqcache.store.table import MAX_KEY_LENGTH, Table
from dmqcache.store.version import State, Verdict, merge

#: Milliseconds within which two writes of one key by two nodes count as simultaneous: a retransmission of
#: Kamailio's (T1, 500 ms) and as much again.
SIMULTANEOUS_MS: Final = 1000
#: What is known of a collision: that it was one; a write of this node was overwritten; both had the same
#: version.
SEEN, MINE, TIE = 1, 2, 4


def is_key(text: str) -> bool:
    """Whether a key from the wire can be kept and told on: other nodes would refuse one that cannot."""
    return 0 < len(text) <= MAX_KEY_LENGTH


class Arrivals:
    """The way into one table for what other nodes wrote."""

    def __init__(self, table: Table, counters: StoreCounters) -> None:
        self.table = table
        self.counters = counters
        #: Whether to look for simultaneous writes: only where a Kamailio listens.
        self.watch = False
        #: Keys written in two places at nearly the same time, since the store last took them.
        self.collisions: dict[str, int] = {}
        #: Counters that were merged since then, where a Kamailio listens.
        self.counted: dict[str, None] = {}
        self._early = EarlyTimes()

    # -- dmqcache nodes ---------------------------------------------------------------------------------

    def merge_rows(self, rows: Iterable[Row], sender: str) -> list[str]:
        """Merge rows of a dmqcache node; returns the keys of which we hold something newer."""
        table = self.table
        cells, floor = table.cells, table.floor
        wall = table.clock.wall_ms()
        limit, recent = wall + MAX_AHEAD_MS, wall - SIMULTANEOUS_MS
        now = table.clock.now()
        held_newer: list[str] = []
        applied = 0
        for row in rows:
            key, stamp = row.key, row.stamp
            if stamp > limit:
                stamp = row.stamp = self._clamped(limit)
            if stamp <= floor:
                held_newer.append(key)
                continue
            if row.shares is not None:
                self.counters.clamped[table.name] += clamp_shares(row.shares, limit)
            cell = cells.get(key)
            if cell is None:
                cell = table._new_cell(key)
            elif stamp <= cell.stamp:
                applied += self._merge_slowly(cell, row, sender, held_newer)
                continue
            elif self.watch and cell.stamp > recent and cell.writer != sender:
                self.collided(cell)
            if row.ttl or row.value is None or row.shares is not None:
                self._take(cell, row, now)
            else:
                cell.counts = None
                table._enliven(cell, row.value, stamp, 0, NEVER, row.flags)
            cell.writer = sender
            applied += 1
        if applied:
            table.counters.sets += applied
            self.counters.changes[table.name, "dmqcache"] += applied
        if len(held_newer):
            self.counters.refused[table.name, "older"] += len(held_newer)
        return held_newer

    def _clamped(self, limit: int) -> int:
        self.counters.clamped[self.table.name] += 1
        return limit

    def _merge_slowly(self, cell: Cell, row: Row, sender: str, held_newer: list[str]) -> bool:
        """A row that is not simply newer: of the same version, a counter's, or older."""
        held = state_of(cell)
        shares = row.shares
        came = State(row.stamp, row.value, row.ttl, row.flags & ~EXPIRED, shares)
        if cell.flags & EXPIRED and cell.counts is None and row.stamp == cell.stamp:
            if shares is None:
                return False
            # What died here was counted in elsewhere before its time was over.
            self._take(cell, row, self.table.clock.now())
            cell.writer = sender
            return cell.value is not None
        if row.flags & EXPIRED and row.stamp == cell.stamp and cell.value is not None:
            return False
        verdict, state = merge(held, came)
        if verdict is Verdict.SAME:
            return False
        if verdict is Verdict.OLDER:
            if self.watch and self._is_recent(cell) and cell.writer != sender:
                self.collided(cell, row.stamp == cell.stamp)
            held_newer.append(row.key)
            return False
        if verdict is Verdict.MERGED:
            held_newer.append(row.key)
        if self.watch and shares is None and cell.writer != sender:
            self.collided(cell, row.stamp == cell.stamp)
        merged = Row(row.key, state.value, state.stamp, state.ttl, row.left, state.flags, state.shares)
        self._take(cell, merged, self.table.clock.now(), keep_time=cell.value is not None)
        cell.writer = sender
        return True

    def _take(self, cell: Cell, row: Row, now: float, keep_time: bool = False) -> None:
        """Make the cell what the row says."""
        table = self.table
        if row.value is None:
            if row.flags & EXPIRED:
                cell.stamp, cell.ttl, cell.flags, cell.counts = row.stamp, row.ttl, EXPIRED, None
                table._entomb(cell)
            else:
                table._bury(cell, row.stamp, row.flags)
            return
        expires = now + row.left / 1000 if row.ttl else NEVER
        if row.shares is not None:
            if keep_time and cell.counts is not None:
                expires = max(expires, cell.expires)
            cell.counts = Counts(int(row.value), row.shares)
            if self.watch:
                self.counted[cell.key] = None
            shown: Value = cell.counts.total()
        else:
            cell.counts = None
            shown = row.value
        if expires <= now:
            cell.stamp, cell.ttl, cell.flags = row.stamp, row.ttl, EXPIRED
            table._entomb(cell)
            return
        table._enliven(cell, shown, row.stamp, row.ttl, expires, row.flags & ~EXPIRED)

    # -- Kamailio nodes ---------------------------------------------------------------------------------

    def arrive_set(
        self, key: str, value: Value, stamp: int | None, sender: str, left: float | None = None
    ) -> Verdict:
        """A Kamailio set a key; ``stamp`` is its last_modified, if it sent one; 0: the least of all versions.
        ``left``: seconds to live as it said, None: the table's autoexpire, counted from now."""
        table = self.table
        wall = table.clock.wall_ms()
        cell = table.cells.get(key)
        ttl = table.settings.autoexpire * 1000
        flags = DEFAULT_TTL if ttl else 0
        if left is None and stamp is None:
            left = self._early.take(key, sender, table.clock.now())
        if left is not None:
            ttl, flags = max(1, round(min(left, MAX_AUTOEXPIRE_S) * 1000)), 0
        if cell is not None and self.watch and cell.stamp > wall - SIMULTANEOUS_MS and cell.writer != sender:
            self.collided(cell)
        if stamp is None:
            stamp = max(wall, table.floor + 1, cell.last_modified() + 1 if cell is not None else 0)
            flags |= PROVISIONAL
        elif stamp <= 0:
            stamp = table.floor + 1
            flags |= PROVISIONAL
        elif stamp > wall + MAX_AHEAD_MS:
            stamp = self._clamped(wall + MAX_AHEAD_MS)
        if cell is not None:
            verdict = self._compare(cell, State(stamp, value, ttl, flags))
            if self.watch and verdict is not Verdict.SAME and cell.last_modified() == stamp:
                self.collided(cell, tie=True)
            if verdict is not Verdict.NEWER:
                self.counters.refused[table.name, "older"] += 1
                return verdict
        elif stamp <= table.floor:
            self.counters.refused[table.name, "older"] += 1
            return Verdict.OLDER
        if cell is None:
            cell = table._new_cell(key)
        expires = table.clock.now() + ttl / 1000 if ttl else NEVER
        if left is None and not table.settings.updateexpire and cell.value is not None:
            ttl, expires = cell.ttl, cell.expires
        cell.counts = None
        table._enliven(cell, value, stamp, ttl, expires, flags)
        self._arrived(cell, sender)
        return Verdict.NEWER

    @staticmethod
    def _compare(cell: Cell, came: State) -> Verdict:
        """What a Kamailio shows as it was told it is the same, however much of its time is left. A counter's
        number is the one that it was told, unless it is later than the last increment."""
        last = cell.last_modified()
        if came.stamp == last and came.value == cell.value and type(came.value) is type(cell.value):
            return Verdict.SAME
        if cell.counts is None:
            return merge(state_of(cell), came)[0]
        return Verdict.NEWER if came.stamp > last else Verdict.OLDER

    def arrive_expire(self, key: str, seconds: int, sender: str) -> bool:
        """A Kamailio gave a key a new time: effective only where the table has autoexpire, as there."""
        table = self.table
        cell = table.live_cell(key)
        if not table.settings.autoexpire:
            return False
        if cell is None or cell.value is None:
            self._early.remember(key, sender, seconds, table.clock.now())
            return False
        seconds = min(max(0, seconds), MAX_AUTOEXPIRE_S)
        ttl = seconds * 1000
        expires = table.clock.now() + seconds if seconds > 0 else NEVER
        stamp = max(table.clock.wall_ms(), cell.last_modified() + 1)
        cell.counts = None
        table._enliven(cell, cell.value, stamp, ttl, expires, PROVISIONAL)
        self._arrived(cell, sender)
        return True

    def arrive_delete(self, key: str, sender: str) -> bool:
        """A Kamailio deleted a key. Remembered even where the key was not there: its set may come late."""
        table = self.table
        cell = table.cells.get(key)
        if cell is None:
            cell = table._new_cell(key)
        elif self.watch and self._is_recent(cell) and cell.writer != sender and cell.value is not None:
            self.collided(cell)
        was_alive = cell.value is not None
        table._bury(cell, max(table.clock.wall_ms(), table.floor + 1, cell.last_modified() + 1), PROVISIONAL)
        table.counters.deletes += was_alive
        cell.writer = sender
        self.counters.changes[table.name, "kamailio"] += 1
        return was_alive

    def arrive_remove(self, kind: MatchKind, pattern: str, on: MatchOn, sender: str) -> int:
        """A Kamailio deleted all that match; returns how many did here. PatternError if it is none."""
        return sum(self.arrive_delete(key, sender) for key in self.table.match(kind, pattern, on))

    def _arrived(self, cell: Cell, sender: str) -> None:
        cell.writer = sender
        self.table.counters.sets += 1
        self.counters.changes[self.table.name, "kamailio"] += 1

    def _is_recent(self, cell: Cell) -> bool:
        return cell.last_modified() > self.table.clock.wall_ms() - SIMULTANEOUS_MS

    def collided(self, cell: Cell, tie: bool = False) -> None:
        """A Kamailio may hold something else than this cell: it is looked after when the key is quiet."""
        kind = SEEN | (0 if cell.writer else MINE) | (TIE if tie else 0)
        self.collisions[cell.key] = self.collisions.get(cell.key, 0) | kind


def state_of(cell: Cell) -> State:
    """The part of a cell that versions are about."""
    if cell.counts is not None:
        return State(cell.stamp, cell.counts.base, cell.ttl, cell.flags & PROVISIONAL, cell.counts.shares)
    return State(cell.stamp, cell.value, cell.ttl, cell.flags & (PROVISIONAL | DEFAULT_TTL))
