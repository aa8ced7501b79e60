"""Records that somebody else owns, as a mirror keeps them: by key, each for its time, bounded by number and
by bytes.

Pure: time is handed in, Unix seconds. Owns when a record is stale and when it leaves, and that what was
removed is remembered for a while (``remembered.py``), so that a late message does not bring it back. What a
record is, and why it changes, is its peer's business; what it weighs, ``weight.py``'s.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from dmqcache.peers.remembered import REMEMBERED_S, Remembered
from dmqcache.peers.weight import weight

MAX_RECORDS: Final = 200_000
#: Bytes of all together, as :func:`weight` counts them: as many records of some 3 kB.
MAX_BYTES: Final = 600_000_000
#: Bytes that keeping a record takes beside the record and its key.
KEEPING: Final = 400
#: Records whose time has come that are looked at in one step: some milliseconds.
SWEPT: Final = 1000
#: Seconds that are nobody's any more, of which so many may be kept.
SPARE: Final = 1000

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@dataclass(slots=True)
class _Kept(Generic[R]):
    record: R
    stale_at: float
    leaves_at: float
    stale: bool
    #: What it and its key take, bytes.
    weight: int

    @property
    def due(self) -> int:
        """The second in which something happens to it next."""
        return math.ceil(self.leaves_at if self.stale else min(self.stale_at, self.leaves_at))


class RecordsFull(Exception):
    """There are :data:`MAX_RECORDS`, or :data:`MAX_BYTES`, already."""


class Records(Generic[K, R]):
    """The records of one peer. ``word_of`` says in one word what a record is, given whether it is stale, as
    metrics have it; ``changed`` is told a record before and after each change, None where there is none."""

    def __init__(
        self, word_of: Callable[[R, bool], str], changed: Callable[[R | None, R | None], None]
    ) -> None:
        self._word_of = word_of
        self._changed = changed
        self._kept: dict[K, _Kept[R]] = {}
        #: Second -> whose time it is then; and these seconds, the next one first, with some that are nobody's
        #: any more.
        self._due: dict[int, set[K]] = {}
        self._seconds: list[int] = []
        self._gone: Remembered[K] = Remembered()
        #: What all that is kept takes, bytes.
        self.bytes = 0
        #: Word -> how many records it fits now; words that fit none are left out.
        self.counted: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> R | None:
        kept = self._kept.get(key)
        return None if kept is None else kept.record

    def listed(self) -> list[K]:
        """The keys of now, in the order in which they came."""
        return list(self._kept)

    def is_stale(self, key: K) -> bool:
        kept = self._kept.get(key)
        return kept is not None and kept.stale

    @property
    def idle(self) -> bool:
        """Whether no time has to pass: nothing is kept or remembered."""
        return not self._kept and not len(self._gone)

    def put(self, key: K, record: R, now: float, leaves_at: float, stale_at: float = math.inf) -> None:
        """Keep a record, in the place of the one before. RecordsFull; the one before stays then."""
        before = self._kept.get(key)
        takes = KEEPING + weight(key) + weight(record)
        grows = takes - (0 if before is None else before.weight)
        if before is None and len(self._kept) >= MAX_RECORDS:
            raise RecordsFull
        if grows > 0 and self.bytes + grows > MAX_BYTES:
            raise RecordsFull
        self._gone.forget(key)
        self._change(key, before, _Kept(record, stale_at, leaves_at, stale_at <= now, takes))

    def remove(self, key: K, identity: object, now: float, until: float = 0.0) -> R | None:
        """Somebody removed it. ``identity``: what a later record with this key differs in, something
        small; it is remembered ``until`` then (0: for :data:`REMEMBERED_S`)."""
        self._gone.add(key, identity, until or now + REMEMBERED_S)
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._change(key, kept, None)
        return kept.record

    def removed(self, key: K) -> object | None:
        """What identified the record that was removed under this key not long ago."""
        return self._gone.get(key)

    def remembered(self) -> Iterator[tuple[K, object, float]]:
        """What was removed not long ago: each key, what identified it, until when that is remembered."""
        return self._gone.listed()

    def sweep(self, now: float) -> list[tuple[K, R]]:
        """Let time pass: those whose time was over, and that are gone therefore; up to :data:`SWEPT` of them,
        then there may be more."""
        self._gone.sweep(now, SWEPT)
        left: list[tuple[K, R]] = []
        seen = 0
        while self._seconds and self._seconds[0] <= now and seen < SWEPT:
            keys = self._due.get(self._seconds[0])
            if not keys:
                self._due.pop(heapq.heappop(self._seconds), None)
                continue
            key = next(iter(keys))
            seen += 1
            kept = self._kept[key]
            if kept.leaves_at <= now:
                self._change(key, kept, None)
                left.append((key, kept.record))
            else:
                self._change(key, kept, replace(kept, stale=True))
        return left

    def _change(self, key: K, before: _Kept[R] | None, after: _Kept[R] | None) -> None:
        if before is not None:
            self._leave(before.due, key)
            self._count(before, -1)
            self.bytes -= before.weight
        if after is None:
            del self._kept[key]
        else:
            self._kept[key] = after
            self._count(after, 1)
            self.bytes += after.weight
            keys = self._due.get(after.due)
            if keys is None:
                keys = self._due[after.due] = set()
                heapq.heappush(self._seconds, after.due)
            keys.add(key)
        old = None if before is None else before.record
        new = None if after is None else after.record
        if old is not new:
            self._changed(old, new)

    def _leave(self, second: int, key: K) -> None:
        """Its time is another. Of a second that is nobody's nothing is kept: a contact may be refreshed for
        ever, each time until another one."""
        keys = self._due[second]
        keys.discard(key)
        if not keys:
            del self._due[second]
            if len(self._seconds) > 2 * len(self._due) + SPARE:
                self._seconds = sorted(self._due)

    def _count(self, kept: _Kept[R], step: int) -> None:
        word = self._word_of(kept.record, kept.stale)
        count = self.counted.get(word, 0) + step
        if count:
            self.counted[word] = count
        else:
            del self.counted[word]
