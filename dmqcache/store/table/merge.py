"""Rows that came from dmqcache nodes, merged into a table. Kamailio's writes: ``kamailio/writes.py``.

Nothing that arrives is ever sent on. ``version.py`` decides who wins; ``collisions`` tells the store which
keys were written in two places at nearly the same time, as a Kamailio beside may then hold the loser.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from dmqcache.store.table.cell import (
    DEFAULT_TTL,
    EXPIRED,
    NEVER,
    PROVISIONAL,
    Cell,
    Counts,
    Share,
    Value,
    clamp_shares,
)
from dmqcache.store.table.clock import MAX_AHEAD_MS
from dmqcache.store.table.row import Row
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import MAX_KEY_LENGTH, Table
from dmqcache.store.table.version import State, Verdict, merge

#: Milliseconds within which two writes of one key by two nodes count as simultaneous: a retransmission of
#: Kamailio's (T1, 500 ms) and as much again.
SIMULTANEOUS_MS: Final = 1000
#: What is known of a collision: that it was one; a write of this node was overwritten; both had the same
#: version; Kamailio nodes hold something else, and nobody but us knows that: they had it before all of us,
#: or were shown a later version of a counter than that of the set which wins.
SEEN, MINE, TIE, SHOWN = 1, 2, 4, 8
#: A copy of an older message may still be on its way to a Kamailio, which handles every copy.
REPEATED = 16

#: Nodes with a wrong clock that are named in the log.
MAX_WRONG_CLOCKS: Final = 100

log = logging.getLogger("dmqcache.store")


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
        #: Nodes of which it was said that their versions lie far in the future.
        self._wrong_clocks: set[str] = set()

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
                stamp = row.stamp = self._clamped(limit, key, sender)
            if stamp <= floor:
                held_newer.append(key)
                continue
            if row.shares is not None:
                self.counters.clamped[table.name] += clamp_shares(row.shares, limit)
            cell = cells.get(key)
            if cell is None:
                cell = table._new_cell(key)
            elif row.value is None and self._begun_since(cell, stamp):
                held_newer.append(key)
                continue
            elif stamp <= cell.stamp:
                applied += self._merge_slowly(cell, row, sender, held_newer)
                continue
            elif self.watch and self._is_shown_otherwise(cell, stamp):
                self.collided(cell, SHOWN)
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
            self.counters.changes[table.name, "dmqcache"] += applied
        if len(held_newer):
            self.counters.refused[table.name, "older"] += len(held_newer)
        return held_newer

    def _clamped(self, limit: int, key: str, sender: str) -> int:
        self.counters.clamped[self.table.name] += 1
        if sender not in self._wrong_clocks and len(self._wrong_clocks) < MAX_WRONG_CLOCKS:
            self._wrong_clocks.add(sender)
            log.warning(
                "table %s: %s dates key %r more than %d s in the future: are all clocks right?",
                self.table.name,
                sender,
                key[:80],
                MAX_AHEAD_MS // 1000,
            )
        return limit

    def _merge_slowly(self, cell: Cell, row: Row, sender: str, held_newer: list[str]) -> bool:
        """A row that is not simply newer: of the same version, a counter's, or older."""
        shares = row.shares
        if shares:
            self.table.live_cell(cell.key)
        held = state_of(cell)
        if shares and cell.value is None and self._is_beginning(cell, shares):
            cell.counts = None
            self._take(cell, row, self.table.clock.now())
            cell.writer = sender
            return True
        if shares and cell.counts is not None and row.ttl and _follows(cell.counts.shares, shares, row.ttl):
            held_newer.append(row.key)
            return False
        came = State(row.stamp, row.value, row.ttl, row.flags, shares)
        if row.stamp == cell.stamp and cell.flags & EXPIRED and cell.counts is None and shares is not None:
            # What died here was counted in elsewhere before its time was over.
            self._take(cell, row, self.table.clock.now())
            cell.writer = sender
            return cell.value is not None
        if row.stamp == cell.stamp and row.flags & EXPIRED and cell.counts is not None:
            return False
        verdict, state = merge(held, came)
        if verdict is Verdict.SAME:
            return False
        if verdict is Verdict.OLDER:
            if self.watch and self._is_recent(cell) and cell.writer != sender:
                self.collided(cell, TIE if row.stamp == cell.stamp else 0)
            held_newer.append(row.key)
            return False
        if verdict is Verdict.MERGED:
            held_newer.append(row.key)
        if self.watch and shares is None and cell.writer != sender:
            self.collided(cell, TIE if row.stamp == cell.stamp else 0)
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
            if row.left:
                table.graves.bury(cell.key, now - row.left / 1000, bool(row.flags & EXPIRED))
            return
        expires = now + row.left / 1000 if row.ttl else NEVER
        if row.shares is not None:
            if keep_time and cell.counts is not None and cell.expires != NEVER:
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

    def _is_beginning(self, dead: Cell, shares: dict[str, Share]) -> bool:
        """Whether a counter was begun by nodes that know nothing of our tombstone: they started after it, or
        have forgotten it already. Its version is the least, and yet it is the newest."""
        if dead.counts is not None:
            return _follows(shares, dead.counts.shares, dead.ttl)
        return max(share.stamp for share in shares.values()) > dead.stamp + self._remembered_ms()

    def _begun_since(self, cell: Cell, buried: int) -> bool:
        """The same from the other side: a tombstone came for a counter that was begun when we knew no more of
        it."""
        return cell.counts is not None and cell.counts.touched() > buried + self._remembered_ms()

    def _remembered_ms(self) -> int:
        return int(self.table.tombstone_ttl * 1000)

    def _is_shown_otherwise(self, cell: Cell, stamp: int) -> bool:
        if cell.counts is not None:
            return cell.last_modified() >= stamp
        return cell.stamp == self.table.floor + 1 and bool(cell.flags & PROVISIONAL)

    def _is_recent(self, cell: Cell) -> bool:
        return cell.last_modified() > self.table.clock.wall_ms() - SIMULTANEOUS_MS

    def overwritten(self, cell: Cell) -> bool:
        """A write of this node is about to replace what another one wrote. Returns whether that was only just
        now, so that a Kamailio may hear of it after ours."""
        if not (self.watch and self._is_recent(cell)):
            return False
        self.collided(cell, MINE)
        return True

    def collided(self, cell: Cell, more: int = 0) -> None:
        """A Kamailio may hold something else than this cell: it is looked after when the key is quiet."""
        kind = SEEN | (0 if cell.writer else MINE) | more
        self.collisions[cell.key] = self.collisions.get(cell.key, 0) | kind


def _follows(later: dict[str, Share], earlier: dict[str, Share], ttl: int) -> bool:
    """Whether a counter was begun by others after one of so many milliseconds to live was over."""
    if not later or not earlier or later.keys() & earlier.keys():
        return False
    return min(share.stamp for share in later.values()) > ttl + max(share.stamp for share in earlier.values())


def state_of(cell: Cell) -> State:
    """The part of a cell that versions are about."""
    if cell.counts is not None:
        return State(cell.stamp, cell.counts.base, cell.ttl, cell.flags & PROVISIONAL, cell.counts.shares)
    return State(cell.stamp, cell.value, cell.ttl, cell.flags & (PROVISIONAL | DEFAULT_TTL | EXPIRED))
