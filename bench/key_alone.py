"""What the bus's key costs the processors of three nodes, whatever else the machine does.

The nodes run on virtual time in this process: no sockets, no waiting. What is measured is processor time, of
the same sets with the key and without in turn, so that a busy machine tells nearly the same as an idle one.
What sockets cost comes on top of both sides of a ratio and brings it nearer to 1.
"""

from __future__ import annotations

import gc
import statistics
import time
from itertools import count
from typing import NamedTuple

from tests.simulation.cluster import Cluster
from tests.simulation.runtime import World
from tests.store_options import store_options

TABLE = "plain"
#: Sets that are written in one turn of the loop, and that one message to each other node so carries.
TOGETHER = (1, 10, 100, 500)
ROUNDS = 150
#: Rounds before it counts: the first messages are small, and a node has still to be told its token.
EARLIER_ROUNDS = 20
#: Seconds until nodes know each other, in which a message is answered, and between two rounds.
SETTLED_S, ANSWERED_S, PAUSE_S = 30.0, 0.03, 1.0


class Cost(NamedTuple):
    """Of one set."""

    #: Microseconds of processor time of all three nodes: medians.
    with_key: float
    without: float
    #: Without to with, as a ratio of rates: the median of the ratios of pairs.
    ratio: float


class _Nodes:
    """Three nodes, the first of which writes."""

    def __init__(self, keyed: bool) -> None:
        self._cluster = Cluster(World(1), ["dmqcache"] * 3, (TABLE,), store_options(), keyed=keyed)
        self._cluster.start()
        self._cluster.run(SETTLED_S)
        self._numbers = count()

    def write(self, together: int) -> float:
        """Microseconds of processor time for each of so many sets of new keys, acknowledged by both."""
        names = [f"k{next(self._numbers)}" for _ in range(together)]
        writer = self._cluster.machines[0].store
        table = writer.tables[TABLE]
        began = time.process_time()
        for name in names:
            table.set(name, f"value of {name}")
        self._cluster.run(ANSWERED_S)
        seconds = time.process_time() - began
        if any(writer.outboxes[node].waiting() for node in writer.outboxes):
            raise RuntimeError("not everything was replicated")
        self._cluster.run(PAUSE_S)
        return seconds / together * 1e6


def cost(together: int, rounds: int = ROUNDS) -> Cost:
    """Of sets of which so many are written at once."""
    nodes = _Nodes(keyed=True), _Nodes(keyed=False)
    found: tuple[list[float], list[float]] = [], []
    gc.collect()
    gc.disable()
    try:
        for number in range(-EARLIER_ROUNDS, rounds):
            for side in (0, 1) if number % 2 else (1, 0):
                spent = nodes[side].write(together)
                if number >= 0:
                    found[side].append(spent)
    finally:
        gc.enable()
    ratio = statistics.median(plain / keyed for keyed, plain in zip(*found, strict=True))
    return Cost(statistics.median(found[0]), statistics.median(found[1]), ratio)


if __name__ == "__main__":
    for number in TOGETHER:
        found = cost(number)
        print(
            f"{number:4} at once: {found.with_key:7.1f} us, without {found.without:7.1f}: {found.ratio:.3f}"
        )
