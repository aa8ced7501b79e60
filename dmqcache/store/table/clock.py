"""The two clocks of a store: monotonic time for expiry; wall time, corrected by the cluster, for versions.

A node whose wall clock is far from the others' would win or lose every conflict. dmqcache nodes tell each
other their wall time with what they send; where a node's own is further than the tolerance from the median,
its versions follow the median until the clock is mended. Expiry never looks at the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Final

#: Milliseconds that a node's clock may differ from the median unheeded: NTP keeps below a hundredth of it.
TOLERANCE_MS: Final = 30_000
#: A version further in the future than this is pulled back to it. Ten times the tolerance.
MAX_AHEAD_MS: Final = 300_000


class Clock:
    """What time it is for the tables of one node."""

    def __init__(self, now: Callable[[], float], wall_ms: Callable[[], int]) -> None:
        #: Monotonic seconds.
        self.now = now
        self._wall_ms = wall_ms
        self._ahead: dict[str, int] = {}
        #: Milliseconds added to the wall clock; 0 while it agrees with the others'.
        self.correction = 0

    def wall_ms(self) -> int:
        """Unix ms, as versions use it."""
        return self._wall_ms() + self.correction

    def raw_ms(self) -> int:
        """Unix ms of this machine: what other nodes are told."""
        return self._wall_ms()

    def heard(self, node: str, their_ms: int) -> bool:
        """``node`` says that it is ``their_ms``; returns whether the correction changed."""
        self._ahead[node] = their_ms - self._wall_ms()
        return self._correct()

    def forget(self, node: str) -> bool:
        """``node`` is gone; its clock counts no more. Returns whether the correction changed."""
        return self._ahead.pop(node, None) is not None and self._correct()

    def _correct(self) -> bool:
        middle = int(median([0, *self._ahead.values()])) if self._ahead else 0
        wanted = middle if abs(middle) > TOLERANCE_MS else 0
        if abs(wanted - self.correction) <= TOLERANCE_MS // 10 and (wanted == 0) == (self.correction == 0):
            return False
        self.correction = wanted
        return True
