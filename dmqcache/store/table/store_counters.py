"""Plain numbers that the tables and their replication keep about themselves.

Counting happens in hot paths, so it is an addition to an int and nothing else. ``dmqcache.metrics`` decides
what is exported and under which name; who counts what, and when, is the business of the modules beside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

#: Seconds. From a round trip on one host (a set on an idle cluster takes about one millisecond) over T1
#: (0.5 s, the first retransmission to a stranger) to the 32 s after which a transaction gives up.
DELAY_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 32.0)


class Histogram:
    """How often a value fell into which of a few fixed ranges."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = DELAY_BOUNDS_S) -> None:
        #: Upper ends of the ranges, each inclusive, rising.
        self.bounds = bounds
        #: One number for each bound and one more for all that lies above; not cumulated.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count ``value``, ``times`` over (a batch whose changes all waited equally long)."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


@dataclass(slots=True)
class TableCounters:
    """What happened in one table of this node. Everything only ever grows."""

    #: Reads by a client that found a cell.
    hits: int = 0
    #: Reads by a client that found none, or one past its time.
    misses: int = 0
    #: Cells removed because their time was over, at a read or by the sweep.
    expirations: int = 0
    #: Cells that went for want of memory.
    evictions: int = 0
    #: Cells written by clients of this node; what came from others is in StoreCounters.changes.
    sets: int = 0
    #: Cells removed by clients of this node, by a delete, a pattern or a flush.
    deletes: int = 0


@dataclass(slots=True)
class StoreCounters:
    """What happened between the tables and the bus. Everything only ever grows.

    A table is one that is declared here; what came for any other is counted under the empty name, so that
    nobody on the wire can grow a counter.
    """

    #: (table, "local", "dmqcache" or "kamailio") -> changes applied, by where they were made
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (table, reason) -> changes that arrived and were not applied: "older", "unknown_table", ...
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: table -> versions that lay too far in the future and were pulled back to the allowed limit
    clamped: Counter[str] = field(default_factory=Counter)
    #: (table, reason) -> changes not sent to a node that cannot carry them: "nul", "too_large", ...
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (table, "left" or "followed") -> cells that vanished on a Kamailio which said nothing, and what
    #: followed
    removed: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Seconds from a local write to a node's acknowledgement, once for each change and node.
    delay: Histogram = field(default_factory=Histogram)
    #: "in" or "out" -> cells of initial syncs
    sync_cells: Counter[str] = field(default_factory=Counter)
    #: outcome ("equal", "repaired", "failed", ...) -> comparisons with another node
    repairs: Counter[str] = field(default_factory=Counter)
    #: "in" or "out" -> cells and tombstones that a repair moved
    repair_cells: Counter[str] = field(default_factory=Counter)
