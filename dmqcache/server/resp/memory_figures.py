"""What the node takes of memory, for INFO and MEMORY STATS: one reckoning, under Redis' names.

The process is known as the system counts it: Python's own allocations cannot be told from the cells'. What is
said of the cells is exact, and is what a bound is held against (``store/table/evicting.py``).
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

from dmqcache.metrics.memory import resident_bytes
from dmqcache.server.resp.session import Shared
from dmqcache.store.table.evicting import remembered_by, used_by

#: What Redis tells of things that are not here, in the place where it tells it.
_NO_REPLICAS: Final = {"replication.backlog": 0, "clients.slaves": 0}
#: Python's allocator tells nothing of itself: what it holds is what the process holds.
_ALLOCATOR: Final = ("allocator.allocated", "allocator.active", "allocator.resident")
_RATIOS: Final = ("allocator-fragmentation", "allocator-rss", "rss-overhead")


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Bytes, if nothing else is said."""

    #: The process, now, at most until now, and when its clients' server began.
    total: int
    peak: int
    startup: int
    #: Unfinished commands, and replies that clients have not taken.
    clients: int
    #: The scripts that are remembered, and their number.
    scripts: int
    script_count: int
    #: Keys and values of all cells, as the tables count them.
    dataset: int
    #: How many cells there are.
    keys: int

    @property
    def overhead(self) -> int:
        """All but keys and values."""
        return max(0, self.total - self.dataset)

    @property
    def dataset_percentage(self) -> float:
        """How much of what came since the start are keys and values."""
        return min(100.0, 100.0 * self.dataset / max(1, self.total - self.startup))


def memory_figures(shared: Shared) -> MemoryFigures:
    """As it is now."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    total = resident_bytes() or peak
    scripts = shared.scripts
    tables = shared.node.tables.values()
    return MemoryFigures(
        total=total,
        peak=max(total, peak),
        startup=min(total, shared.startup_bytes),
        clients=shared.held,
        scripts=scripts.size if scripts is not None else 0,
        script_count=scripts.count if scripts is not None else 0,
        dataset=sum(table.text_bytes for table in tables),
        keys=sum(map(len, tables)),
    )


def memory_stats(shared: Shared) -> dict[str, object]:
    """MEMORY STATS: Redis 7.0's names in Redis' order."""
    found = memory_figures(shared)
    stats: dict[str, object] = {
        "peak.allocated": found.peak,
        "total.allocated": found.total,
        "startup.allocated": found.startup,
        **_NO_REPLICAS,
        "clients.normal": found.clients,
        "cluster.links": 0,
        "aof.buffer": 0,
        "lua.caches": found.scripts,
        "functions.caches": 0,
    }
    for index, table in enumerate(shared.node.tables.values()):
        if len(table):
            stats[f"db.{index}"] = {
                "overhead.hashtable.main": used_by(table) - table.text_bytes,
                "overhead.hashtable.expires": 0,
                "overhead.hashtable.slot-to-keys": 0,
            }
    stats |= {
        "overhead.total": found.overhead,
        "keys.count": found.keys,
        "keys.bytes-per-key": (found.total - found.startup) // found.keys if found.keys else 0,
        "dataset.bytes": found.dataset,
        "dataset.percentage": found.dataset_percentage,
        "peak.percentage": 100.0 * found.total / found.peak,
    }
    stats |= dict.fromkeys(_ALLOCATOR, found.total)
    for name in _RATIOS:
        stats |= {f"{name}.ratio": 1.0, f"{name}.bytes": 0}
    stats |= {"fragmentation": 1.0, "fragmentation.bytes": 0}
    # Not Redis': only where there are any.
    remembered = sum(map(remembered_by, shared.node.tables.values()))
    return stats | {"tombstones.bytes": remembered} if remembered else stats
