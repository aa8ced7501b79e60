"""The two clocks of a store: monotonic time for expiry; wall time, corrected by the cluster, for versions.

A version is a hybrid logical clock: Unix ms, and below it a counter for what is written within one
millisecond. A write takes the greater of now and the version before plus one, so a key may be written 65,536
times a millisecond and its version is still never ahead of the clock of the node that is furthest ahead.

A node whose wall clock is far from the others' would win or lose every conflict. dmqcache nodes tell each
other their wall time when they compare tables; where a node's own is further than the tolerance from the
median, its versions follow the median until the clock is mended. Of two clocks in the middle the later one
counts: a time between them is no node's, and while some have been set and others not yet it would change with
each answer. Expiry never looks at the wall clock.

A clock that was ahead and is set back leaves versions of times that are still to come. By how much it was set
back is known here until it shows again what it showed before: nothing from then lies ahead any more.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from statistics import median_high
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
#: Milliseconds above a whole second that are not counted in how far a clock was set back: two nodes do not
#: measure it alike to the millisecond.
ROUNDED_OFF_MS: Final = 250


def version_at(ms: int) -> int:
    """The least version of a millisecond (Unix ms)."""
    return ms << COUNTER_BITS


def ms_of(version: int) -> int:
    """Unix ms: what a Kamailio 6.2 calls ``last_modified``. To it 0 means none, so the least is 1."""
    return version >> COUNTER_BITS or 1


class _HighWater:
    """By how much a clock shows less than it did, until it has caught up."""

    def __init__(self) -> None:
        #: Unix ms: the greatest time that was noticed.
        self._latest = 0
        #: Milliseconds that the clock was ahead of the monotonic one at most since then.
        self._most = 0.0

    def fallen(self, wall_ms: int, now_ms: float) -> float:
        """It is ``wall_ms``, at ``now_ms`` of the monotonic clock."""
        ahead = wall_ms - now_ms
        if wall_ms >= self._latest:
            self._latest, self._most = wall_ms, ahead
            return 0.0
        self._most = max(self._most, ahead)
        return self._most - ahead


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
        self._raw, self._corrected = _HighWater(), _HighWater()
        self._ahead = self._wall_ms() - 1000.0 * now()
        self.set_back_by()

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

    def set_back_by(self) -> int:
        """Milliseconds by which this machine's clock was set back since it showed a time that is still to
        come, so far as versions followed it; else 0. In whole seconds, so that nodes whose clocks were set
        right together name the same number, and one or two too many: what was dated before must not be above
        what is written now."""
        now = 1000.0 * self.now()
        raw = self._raw.fallen(self._wall_ms(), now)
        corrected = self._corrected.fallen(self.wall_ms(), now)
        fallen = min(raw, corrected)
        return 1000 * (ceil((fallen - ROUNDED_OFF_MS) / 1000) + 1) if fallen > TOLERANCE_MS else 0

    def was_set(self) -> bool:
        """Whether this machine's clock was set, by more than the tolerance, since this was last asked. The
        others' may have been set with it: what is known of them is to be asked anew."""
        ahead = self._wall_ms() - 1000.0 * self.now()
        before, self._ahead = self._ahead, ahead
        return abs(ahead - before) > TOLERANCE_MS

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
        self.set_back_by()
        self._follow()
        self.set_back_by()

    def _follow(self) -> None:
        if not self._samples:
            self.correction = 0
            return
        own = self._wall_ms() - 1000.0 * self.now()
        middle = int(median_high([0.0, *(theirs - own for theirs in self._samples.values())]))
        wanted = middle if abs(middle) > TOLERANCE_MS else 0
        if abs(wanted - self.correction) > TOLERANCE_MS // 10 or (wanted == 0) != (self.correction == 0):
            self.correction = wanted
