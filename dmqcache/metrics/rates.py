"""How fast the node's counters grow: what an operator wants to see first, without a Prometheus beside.

Owns a minute of snapshots. They are taken when somebody looks, by :meth:`Rates.look`; a node that nobody
looks at keeps none, and has no timer for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dmqcache.metrics.node_view import NodeView
from dmqcache.store.table.store_counters import Histogram

#: Seconds over which a rate is told, and between two snapshots at least.
WINDOW_S: Final = 60.0
STEP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    at: float
    totals: Mapping[str, int]
    #: The replication delays' histogram, not cumulated.
    delays: tuple[int, ...]


class Rates:
    """The growth of one node's counters over the last minute."""

    def __init__(self, node: NodeView) -> None:
        self._node = node
        self._kept: deque[_Snapshot] = deque()
        self._now: _Snapshot | None = None

    def look(self, now: float) -> None:
        """Read the counters. ``now``: seconds of a monotonic clock."""
        self._now = current = _Snapshot(now, _totals(self._node), tuple(self._node.counters.delay.counts))
        while self._kept and now - self._kept[0].at > WINDOW_S:
            self._kept.popleft()
        if not self._kept or now - self._kept[-1].at >= STEP_S:
            self._kept.append(current)

    def per_second(self, name: str) -> float | None:
        """How much ``reads``, ``writes``, ``in``, ``out``, ``reads TABLE`` or ``writes TABLE`` grew a second;
        None where there is nothing to compare with yet."""
        if self._now is None or self._now.at - self._kept[0].at < STEP_S:
            return None
        grown = self._now.totals.get(name, 0) - self._kept[0].totals.get(name, 0)
        return grown / (self._now.at - self._kept[0].at)

    def delays(self) -> Histogram:
        """The replication delays of the last minute."""
        histogram = Histogram(self._node.counters.delay.bounds)
        if self._now is not None:
            pairs = zip(self._now.delays, self._kept[0].delays, strict=True)
            histogram.counts = [current - before for current, before in pairs]
        return histogram


def _totals(node: NodeView) -> Mapping[str, int]:
    totals = {"reads": 0, "writes": 0, "in": 0, "out": 0}
    for name, table in node.tables.items():
        seen = table.counters
        totals[f"reads {name}"] = seen.hits + seen.misses
        totals[f"writes {name}"] = seen.sets + seen.deletes
        totals["reads"] += totals[f"reads {name}"]
        totals["writes"] += totals[f"writes {name}"]
    for (_, direction, _), count in node.bus.counters.messages.items():
        totals[direction] += count
    return totals
