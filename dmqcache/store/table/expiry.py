"""When keys are due: buckets of one second in order, so that moving a key costs two dictionary operations.

Reads compare a cell's own time and are exact; this index only finds what nobody reads, in bounded steps.
"""

from __future__ import annotations

from math import ceil

from sortedcontainers import SortedDict

from dmqcache.store.table.cell import NEVER


class ExpiryIndex:
    """Keys by the second (of the node's monotonic clock) in which they are over."""

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
                bucket = self._buckets[new] = {}
            bucket[key] = None

    def _remove(self, key: str, second: int) -> None:
        bucket = self._buckets.get(second)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del self._buckets[second]

    def due(self, now: float, limit: int) -> list[str]:
        """Up to ``limit`` keys of seconds that are wholly over. They stay until they are moved away."""
        found: list[str] = []
        for second in self._buckets:
            if second > now or len(found) >= limit:
                break
            for key in self._buckets[second]:
                found.append(key)
                if len(found) >= limit:
                    break
        return found
