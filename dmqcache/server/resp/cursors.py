"""Where each SCAN stands: the numbers that clients hold, to the last key that they were given.

Keys are scanned in their order, so "after this key" is all that a scan must remember, and a key that is
there from the scan's beginning to its end is returned exactly once, whatever is written meanwhile. Redis'
clients hold a number, though, and may come back with it on another connection or ask the same again after
a lost reply; hence one bounded list for the whole server, with the last two positions of each scan.
"""

from __future__ import annotations

from typing import Final

from dmqcache.bus.bounded import Bounded

#: Scans that may be under way at once, beyond which the one that stood still longest is forgotten; and scans
#: that came to their end whose last step can still be asked again.
MAX_SCANS: Final = 10_000
#: A cursor is SCAN * STEPS + STEP; with 2**31 scans it stays below the 2**53 that JavaScript can hold.
STEPS: Final = 1 << 20

#: Step -> table and last key, of the last two steps of a scan.
Positions = dict[int, tuple[str, str]]


class Cursors:
    """The scans of one server. ``first`` is the first scan's number: best a random one, so that a cursor
    from before a restart is not taken for one of now."""

    def __init__(self, first: int = 1) -> None:
        self._next = first
        self._scans: Bounded[int, Positions] = Bounded(MAX_SCANS)
        self._finished: Bounded[int, Positions] = Bounded(MAX_SCANS)

    def __len__(self) -> int:
        return len(self._scans)

    def find(self, cursor: int, table: str) -> str:
        """The key after which a scan of ``table`` goes on. KeyError if this is no such scan."""
        scan, step = divmod(cursor, STEPS)
        known = self._scans if scan in self._scans else self._finished
        of_table, key = known[scan][step]
        if of_table != table:
            raise KeyError(cursor)
        known.touch(scan)
        return key

    def advance(self, cursor: int, table: str, key: str) -> int:
        """The cursor with which to ask for what comes after ``key``. ``cursor`` 0 begins a scan."""
        scan, step = divmod(cursor, STEPS)
        if not cursor:
            scan, self._next = self._next, self._next % (1 << 31) + 1
        following = (step + 1) % STEPS
        # Ten thousand others may have begun since this step of it did.
        positions = self._finished.pop(scan, None) or self._scans.get(scan, {})
        kept = {step: positions[step]} if step in positions else {}
        self._scans[scan] = kept | {following: (table, key)}
        return scan * STEPS + following

    def finish(self, cursor: int) -> None:
        """The scan came to its end. Its last step can be asked again until others push it out."""
        scan = cursor // STEPS
        if scan in self._scans:
            self._finished[scan] = self._scans.pop(scan)
