"""What is done in all tables ten times a second: cells that expired become tombstones, old tombstones go.

Owns the pace: so many cells a second, in steps of the loop. What is old enough, the tables say.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.outboxes import Outboxes

#: Seconds between two sweeps, and cells of one: at most 50,000 expirations a second in a table.
SWEEP_S: Final = 0.1
SWEEP_CELLS: Final = 5_000
#: Sweeps between two looks for tombstones to forget, while there are no more of them than one sweep takes.
COLLECT_EVERY: Final = 5
#: Cells of one piece.
PIECE: Final = 100


class Sweeping:
    """The sweeps of one node."""

    def __init__(self, ground: Ground, outboxes: Outboxes, clock_set: Callable[[], None]) -> None:
        """``clock_set``: told when this machine's clock was set."""
        self._ground = ground
        self._outboxes = outboxes
        self._clock_set = clock_set
        self._until_collect = 0

    def sweep(self) -> None:
        """Now, and then again and again until the node stops."""
        if self._ground.stopped:
            return
        self._ground.clock.correct()
        if self._ground.clock.was_set():
            self._clock_set()
        self._outboxes.note_time()
        in_steps(self._ground.runtime, self._pieces(), self._rest, lambda: self._ground.stopped)

    def _rest(self) -> None:
        self._ground.runtime.call_later(SWEEP_S, self.sweep)

    def _pieces(self) -> Iterator[None]:
        tables = self._ground.tables.values()
        for table in tables:
            yield from _up_to_all(table.sweep)
        self._until_collect -= 1
        if self._until_collect > 0:
            return
        held, behind = self._outboxes.hold_tombstones()
        self._until_collect = COLLECT_EVERY
        for table in tables:
            more = yield from _up_to_all(partial(table.collect, held=held, behind=behind))
            if more:
                self._until_collect = 0


def _up_to_all(some: Callable[[int], int]) -> Generator[None, None, bool]:
    """Have some cells done, a piece at a time, until there are no more, or so many are done as one sweep
    takes: then it returns True."""
    for _ in range(SWEEP_CELLS // PIECE):
        if some(PIECE) < PIECE:
            return False
        yield
    return True
