"""The two clocks of a store: monotonic time for expiry; wall time, corrected by the cluster, for versions.

A version is a hybrid logical clock: Unix ms, and below it a counter for what is written within one
millisecond. A write takes the greater of now and the version before plus one, so a key may be written 65,536
times a millisecond and its version is still never ahead of the clock of the node that is furthest ahead.

A node whose wall clock is far from the others' would win or lose every conflict. dmqcache nodes tell each
other their wall time when they compare tables; where a node's own is further than the tolerance from the
median, its versions follow the median until the clock is mended. Expiry never looks at the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Final

#: Bits of a version below its Unix ms: 65,536 writes of one key in one millisecond.
COUNTER_BITS: Final = 16
#: Unix ms, or as many milliseconds: year 2248. Beyond it arithmetic with times would fail.
MAX_MS: Final = 1 << 43
#: The same as a version.
MAX_STAMP: Final = MAX_MS << COUNTER_BITS
#: What the counter of the last version of a millisecond shows.
MAX_COUNT: Final = (1 << COUNTER_BITS) - 1
#: Milliseconds that a node's clock may differ from the median unheeded: NTP keeps below a tenth of it, and
#: what is known of another node's clock is exact to half of the longest round trip.
TOLERANCE_MS: Final = 1_000
#: Seconds that an answer may take for its time to count: it was told somewhere in between.
MAX_ROUND_TRIP_S: Final = 0.5
#: A version further ahead of the clock than this is refused. Two nodes that both keep to the tolerance differ
#: by 2 s, by half a second more as their medians are not exact; the rest is room for medians of a moment in
#: which one of them knows fewer nodes.
MAX_AHEAD_MS: Final = 10_000


def version_at(ms: int) -> int:
    """The least version of a millisecond (Unix ms)."""
    return ms << COUNTER_BITS


def ms_of(version: int) -> int:
    """Unix ms: what a Kamailio 6.2 calls ``last_modified``. To it 0 means none, so the least is 1."""
    return version >> COUNTER_BITS or 1


class Clock:
    """What time it is for the tables of one node."""

    def __init__(self, now: Callable[[], float], wall_ms: Callable[[], int]) -> None:
        #: Monotonic seconds.
        self.now = now
        self._wall_ms = wall_ms
        #: By node: its wall clock less our monotonic one, in ms. Our own wall clock may do what it likes.
        self._samples: dict[str, float] = {}
        #: Milliseconds added to the wall clock; 0 while it agrees with the others'.
        self.correction = 0

    def wall_ms(self) -> int:
        """Unix ms as the cluster agrees on it."""
        return self._wall_ms() + self.correction

    def version(self) -> int:
        """The least version of this millisecond."""
        return self._wall_ms() + self.correction << COUNTER_BITS

    def limit(self) -> int:
        """The greatest version that may be right."""
        return self._wall_ms() + self.correction + MAX_AHEAD_MS << COUNTER_BITS

    def raw_ms(self) -> int:
        """Unix ms of this machine: what other nodes are told."""
        return self._wall_ms()

    def heard(self, node: str, their_ms: int, round_trip: float | None) -> None:
        """``node`` has answered that it is ``their_ms``; ``round_trip``: how many seconds that took. Of a
        long one nobody can tell which moment it speaks of."""
        if round_trip is None or round_trip > MAX_ROUND_TRIP_S:
            return
        self._samples[node] = their_ms + 500.0 * round_trip - 1000.0 * self.now()
        self.correct()

    def forget(self, node: str) -> None:
        """``node`` is gone; its clock counts no more."""
        if self._samples.pop(node, None) is not None:
            self.correct()

    def correct(self) -> None:
        """Look at our own wall clock anew; it may have been set meanwhile."""
        if not self._samples:
            self.correction = 0
            return
        own = self._wall_ms() - 1000.0 * self.now()
        middle = int(median([0.0, *(theirs - own for theirs in self._samples.values())]))
        wanted = middle if abs(middle) > TOLERANCE_MS else 0
        if abs(wanted - self.correction) > TOLERANCE_MS // 10 or (wanted == 0) != (self.correction == 0):
            self.correction = wanted
