"""The order of a table's keys, kept lazily: a write costs a dictionary entry, the sorting waits for a reader.

Most tables are written far more often than they are listed. ``settle`` may also be called now and then, a
few keys at a time, so that the first listing of a large table finds little left to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from sortedcontainers import SortedList

#: When one key in so many has died, the list is made anew: after a flush of a million, in 0.1 s, not 3.
REBUILD_SHARE: Final = 8
#: Dead keys, beside twice those that the sorted ones hold, from which on the born ones are looked through.
TIDY_DEAD: Final = 10_000


class KeyOrder:
    """A sorted list of the live keys. ``add`` and ``discard`` are only told of real births and deaths."""

    def __init__(self) -> None:
        self._sorted: SortedList = SortedList()
        #: Keys to be sorted in, each once. One that has died meanwhile stands in ``_died`` too.
        self._born: list[str] = []
        #: Dead keys that still stand among the sorted or the born ones.
        self._died: dict[str, None] = {}
        self._tidy_at = TIDY_DEAD

    def add(self, key: str) -> None:
        if self._died and key in self._died:
            del self._died[key]
        else:
            self._born.append(key)

    def discard(self, key: str) -> None:
        self._died[key] = None
        if len(self._died) >= self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """Forget the dead among the born: keys that come and go unlisted cost no memory."""
        died = self._died
        living = [key for key in self._born if key not in died]
        if len(living) < len(self._born):
            for key in self._born:
                died.pop(key, None)
            self._born = living
        self._tidy_at = 2 * len(died) + TIDY_DEAD

    def clear(self) -> None:
        self._sorted.clear()
        self._born.clear()
        self._died.clear()

    def settle(self, limit: int | None = None) -> int:
        """Sort in up to ``limit`` of the waiting keys (None: all); returns how many."""
        born = self._born[:limit]
        self._sorted.update(born)
        del self._born[: len(born)]
        if self._born:
            return len(born)
        died = list(islice(self._died, None if limit is None else max(0, limit - len(born))))
        if limit is None and len(died) * REBUILD_SHARE > len(self._sorted):
            self._sorted = SortedList(key for key in self._sorted if key not in self._died)
            self._died.clear()
        else:
            for key in died:
                self._sorted.remove(key)
                del self._died[key]
        return len(born) + len(died)

    def unsettled(self) -> int:
        return len(self._born) + len(self._died)

    def after(self, key: str | None, prefix: str = "") -> Iterator[str]:
        """The keys above ``key`` that start with ``prefix``, in order. Nothing may change meanwhile."""
        self.settle()
        if key is None or key < prefix:
            start = self._sorted.bisect_left(prefix)
        else:
            start = self._sorted.bisect_right(key)
        for found in self._sorted.islice(start):
            if not found.startswith(prefix):
                return
            yield found

    def any_key(self, fraction: float) -> str | None:
        """The key at a place between 0 and 1 of the order; None from an empty table."""
        self.settle()
        if not self._sorted:
            return None
        key: str = self._sorted[int(fraction * len(self._sorted))]
        return key
