"""Rows that came from dmqcache nodes, merged into a table. Kamailio's writes: ``kamailio/writes.py``.

Nothing that arrives is ever sent on. ``version.py`` decides who wins; ``collisions`` tells the store which
keys were written in two places at nearly the same time, as a Kamailio beside may then hold the loser.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import IntFlag, auto
from typing import Final

from dmqcache.store.table.ahead import date_anew
from dmqcache.store.table.beginnings import follows, is_beginning, is_begun_since
from dmqcache.store.table.cell import (
    DEFAULT_TTL,
    EXPIRED,
    NEVER,
    PROVISIONAL,
    UNDATED,
    UNTIMED,
    Cell,
    Value,
)
from dmqcache.store.table.checks import MAX_KEY_LENGTH
from dmqcache.store.table.clock import MAX_AHEAD_MS, ms_of, version_at
from dmqcache.store.table.counts import Counts, Share, without_void
from dmqcache.store.table.happenings import Telling
from dmqcache.store.table.row import Row, fault
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from dmqcache.store.table.version import State, Verdict, merge

#: Milliseconds within which two writes of one key by two nodes count as simultaneous: a retransmission of
#: Kamailio's (T1, 500 ms) and as much again.
SIMULTANEOUS_MS: Final = 1000
#: Milliseconds by which a row may be late without a comparison that follows: so late may be what its writer
#: told others, too. A node that is silent for longer is found dead by all, and is compared with when it is
#: back.
LATE_MS: Final = 60_000
#: Milliseconds by which a row may pass what is held of its key, however far that lies ahead.
NEXT_MS: Final = 1_000
#: Pairs of a sender and a reason that are named in the log.
MAX_TOLD: Final = 100

log = logging.getLogger("dmqcache.store")


class Collision(IntFlag):
    """What is known of a key that was written in two places at nearly the same time."""

    #: It was.
    SEEN = auto()
    #: A write of this node was overwritten, or follows another's.
    MINE = auto()
    #: Both writes had the same version.
    TIE = auto()
    #: Kamailio nodes hold something else, and nobody but us knows that: they had it before all of us.
    SHOWN = auto()
    #: A copy of an older message, or another node's word, may still be on its way to a Kamailio, which keeps
    #: what comes last.
    REPEATED = auto()
    #: They were shown a later version of a counter (``Arrivals.shown``) than the set has which wins.
    COUNTED = auto()


#: Nothing more is known.
NOTHING_KNOWN: Final = Collision(0)


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
        #: Keys written in two places at nearly the same time, since the store last took them; and the version
        #: with which Kamailio nodes may have been shown a counter that is no more.
        self.collisions: dict[str, Collision] = {}
        self.shown: dict[str, int] = {}
        #: Counters that were merged since then, where a Kamailio listens.
        self.counted: dict[str, None] = {}
        #: Of the rows that came last one was refused because its version lies too far ahead.
        self.ahead = False
        #: Of whom the log has said that rows are refused, and why.
        self._told: set[tuple[str, str]] = set()

    def merge_rows(self, rows: Iterable[Row], sender: str) -> list[str]:
        """Merge rows of a dmqcache node; returns the keys of which we hold something newer."""
        if self.table.redating is not None or self.table.clock.set_back_by():
            rows = list(rows)
            # Some of the others may be counted within.
            count = date_anew(self.table, rows)
            self.counters.clamped[self.table.name] += count
        self.table.telling = Telling.DIFFERENCE
        try:
            return self._merge_rows(rows, sender)
        finally:
            self.table.telling = Telling.WRITE

    def _merge_rows(self, rows: Iterable[Row], sender: str) -> list[str]:
        table = self.table
        cells, floor = table.cells, table.floor
        limit = table.clock.limit()
        recent = limit - version_at(MAX_AHEAD_MS + 2 * LATE_MS + SIMULTANEOUS_MS)
        now = table.clock.now()
        held_newer: list[str] = []
        applied = 0
        self.ahead = False
        for row in rows:
            key, stamp = row.key, row.stamp
            if stamp > limit or row.ttl or row.left or row.shares is not None or len(key) > MAX_KEY_LENGTH:
                reason = "bad_key" if len(key) > MAX_KEY_LENGTH else fault(row, limit)
                if reason == "future":
                    reason = fault(row, self._next(key))
                if reason is not None:
                    self._refuse(reason, key, sender)
                    continue
                if row.shares:
                    row.shares = without_void(row.shares)
            if stamp <= floor:
                held_newer.append(key)
                continue
            cell = cells.get(key)
            if cell is None:
                if row.value is not None and row.shares is None and not (row.ttl or table.is_watched):
                    # For speed: of an initial sync nearly all rows are such.
                    table.enter(key, row.value, stamp, 0, NEVER, row.flags)
                    cells[key].writer = sender
                    applied += 1
                    continue
                cell = table._new_cell(key)
            elif (row.value is None or row.shares is not None) and self._is_begun_since(cell, row):
                held_newer.append(key)
                continue
            elif stamp <= cell.stamp:
                applied += self._merge_slowly(cell, row, sender, held_newer)
                continue
            elif self.watch and (shown := self._shown_otherwise(cell, row)):
                self.collided(cell, shown)
            elif self.watch and self._ends_what_is_told_for_others(cell, row):
                self.collided(cell, Collision.REPEATED)
            elif self.watch and cell.stamp > recent and cell.writer != sender and self._crosses(cell, stamp):
                self.collided(cell, _tie(stamp, cell.stamp))
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

    def _next(self, key: str) -> int:
        """The greatest version that what follows on our own state of a key may have. If clocks were set back,
        that may lie far ahead, and what is written next lies just above it, on every node."""
        cell = self.table.cells.get(key)
        held = self.table.floor if cell is None else max(self.table.floor, cell.last_modified())
        return max(held + version_at(NEXT_MS), self.table.clock.limit())

    def _doubt(self, key: str, sender: str) -> None:
        """Count a version that is too far ahead; said once of each sender."""
        self.counters.clamped[self.table.name] += 1
        self._say(sender, "future", key)

    def _refuse(self, reason: str, key: str, sender: str) -> None:
        """Count a row that is not taken; said once of each sender."""
        self.counters.refused[self.table.name, reason] += 1
        if reason == "future":
            self.ahead = True
            self.counters.clamped[self.table.name] += 1
        self._say(sender, reason, key)

    def _say(self, sender: str, reason: str, key: str) -> None:
        if (sender, reason) in self._told or len(self._told) >= MAX_TOLD:
            return
        self._told.add((sender, reason))
        name, shown = self.table.name, key[:80]
        if reason == "future":
            seconds = MAX_AHEAD_MS // 1000
            log.warning(
                "table %s: %s dates key %r more than %d s ahead, not believed: are all clocks right?",
                *(name, sender, shown, seconds),
            )
        else:
            log.warning("table %s: %s tells key %r, which is refused: %s", name, sender, shown, reason)

    def _merge_slowly(self, cell: Cell, row: Row, sender: str, held_newer: list[str]) -> bool:
        """A row that is not simply newer: of the same version, a counter's, or older."""
        shares = row.shares
        if shares:
            self.table.live_cell(cell.key)
        held = state_of(cell)
        if shares and cell.value is None and self._is_beginning(cell, row, shares):
            cell.counts = None
            self._take(cell, row, self.table.clock.now())
            cell.writer = sender
            return True
        if shares and cell.counts is not None and row.ttl and follows(cell.counts.shares, shares, row.ttl):
            held_newer.append(row.key)
            return False
        if row.stamp == cell.stamp and row.ttl == cell.ttl > 0 and cell.counts is None and shares is None:
            # The same write, and nodes count its time from different moments: it expires with the first.
            if row.flags & EXPIRED and self.table.live_cell(cell.key) is not None:
                self.table._expire(cell)
                return True
            if cell.flags & EXPIRED and row.value is not None:
                held_newer.append(row.key)
                return False
            if row.value is not None and row.value == cell.value:
                # What came late seemed to have more time left than it had.
                self.table.expire_sooner(cell, self.table.clock.now() + row.left / 1000)
        if shares and held.shares and row.stamp == cell.stamp:
            contested = self.table.counter.contested(held.shares, shares)
            if contested:
                self._refuse("own_share", row.key, sender)
                self._insist(cell, held.shares, shares, contested)
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
            if shares and row.ttl == cell.ttl > 0:  # it is over with the first, as above
                if cell.value is not None:
                    self.table.expire_sooner(cell, self.table.clock.now() + row.left / 1000)
                elif row.left:
                    held_newer.append(row.key)
            return False
        if verdict is Verdict.OLDER:
            if self.watch and cell.writer != sender and self._crosses(cell, row.stamp):
                self.collided(cell, _tie(row.stamp, cell.stamp))
            held_newer.append(row.key)
            return False
        if verdict is Verdict.MERGED:
            held_newer.append(row.key)
        if self.watch and shares is None and cell.writer != sender:
            self.collided(cell, _tie(row.stamp, cell.stamp))
        merged = Row(row.key, state.value, state.stamp, state.ttl, row.left, state.flags, state.shares)
        self._take(cell, merged, self.table.clock.now(), keep_time=cell.value is not None)
        cell.writer = sender
        if held.shares and cell.counts is not None and row.stamp == held.stamp:
            remembered = self.table.limits.tombstone_ttl
            insisted = self.table.counter.insist(held.shares, cell.counts.shares, remembered)
            if insisted is not cell.counts.shares:
                self._say_again(cell, insisted)
        return True

    def _insist(
        self, cell: Cell, held: dict[str, Share], claimed: dict[str, Share], contested: Iterable[str]
    ) -> None:
        """Others claim something else of shares of ours: ours count, with a version later than theirs."""
        later = max(claimed[name].stamp for name in contested) + 1
        mine = [(name, held[name]) for name in contested]
        again = {name: Share(later, share.total, share.line) for name, share in mine}
        self._say_again(cell, {**held, **again})

    def _say_again(self, cell: Cell, shares: dict[str, Share]) -> None:
        """What this process has added to a counter only it knows: if others say something else, all nodes
        hear it again, with a later version."""
        assert cell.counts is not None
        cell.counts.shares = shares
        self.table.touch(cell.key)
        if cell.value is not None:
            self.table._enliven(
                cell, cell.counts.total(), cell.stamp, cell.ttl, cell.expires, cell.flags & ~UNDATED
            )
        cell.writer = ""
        self.table.listener.changed(cell)

    def _take(self, cell: Cell, row: Row, now: float, keep_time: bool = False) -> None:
        """Make the cell what the row says."""
        table = self.table
        if row.value is None:
            if row.flags & EXPIRED:
                cell.stamp, cell.ttl, cell.flags, cell.counts = row.stamp, row.ttl, EXPIRED, None
                table._to_tombstone(cell)
            else:
                table._delete_cell(cell, row.stamp, row.flags)
            if row.left:
                table.tombstones.add(cell.key, now - row.left / 1000, bool(row.flags & EXPIRED))
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
            table._to_tombstone(cell)
            return
        table._enliven(cell, shown, row.stamp, row.ttl, expires, row.flags & ~EXPIRED)

    def _is_beginning(self, dead: Cell, row: Row, shares: dict[str, Share]) -> bool:
        return is_beginning(dead, row, shares, self.table.floor + 1, self._remembered())

    def _is_begun_since(self, cell: Cell, row: Row) -> bool:
        return is_begun_since(cell, row, self.table.floor + 1, self._remembered())

    def _remembered(self) -> int:
        return version_at(int(self.table.limits.tombstone_ttl * 1000))

    def _shown_otherwise(self, cell: Cell, row: Row) -> Collision:
        if cell.counts is not None:
            return Collision.COUNTED if ms_of(cell.last_modified()) >= ms_of(row.stamp) else NOTHING_KNOWN
        # One that shows the very value of the row is not told it anew with a later version: that would win
        # over what was written since and has not come here yet.
        differs = row.value != cell.value or row.ttl > 0 or cell.expires < NEVER
        hearsay = differs and cell.stamp == self.table.floor + 1 and cell.flags & PROVISIONAL
        return Collision.SHOWN if hearsay else NOTHING_KNOWN

    def _ends_what_is_told_for_others(self, cell: Cell, row: Row) -> bool:
        """Whether a row ends a counter that was only just counted: Kamailio nodes are told of the sum by one
        node for all, and of the end by its writer, and may hear of the sum last."""
        return cell.counts is not None and row.shares is None and self._is_recent(cell)

    def _is_recent(self, cell: Cell) -> bool:
        return ms_of(cell.last_modified()) > self.table.clock.wall_ms() - SIMULTANEOUS_MS

    def _crosses(self, cell: Cell, stamp: int) -> bool:
        """Whether a Kamailio may have heard of the two writes in another order: they were made at nearly the
        same time, or the one that comes is late, and what is held was not made by so much earlier."""
        late = self.table.clock.wall_ms() - ms_of(stamp)
        if not SIMULTANEOUS_MS < late <= LATE_MS:
            return self._is_recent(cell)
        return ms_of(cell.last_modified()) > ms_of(stamp) - late - SIMULTANEOUS_MS

    def overwritten(self, cell: Cell) -> bool:
        """A write of this node is about to replace what another one wrote. Returns whether that was only just
        now, so that a Kamailio may hear of it after ours."""
        if not (self.watch and self._is_recent(cell)):
            return False
        self.collided(cell, Collision.MINE)
        return True

    def told_before(self, keys: Iterable[str]) -> None:
        """Kamailio nodes were told something else of these keys, by this node."""
        for key in keys:
            cell = self.table.cells.get(key)
            if cell is not None:
                self.collided(cell, Collision.REPEATED)

    def collided(self, cell: Cell, more: Collision = NOTHING_KNOWN) -> None:
        """A Kamailio may hold something else than this cell: it is looked after when the key is quiet."""
        if more & Collision.COUNTED:
            self.shown[cell.key] = max(self.shown.get(cell.key, 0), cell.last_modified())
        kind = Collision.SEEN | (NOTHING_KNOWN if cell.writer else Collision.MINE) | more
        self.collisions[cell.key] = self.collisions.get(cell.key, NOTHING_KNOWN) | kind


def _tie(one: int, other: int) -> Collision:
    """TIE if two versions are the same to a Kamailio 6.2, which keeps the first of two."""
    return Collision.TIE if ms_of(one) == ms_of(other) else NOTHING_KNOWN


def state_of(cell: Cell) -> State:
    """The part of a cell that versions are about."""
    if cell.counts is not None:
        return State(cell.stamp, cell.counts.base, cell.ttl, cell.flags & PROVISIONAL, cell.counts.shares)
    return State(
        cell.stamp, cell.value, cell.ttl, cell.flags & (PROVISIONAL | DEFAULT_TTL | EXPIRED | UNTIMED)
    )
