"""How many questions a node may ask whether others are there: a token bucket.

Owns the count. Who asks what first is for those who take from it: ``probe.py``, ``join.py`` and
``verify.py``. So that however many nodes are down, silent or cut off, this one never becomes a load on the
network, nor on a Kamailio.
"""

from __future__ import annotations

from collections.abc import Callable

#: Questions a second, in the long run.
RATE = 2.0
#: Questions that may be asked at once after a quiet time. One that is cut off from nineteen others needs 38
#: unanswered ones to know it, within ten seconds, and a few to tell the living.
BURST = 45.0
#: Seconds. By less than that the rounding of sums would be waited for.
SHORTEST_WAIT = 0.01


class Budget:
    """The questions of one node."""

    def __init__(self, now: Callable[[], float], rate: float = RATE, burst: float = BURST) -> None:
        """``now``: monotonic seconds."""
        self._now = now
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled = now()

    @property
    def full(self) -> bool:
        """Whether what is not asked now is lost."""
        return self._available() >= self._burst - 1

    def take(self, leave: float = 0.0) -> bool:
        """Whether one more question may be asked now, and so many others still after it; then it counts."""
        if self._available() < 1 + leave:
            return False
        self._tokens -= 1
        return True

    def owe(self) -> None:
        """Ask one more question now, whatever is left: those that come after it wait the longer."""
        self._available()
        self._tokens -= 1

    def wait(self, leave: float = 0.0) -> float:
        """Seconds until one question may be asked that leaves so many."""
        return max(SHORTEST_WAIT, (1 + leave - self._available()) / self._rate)

    def _available(self) -> float:
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return self._tokens
