"""Times to live that came before their set.

A Kamailio tells a set and its time in two messages. If the set is lost on its way and sent again, the time
arrives first, for a key that is not there; it would be lost, and the cell live for the table's whole time.
"""

from __future__ import annotations

from typing import Final

#: Seconds in which Kamailio repeats a lost message often enough (0.5, 1.5, 3.5, 7.5 s after the first).
KEPT_S: Final = 8.0
#: Times remembered at once.
MAX_TIMES: Final = 1_000


class EarlyTimes:
    """What was said of keys that are not there, by whom and when."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], tuple[int, float]] = {}

    def remember(self, key: str, sender: str, seconds: int, now: float) -> None:
        """``sender`` gave an absent key ``seconds`` to live at ``now`` (monotonic seconds)."""
        self._times.pop((key, sender), None)
        self._times[key, sender] = (seconds, now)
        while self._times:
            oldest = next(iter(self._times))
            if len(self._times) <= MAX_TIMES and self._times[oldest][1] >= now - KEPT_S:
                break
            del self._times[oldest]

    def take(self, key: str, sender: str, now: float) -> float | None:
        """The seconds left of a time that ``sender`` gave ``key`` lately, once; None: there is none."""
        if not self._times:
            return None
        seconds, then = self._times.pop((key, sender), (0, 0.0))
        if seconds <= 0 or now - then > KEPT_S:
            return None
        return max(0.001, seconds - (now - then))
