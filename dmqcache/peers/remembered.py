"""What was removed not long ago, by key: what a late word of it is known by, and for how long that matters.

Pure: time is handed in, Unix seconds. Of a record that is gone nothing else is kept. Bounded by number and by
bytes: the oldest is forgotten first.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from dmqcache.peers.weight import weight

#: How long a removal is remembered: longer than any message is on its way, and any donor takes.
REMEMBERED_S: Final = 600
MAX_REMEMBERED: Final = 200_000
#: Bytes of all together, as :func:`weight` counts them: as many of some 500.
MAX_BYTES: Final = 100_000_000
#: Bytes that remembering takes beside the key and its identity.
KEEPING: Final = 400

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Gone:
    identity: object
    until: float
    number: int
    weight: int


class Remembered(Generic[K]):
    """Removals by key."""

    def __init__(self) -> None:
        #: The oldest first. Of a plain dict the first is found slowly where many before it are gone.
        self._gone: OrderedDict[K, _Gone] = OrderedDict()
        #: When each is forgotten, the next one first; numbered, as keys need not compare. A number that is
        #: not in ``_numbered`` any more is of one that was forgotten before.
        self._times: list[tuple[float, int]] = []
        self._numbered: dict[int, K] = {}
        self._number = 0
        #: What all take, bytes.
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._gone)

    def get(self, key: K) -> object | None:
        """What was remembered of this key."""
        gone = self._gone.get(key)
        return None if gone is None else gone.identity

    def listed(self) -> Iterator[tuple[K, object, float]]:
        """The removals of now: keys, what was remembered, until when; those that are forgotten meanwhile are
        left out."""
        for key in list(self._gone):
            gone = self._gone.get(key)
            if gone is not None:
                yield key, gone.identity, gone.until

    def add(self, key: K, identity: object, until: float) -> None:
        """Remember it, as the newest."""
        self.forget(key)
        self._number += 1
        gone = _Gone(identity, until, self._number, KEEPING + weight(key) + weight(identity))
        self._gone[key] = gone
        self._numbered[gone.number] = key
        self.bytes += gone.weight
        heapq.heappush(self._times, (until, gone.number))
        while len(self._gone) > MAX_REMEMBERED or self.bytes > MAX_BYTES:
            self.forget(next(iter(self._gone)))
        if len(self._times) > 2 * len(self._gone) + 1000:
            self._times = sorted((gone.until, gone.number) for gone in self._gone.values())

    def forget(self, key: K) -> None:
        """It is back, or need not be remembered."""
        gone = self._gone.pop(key, None)
        if gone is not None:
            del self._numbered[gone.number]
            self.bytes -= gone.weight

    def sweep(self, now: float, most: int) -> None:
        """Forget those whose time is over, ``most`` of them at most."""
        for _ in range(most):
            if not self._times or self._times[0][0] > now:
                break
            key = self._numbered.get(heapq.heappop(self._times)[1])
            if key is not None:
                self.forget(key)
