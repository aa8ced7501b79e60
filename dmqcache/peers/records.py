"""Records that somebody else owns, as a mirror keeps them: by key, each for its time, a bounded number.

Pure: time is handed in, Unix seconds. Owns when a record is stale and when it leaves, and that what was
removed is remembered for a while, so that a late message does not bring it back. What a record is, and why it
changes, is its peer's business.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

#: Some 2 kB each.
MAX_RECORDS: Final = 200_000
#: How long a removal is remembered: longer than any message is on its way, and any donor takes.
REMEMBERED_S: Final = 600
MAX_REMEMBERED: Final = 200_000
#: Records whose time has come that are looked at in one step: some milliseconds.
SWEPT: Final = 1000

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@dataclass(slots=True)
class _Kept(Generic[R]):
    record: R
    stale_at: float
    leaves_at: float
    stale: bool

    @property
    def due(self) -> int:
        """The second in which something happens to it next."""
        return math.ceil(self.leaves_at if self.stale else min(self.stale_at, self.leaves_at))


class RecordsFull(Exception):
    """There are :data:`MAX_RECORDS` already."""


class Records(Generic[K, R]):
    """The records of one peer. ``word_of`` says in one word what a record is, given whether it is stale, as
    metrics have it; ``changed`` is told a record before and after each change, None where there is none."""

    def __init__(
        self, word_of: Callable[[R, bool], str], changed: Callable[[R | None, R | None], None]
    ) -> None:
        self._word_of = word_of
        self._changed = changed
        self._kept: dict[K, _Kept[R]] = {}
        #: Second -> whose time it is then; and these seconds, the next one first.
        self._due: dict[int, set[K]] = {}
        self._seconds: list[int] = []
        #: Key -> (what identified it, until when that is remembered), the oldest first.
        self._gone: dict[K, tuple[object, float]] = {}
        #: When each is forgotten, the next one first; numbered, as keys need not compare.
        self._forget: list[tuple[float, int]] = []
        self._numbered: dict[int, K] = {}
        self._number = 0
        #: Word -> how many records it fits now.
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
        return not self._kept and not self._gone

    def put(self, key: K, record: R, now: float, leaves_at: float, stale_at: float = math.inf) -> None:
        """Keep a record, in the place of the one before. RecordsFull."""
        before = self._kept.get(key)
        if before is None and len(self._kept) >= MAX_RECORDS:
            raise RecordsFull
        self._gone.pop(key, None)
        self._change(key, before, _Kept(record, stale_at, leaves_at, stale_at <= now))

    def remove(self, key: K, identity: object, now: float, until: float = 0.0) -> R | None:
        """Somebody removed it. ``identity``: what a later record with this key differs in; it is remembered
        ``until`` then (0: for :data:`REMEMBERED_S`)."""
        self._gone.pop(key, None)
        self._gone[key] = identity, until or now + REMEMBERED_S
        self._number += 1
        self._numbered[self._number] = key
        heapq.heappush(self._forget, (self._gone[key][1], self._number))
        if len(self._forget) > 2 * MAX_REMEMBERED + SWEPT:
            self._numbered = dict(enumerate(self._gone))
            self._forget = sorted((self._gone[gone][1], number) for number, gone in self._numbered.items())
            self._number = len(self._gone)
        if len(self._gone) > MAX_REMEMBERED:
            del self._gone[next(iter(self._gone))]
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._change(key, kept, None)
        return kept.record

    def removed(self, key: K) -> object | None:
        """What identified the record that was removed under this key not long ago."""
        gone = self._gone.get(key)
        return None if gone is None else gone[0]

    def sweep(self, now: float) -> list[tuple[K, R]]:
        """Let time pass: those whose time was over, and that are gone therefore; up to :data:`SWEPT` of them,
        then there may be more."""
        for _ in range(SWEPT):
            if not self._forget or self._forget[0][0] > now:
                break
            until, number = heapq.heappop(self._forget)
            key = self._numbered.pop(number)
            if key in self._gone and self._gone[key][1] == until:
                del self._gone[key]
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
                self._change(key, kept, _Kept(kept.record, kept.stale_at, kept.leaves_at, True))
        return left

    def _change(self, key: K, before: _Kept[R] | None, after: _Kept[R] | None) -> None:
        if before is not None:
            self._due[before.due].discard(key)
            self._count(before, -1)
        if after is None:
            del self._kept[key]
        else:
            self._kept[key] = after
            self._count(after, 1)
            keys = self._due.get(after.due)
            if keys is None:
                keys = self._due[after.due] = set()
                heapq.heappush(self._seconds, after.due)
            keys.add(key)
        old = None if before is None else before.record
        new = None if after is None else after.record
        if old is not new:
            self._changed(old, new)

    def _count(self, kept: _Kept[R], step: int) -> None:
        word = self._word_of(kept.record, kept.stale)
        self.counted[word] = self.counted.get(word, 0) + step
