"""The order of a table's keys, kept lazily: a write costs a dictionary entry, the sorting waits for a reader.

Most tables are written far more often than they are listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Protocol

from sortedcontainers import SortedList

from dmqcache.store.table.hashed_dict import hashed_dict

#: When one key in so many has died, the list is made anew: after a flush of a million, in 0.1 s, not 3.
REBUILD_SHARE: Final = 8
#: Dead keys, beside twice those that the sorted ones hold, from which on the born ones are looked through;
#: and how many of these at each further death: all at once, a million of them would take a tenth of a second.
TIDY_DEAD: Final = 10_000
LOOKED_AT: Final = 8


class KeyOrder:
    """A sorted list of the live keys. ``add`` and ``discard`` are only told of real births and deaths."""

    def __init__(self) -> None:
        self._sorted: SortedList = SortedList()
        #: Keys to be sorted in, each once. One that has died meanwhile stands in ``_died`` too.
        self._born: list[str] = []
        #: Dead keys that still stand among the sorted or the born ones.
        self._died: dict[str, None] = hashed_dict()
        self._tidy_at = TIDY_DEAD
        #: The born keys that are still to be looked at, the first ones; 0: nothing is being tidied.
        self._unlooked = 0
        #: How often keys were moved within these: who walks through them may then come by one twice.
        self.listed = 0

    def add(self, key: str) -> None:
        if self._died and key in self._died:
            del self._died[key]
        else:
            self._born.append(key)

    def add_all(self, keys: list[str]) -> None:
        """The same of many."""
        if self._died:
            for key in keys:
                self.add(key)
        else:
            self._born += keys

    def discard(self, key: str) -> None:
        self._died[key] = None
        if self._unlooked or len(self._died) >= self._tidy_at:
            self._tidy_some()

    def _tidy_some(self) -> None:
        """Forget the dead among some of the born, from the last to the first: keys that come and go unlisted
        cost no memory."""
        born, died = self._born, self._died
        place = min(self._unlooked or len(born), len(born))
        for _ in range(min(LOOKED_AT, place)):
            place -= 1
            key = born[place]
            if key in died:
                del died[key]
                last = born.pop()
                if place < len(born):
                    born[place] = last
                    self.listed += 1
        self._unlooked = place
        if not place:
            self._tidy_at = 2 * len(died) + max(TIDY_DEAD, len(born) // 4)

    def _settle(self) -> None:
        """Sort in the waiting keys."""
        if self._born:
            self.listed += 1
            self._sorted.update(self._born)
            self._born.clear()
        if len(self._died) * REBUILD_SHARE > len(self._sorted):
            self._sorted = SortedList(key for key in self._sorted if key not in self._died)
        else:
            for key in self._died:
                self._sorted.remove(key)
        self._died = hashed_dict()

    def settle_some(self, count: int) -> bool:
        """Sort in up to ``count`` of the waiting keys, or take out so many dead ones; False: no more than
        that wait for the next listing."""
        if len(self._born) > count:
            self.listed += 1
            self._sorted.update(self._born[-count:])
            del self._born[-count:]
            return True
        if len(self._died) <= count:
            return False
        self.listed += 1
        self._sorted.update(self._born)
        self._born.clear()
        for _ in range(count):
            self._sorted.remove(self._died.popitem()[0])
        return True

    def sample(self, chance: float) -> str | None:
        """Some key, each as likely (``chance``: from 0 to less than 1); it may be a dead one. None: there is
        no key."""
        place = int(chance * (len(self._born) + len(self._sorted))) - len(self._born)
        if place < 0:
            return self._born[place]
        return self._sorted[place] if place < len(self._sorted) else None

    def walk(self, count: int) -> Iterator[list[str]]:
        """The keys in no order, unsorted, ``count`` at a time: each that lives all the while, some of them
        twice, and some that do not. Anything may change between two steps."""
        # From the last to the first: what is sorted in meanwhile leaves from the end and is found below, and
        # nothing else moves but the last key, to the place of a dead one.
        born = self._born
        place = len(born)
        while (end := min(place, len(born))) > 0:
            place = max(0, end - count)
            yield born[place:end]
        some = list(islice(self._sorted, count))
        while some:
            yield some
            start = self._sorted.bisect_right(some[-1])
            some = list(self._sorted.islice(start, start + count))

    def emptied(self, count: int) -> Iterator[None]:
        """Give the memory back, ``count`` keys at a time: nobody lists them any more."""
        while self._born:
            del self._born[-count:]
            yield
        while self._sorted:
            for _ in range(min(count, len(self._sorted))):
                self._sorted.pop()
            yield
        while self._died:
            for _ in range(min(count, len(self._died))):
                self._died.popitem()
            yield

    def after(self, key: str | None, prefix: str = "") -> Iterator[str]:
        """The keys above ``key`` that start with ``prefix``, in order. Nothing may change meanwhile."""
        self._settle()
        if key is None or key < prefix:
            start = self._sorted.bisect_left(prefix)
        else:
            start = self._sorted.bisect_right(key)
        for found in self._sorted.islice(start):
            if not found.startswith(prefix):
                return
            yield found


class Ordered(Protocol):
    """A table, whose order is another one after a flush that took nearly all."""

    order: KeyOrder


def walk(table: Ordered, count: int) -> Iterator[list[str]]:
    """:meth:`KeyOrder.walk` of a table, from the beginning again where it has got another order meanwhile."""
    order = None
    while order is not table.order:
        order = table.order
        for keys in order.walk(count):
            yield keys
            if table.order is not order:
                break
