"""When commands took long (LATENCY): of each kind the last moments, one a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

#: Moments that are kept of each kind (Redis').
MAX_SAMPLES: Final = 160


class Sample(NamedTuple):
    #: Unix seconds.
    time: int
    milliseconds: int


class Latency:
    """By the names of kinds. ``changed`` is told whether every command is to be timed from now on."""

    def __init__(self, wall: Callable[[], float], changed: Callable[[bool], None]) -> None:
        self._wall = wall
        self._changed = changed
        #: Milliseconds from which on it is noted; 0: nothing is.
        self.threshold = 0
        self._samples: dict[str, deque[Sample]] = {}
        self._most: dict[str, int] = {}

    def note_from(self, milliseconds: int) -> None:
        """What takes so long is noted; 0: nothing."""
        self.threshold = milliseconds
        self._changed(milliseconds > 0)

    def took(self, kind: str, seconds: float) -> None:
        """Something of this kind took so long."""
        milliseconds = int(seconds * 1000)
        if not 0 < self.threshold <= milliseconds:
            return
        samples = self._samples.setdefault(kind, deque(maxlen=MAX_SAMPLES))
        now = int(self._wall())
        if samples and samples[-1].time == now:
            milliseconds = max(milliseconds, samples.pop().milliseconds)
        samples.append(Sample(now, milliseconds))
        self._most[kind] = max(milliseconds, self._most.get(kind, 0))

    def latest(self) -> list[list[object]]:
        """Of each kind: its name, when it was last, how long that took, and the longest of all."""
        return [[kind, *samples[-1], self._most[kind]] for kind, samples in self._samples.items()]

    def history(self, kind: str) -> list[Sample]:
        """The moments of a kind, the oldest first."""
        return list(self._samples.get(kind, ()))

    def longest(self, kind: str) -> int:
        """Milliseconds of the longest of a kind since it was forgotten last; 0: there was none."""
        return self._most.get(kind, 0)

    def reset(self, kinds: Iterable[str]) -> int:
        """Forget some kinds, or all; returns of how many there was something."""
        gone = [kind for kind in dict.fromkeys(kinds or self._samples) if kind in self._samples]
        for kind in gone:
            del self._samples[kind], self._most[kind]
        return len(gone)
