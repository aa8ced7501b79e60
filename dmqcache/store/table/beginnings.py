"""Counters that nodes began which knew nothing of what the key had held before: they started after its end,
or have forgotten it. Such a counter has the least version, and yet it is the newest.

Owns when that is so; ``merge.py`` asks it whichever of the two comes to the other.
"""

from __future__ import annotations

from dmqcache.store.table.cell import EXPIRED, Cell
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import DATED, Share, Shares
from dmqcache.store.table.row import Row


def is_beginning(dead: Cell, row: Row, shares: Shares, least: int, remembered: int) -> bool:
    """Whether a counter that comes was begun when ``dead`` was over. ``least``: the version of a counter that
    follows on nothing. ``remembered``: a tombstone's time, as a version."""
    if dead.counts is not None:
        return follows(shares, dead.counts.shares, dead.ttl)
    over = dead.stamp + _until(dead.flags, dead.ttl, remembered, row.stamp == least)
    return max(share.stamp for share in shares.values()) > over


def is_begun_since(cell: Cell, row: Row, least: int, remembered: int) -> bool:
    """The same from the other side: the tombstone ``row``, or another counter whose time is over, comes for a
    cell that may be a counter."""
    counts = cell.counts
    if counts is None:
        return False
    if row.shares is not None:
        return row.ttl > 0 and follows(counts.shares, row.shares, row.ttl)
    return counts.touched() > row.stamp + _until(row.flags, row.ttl, remembered, cell.stamp == least)


def _until(flags: int, ttl: int, remembered: int, anew: bool) -> int:
    """How much later than a dead cell's version a counter was touched that is not ended by it. A time to live
    was over by itself, and nobody tells of it those who start."""
    return version_at(ttl) if anew and ttl and flags & EXPIRED else remembered


def follows(later: dict[str, Share], earlier: dict[str, Share], ttl: int) -> bool:
    """Whether a counter was begun by others after one of so many milliseconds to live was over."""
    if not later or not earlier or (later.keys() & earlier.keys()) - {DATED}:
        return False
    over = max(share.stamp for share in earlier.values()) + version_at(ttl)
    return min(share.stamp for share in later.values()) > over
