"""Messages of one Kamailio that overtook each other: which was sent first, and times that came before sets.

A Kamailio up to 6.1 says of no write when it was made. A lost message comes again after 0.5, 1.5, 3.5 s; by
then later ones have arrived, and what came last would win. But Kamailio numbers its Call-IDs: each process
counts up (``7df63fa2385a193d-18446@192.0.2.1``: number, process and address), so of two messages of one
process it is known which was sent first. What follows for a cell, ``writes.py`` decides.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dmqcache.bus.bounded import Bounded

#: Number, and what tells the process. A random Call-ID of another stack rarely looks like it, and never
#: stands near a number that is known.
_CALL_ID = re.compile(r"([0-9a-f]{8,16})(-\d{1,10}@.{1,100})")
#: Call-IDs further apart than this are no sequence: the process was started anew and has the same number.
NEAR: Final = 1 << 24
#: Messages of one process that are remembered: two seconds' at full speed. Of older ones less is known.
MAX_MESSAGES: Final = 10_000
#: Bytes that all memory of messages takes at most; beyond it the processes are forgotten that have been
#: silent longest. Enough for a hundred processes at full speed, or 30,000 that send now and then.
MEMORY_BYTES: Final = 32_000_000
#: Bytes of one message (number and time), and of a process beside its messages.
MESSAGE_BYTES: Final = 16
PROCESS_BYTES: Final = 1_000
#: Seconds between two messages of a process of which nothing is known but that they came before another.
UNKNOWN_PACE_S: Final = 0.002
#: Seconds in which Kamailio repeats a lost message often enough (0.5, 1.5, 3.5, 7.5 s after the first).
KEPT_S: Final = 8.0
#: Times to live that are remembered at once.
MAX_TIMES: Final = 1_000


class Sent(NamedTuple):
    """When a message had been sent, as far as its Call-ID tells."""

    #: Monotonic seconds: its arrival, or a moment between the arrivals of those sent before and after it.
    moment: float
    #: It was sent before one that has come already.
    late: bool = False
    #: The process that sent it, and its number there.
    process: str = ""
    number: int = 0
    #: Monotonic seconds: when it had surely been sent. None: at :attr:`moment`.
    latest: float | None = None

    def follows(self, other: Sent) -> bool | None:
        """Whether one process sent ``other`` before; None if another process did, so that only the moments
        tell."""
        return self.number > other.number if self.process == other.process else None

    def is_before(self, moment: float) -> bool:
        """Whether it had surely been sent before ``moment`` (monotonic seconds), however late it came."""
        return self.late and self.latest is not None and self.latest < moment

    def may_follow(self, other: Sent) -> bool:
        """Whether nothing says that ``other`` was sent later."""
        follows = self.follows(other)
        if follows is not None:
            return follows
        return (self.moment if self.latest is None else self.latest) >= other.moment


@dataclass(slots=True)
class _Process:
    """The messages of one process that came in order: their numbers, and when each came. Both only rise."""

    numbers: array[int] = field(default_factory=lambda: array("Q"))
    times: array[float] = field(default_factory=lambda: array("d"))

    @property
    def bytes(self) -> int:
        """What it takes at most: an array keeps an eighth in reserve."""
        return PROCESS_BYTES + len(self.numbers) * MESSAGE_BYTES * 9 // 8

    def moment_of(self, number: int) -> tuple[float, float]:
        """When a message that is not later than all others was sent: by its place among its neighbours, so
        that of several late ones too it is known which was sent first; and until when at the latest."""
        numbers, times = self.numbers, self.times
        after = min(bisect_right(numbers, number), len(numbers) - 1)
        if numbers[after] == number:
            return times[after], times[after]
        if not after:
            return times[0] - min(KEPT_S, UNKNOWN_PACE_S * (numbers[0] - number)), times[0]
        share = (number - numbers[after - 1]) / (numbers[after] - numbers[after - 1])
        return times[after - 1] + share * (times[after] - times[after - 1]), times[after]

    def add(self, number: int, now: float) -> None:
        """A message that was sent after all others."""
        self.numbers.append(number)
        self.times.append(now)
        if len(self.numbers) > 2 * MAX_MESSAGES:
            del self.numbers[:-MAX_MESSAGES], self.times[:-MAX_MESSAGES]


class SendingOrder:
    """When messages of Kamailio processes had been sent, as far as their Call-IDs tell."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._bytes = 0
        #: By name, those that sent something last at the end.
        self._processes: Bounded[str, _Process] = Bounded(max(1, memory_bytes // PROCESS_BYTES), self._forgot)

    def _forgot(self, name: str, process: _Process) -> None:
        self._bytes -= process.bytes

    def sent(self, call_id: str, now: float) -> Sent | None:
        """When the message had been sent; None where the Call-ID tells nothing. ``now``: monotonic seconds of
        its arrival."""
        found = _CALL_ID.fullmatch(call_id)
        if found is None:
            return None
        number, name = int(found[1], 16), found[2]
        process = self._processes.get(name)
        if process is not None and abs(number - process.numbers[-1]) < NEAR:
            self._processes.touch(name)
            if number <= process.numbers[-1]:
                moment, latest = process.moment_of(number)
                return Sent(moment, True, name, number, latest)
        else:
            self._bytes -= 0 if process is None else process.bytes
            process = self._processes[name] = _Process()
            self._bytes += process.bytes
        before = process.bytes
        process.add(number, now)
        self._bytes += process.bytes - before
        while self._bytes > self._memory_bytes and len(self._processes) > 1:
            self._processes.drop_oldest()
        return Sent(now, False, name, number)


@dataclass(frozen=True, slots=True)
class EarlyTime:
    """A time to live whose set may still come."""

    seconds: int
    #: Monotonic seconds when it came.
    came: float
    #: Unix ms: the version of the cell to which it was given, before and after; 0: there was none.
    before: int = 0
    after: int = 0
    #: When the write was sent that made ``before``, if the same node sent it.
    before_sent: Sent | None = None


class EarlyTimes:
    """Times to live of one table's keys, by who said them. Kamailio tells a set and its time in two
    messages: if the set is lost at first, the time comes first, for nothing or for an old value."""

    def __init__(self) -> None:
        self._times: Bounded[tuple[str, str], EarlyTime] = Bounded(MAX_TIMES)

    def remember(self, key: str, sender: str, time: EarlyTime) -> None:
        """``sender`` gave ``key`` a time to live."""
        self._times[key, sender] = time
        while next(iter(self._times.values())).came < time.came - KEPT_S:
            self._times.drop_oldest()

    def take(self, key: str, sender: str, now: float, sent: Sent | None) -> EarlyTime | None:
        """What ``sender`` said of ``key`` lately and after it had sent what comes now; once."""
        if not self._times:
            return None
        time = self._times.pop((key, sender), None)
        if time is None or now - time.came > KEPT_S:
            return None
        if sent is None:
            # Nothing tells the order: a time of a cell that was there belonged to that cell.
            return None if time.after else time
        return time if sent.late and sent.moment <= time.came else None
