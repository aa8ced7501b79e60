"""When keys are due: buckets of one second in order, so that moving a key costs two dictionary operations.

Reads compare a cell's own time and are exact; this index only finds what nobody reads, in bounded steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from math import ceil
from typing import Final

from sortedcontainers import SortedDict

from dmqcache.store.table.cell import NEVER
from dmqcache.store.table.hashed_dict import hashed_dict

#: Seconds that are added up at once for a summary: about a millisecond's work.
MAX_SUMMED: Final = 10_000
#: Keys of one second that are skipped for a sample: a few microseconds.
MAX_SKIPPED: Final = 200


class ExpiryIndex:
    """Keys by the second (of the node's monotonic clock) in which they expire."""

    def __init__(self) -> None:
        self._buckets: SortedDict = SortedDict()

    def move(self, key: str, before: float, after: float) -> None:
        """``key`` was due at ``before`` and is now due at ``after`` (NEVER: not at all)."""
        old = ceil(before) if before != NEVER else None
        new = ceil(after) if after != NEVER else None
        if old == new:
            return
        if old is not None:
            self._remove(key, old)
        if new is not None:
            bucket = self._buckets.get(new)
            if bucket is None:
                bucket = self._buckets[new] = hashed_dict()
            bucket[key] = None

    def _remove(self, key: str, second: int) -> None:
        bucket = self._buckets.get(second)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del self._buckets[second]

    def sample(self, chance: float) -> str | None:
        """Some key with a time to live, of any second, each second as likely (``chance``: from 0 to less than
        1). None: there is none."""
        if not self._buckets:
            return None
        place = chance * len(self._buckets)
        bucket = self._buckets.peekitem(int(place))[1]
        return next(islice(bucket, int(place % 1 * min(len(bucket), MAX_SKIPPED)), None), None)

    def soonest(self) -> Iterator[str]:
        """The keys in the order of their seconds. Nothing may change meanwhile."""
        return chain.from_iterable(self._buckets.values())

    def emptied(self, count: int) -> Iterator[None]:
        """Give the memory back, ``count`` keys at a time: none of them is due any more."""
        room = count
        while self._buckets:
            bucket = self._buckets.peekitem()[1]
            while bucket and room > 0:
                bucket.popitem()
                room -= 1
            if bucket:
                room = count
                yield
            else:
                self._buckets.popitem()

    def about(self, now: float) -> tuple[int, float]:
        """About how many keys have a time to live, and the seconds that are left to them on average. Of very
        many seconds only some are looked at."""
        step = len(self._buckets) // MAX_SUMMED + 1
        count, left = 0, 0.0
        for second in self._buckets.keys()[::step]:
            there = len(self._buckets[second])
            count += there
            left += there * max(0.0, second - now)
        return count * step, left / count if count else 0.0

    def due(self, now: float, limit: int) -> list[str]:
        """Up to ``limit`` keys of seconds that are wholly over. They stay until they are moved away."""
        found: list[str] = []
        if not self._buckets:
            return found
        for second in self._buckets:
            if second > now or len(found) >= limit:
                break
            for key in self._buckets[second]:
                found.append(key)
                if len(found) >= limit:
                    break
        return found
