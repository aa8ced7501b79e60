"""Virtual time: one heap of timers for all nodes, and each node's own clocks, chance and sleep.

Owns the order of events and the transcript. What travels between nodes is ``network.py``'s business; who is
there, ``cluster.py``'s. There is no wall time in here at all: the same seed gives the same run to the bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any, NoReturn
from zlib import crc32

#: Unix ms at which every run begins.
EPOCH_MS = 1_700_000_000_000
#: Events at one moment of virtual time above which something calls itself for ever.
STUCK = 200_000


class VirtualTimer:
    """A call that is still to come."""

    __slots__ = ("callback", "runtime")

    def __init__(self, callback: Callable[[], None], runtime: VirtualRuntime | None) -> None:
        self.callback: Callable[[], None] | None = callback
        self.runtime = runtime

    def cancel(self) -> None:
        self.callback = None


class World:
    """The time that all nodes share, and what is to happen in it."""

    def __init__(self, seed: int, transcript: bool = False) -> None:
        self.seed = seed
        self.now = 0.0
        #: Chance of the network and the faults; nodes have their own.
        self.chance = random.Random(f"dmqcache world {seed}")
        #: Lines of (seconds, node, text), if they were asked for.
        self.transcript: list[tuple[float, str, str]] | None = [] if transcript else None
        #: A number over everything that travelled: two runs of a seed must agree in it.
        self.fingerprint = 0
        self.events = 0
        #: The node that is running right now, for log lines.
        self.current = ""
        self._heap: list[tuple[float, int, VirtualTimer]] = []
        self._count = 0

    def call_at(
        self, when: float, callback: Callable[[], None], runtime: VirtualRuntime | None = None
    ) -> VirtualTimer:
        """Call at a moment of the shared time; not before now."""
        timer = VirtualTimer(callback, runtime)
        self._count += 1
        heappush(self._heap, (when if when > self.now else self.now, self._count, timer))
        return timer

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        """Call after ``delay`` seconds, whatever the nodes do."""
        return self.call_at(self.now + delay, callback)

    def call_again(self, timer: VirtualTimer) -> None:
        """Call at this moment what has come due before, unless it was or is cancelled."""
        if timer.callback is not None:
            self._count += 1
            heappush(self._heap, (self.now, self._count, timer))

    def note(self, node: str, text: str) -> None:
        """A line of the transcript."""
        if self.transcript is not None:
            self.transcript.append((self.now, node, text))

    def stamp(self, data: bytes) -> None:
        """Take something into the run's fingerprint."""
        self.fingerprint = crc32(data, self.fingerprint)

    def run_until(self, end: float) -> None:
        """Live until ``end`` seconds."""
        heap = self._heap
        at_once = 0
        while heap and heap[0][0] <= end:
            when, _, timer = heappop(heap)
            callback = timer.callback
            if callback is None:
                continue
            if when > self.now:
                self.now = when
                at_once = 0
            at_once += 1
            if at_once > STUCK:
                raise RuntimeError(f"more than {STUCK} events at {when:.3f} s")
            self.events += 1
            runtime = timer.runtime
            if runtime is None:
                self.current = ""
            elif runtime.halted:
                continue
            elif runtime.frozen is not None:
                runtime.frozen.append(timer)
                continue
            else:
                self.current = runtime.name
            timer.callback = None
            callback()
        self.now = end

    def run(self, seconds: float) -> None:
        """Live through so much time."""
        self.run_until(self.now + seconds)


class VirtualRuntime:
    """One process's outside world: the :class:`~dmqcache.bus.runtime.Runtime` that a bus and a store get."""

    def __init__(self, world: World, name: str, incarnation: int, skew_ms: int = 0) -> None:
        """``skew_ms``: by how much the wall clock of the machine is ahead of true time."""
        self.world = world
        self.name = name
        self.skew_ms = skew_ms
        #: The process is gone: none of its timers fires any more.
        self.halted = False
        #: While the process is stopped: the timers that came due meanwhile.
        self.frozen: list[VirtualTimer] | None = None
        self._chance = random.Random(f"dmqcache node {world.seed} {name} {incarnation}")
        #: Monotonic time means nothing beyond its own process, so it begins anywhere.
        self._offset = self._chance.random() * 50_000.0

    def now(self) -> float:
        return self.world.now + self._offset

    def wall_ms(self) -> int:
        return EPOCH_MS + int(self.world.now * 1000) + self.skew_ms

    def random(self) -> float:
        return self._chance.random()

    def token(self) -> str:
        return f"{self._chance.getrandbits(64):016x}"

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        return self.world.call_at(self.world.now + delay, callback, self)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> NoReturn:
        """Nothing under test waits in a coroutine; one that does is a mistake of the test."""
        raise NotImplementedError(f"coroutine {name} on virtual time")

    def freeze(self) -> None:
        """The process is stopped: time goes on without it."""
        if self.frozen is None:
            self.frozen = []

    def thaw(self, read: Callable[[], None]) -> None:
        """The process goes on: as an event loop does, it reads (``read``) what waits in its socket, then what
        came due meanwhile fires, in order. What it reads may still cancel any of that."""
        due, self.frozen = self.frozen or [], None
        read()
        for timer in due:
            self.world.call_again(timer)
