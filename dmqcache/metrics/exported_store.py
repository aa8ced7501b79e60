"""What a node exports of what it stores: changes, tables, their memory, the disk, syncs and repairs.

Rows as in ``exported.py``, which has them among its own. A table's own numbers are counted in
``store/table/store_counters.py``.
"""

from __future__ import annotations

from typing import Final

from dmqcache.metrics.export import Export
from dmqcache.metrics.reading import ORIGINS, OUTCOMES, REFUSED, UNFIT, both_ways, keyed

_TABLE: Final = ("table",)

STORE_EXPORTS: Final[tuple[Export, ...]] = (
    Export(
        "dmqcache_replication_delay_seconds",
        "histogram",
        "Time from a write here to another node's acknowledgement.",
        (),
        lambda r: r.store.delay,
    ),
    Export(
        "dmqcache_changes",
        "counter",
        "Changes applied, by where they were made: local, dmqcache, kamailio.",
        ("table", "origin"),
        lambda r: r.store.changes.items(),
        lambda r: r.table_labels(*ORIGINS),
    ),
    Export(
        "dmqcache_changes_refused",
        "counter",
        "Changes that came from other nodes and were not applied.",
        ("table", "reason"),
        lambda r: r.store.refused.items(),
    ),
    Export(
        "dmqcache_changes_withheld",
        "counter",
        "Changes not sent to a node because it cannot carry them.",
        ("table", "reason"),
        lambda r: r.store.withheld.items(),
        lambda r: r.table_labels(*UNFIT, *REFUSED),
    ),
    Export(
        "dmqcache_kamailio_cells_removed",
        "counter",
        "Cells that vanished on a Kamailio that said nothing: left so, or followed on all nodes.",
        ("table", "outcome"),
        lambda r: r.store.removed.items(),
        lambda r: r.table_labels("left", "followed"),
    ),
    Export(
        "dmqcache_versions_clamped",
        "counter",
        "Versions too far in the future, pulled back: some node's clock is wrong.",
        _TABLE,
        lambda r: keyed(r.store.clamped),
        lambda r: r.table_labels(),
    ),
    Export(
        "dmqcache_table_replicated",
        "gauge",
        "1 if the table is shared with the other nodes, 0 if it is declared with dmqreplicate=0.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.settings.dmqreplicate),
    ),
    Export("dmqcache_table_cells", "gauge", "Cells in the table.", _TABLE, lambda r: r.each_table(len)),
    Export(
        "dmqcache_table_size_bytes",
        "gauge",
        "Bytes of memory of the keys and values of the table's cells; an integer counts as 8.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.text_bytes),
    ),
    Export(
        "dmqcache_memory_cells_bytes",
        "gauge",
        "What the live cells of all tables take: the figure that is held against the limit.",
        (),
        lambda r: [((), r.node.memory.used)],
    ),
    Export(
        "dmqcache_memory_limit_bytes",
        "gauge",
        "What they may take (max_memory); 0: no bound.",
        (),
        lambda r: [((), r.node.memory.limit)],
    ),
    Export(
        "dmqcache_memory_full",
        "gauge",
        "1 while clients' writes are refused, as nothing may be evicted.",
        (),
        lambda r: [((), int(r.node.memory.full))],
    ),
    Export(
        "dmqcache_table_evictions",
        "counter",
        "Cells that went from this node for want of memory.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.evictions),
    ),
    Export(
        "dmqcache_table_partial",
        "gauge",
        "1 from the first cell that was evicted until the table is whole again, as after a flush.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.partial),
    ),
    Export(
        "dmqcache_table_tombstones",
        "gauge",
        "Deletes and expiries that are remembered, 420 bytes each; no bound on memory counts them.",
        _TABLE,
        lambda r: r.each_table(lambda table: len(table.tombstones)),
    ),
    Export(
        "dmqcache_table_hits",
        "counter",
        "Reads that found a cell.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.hits),
    ),
    Export(
        "dmqcache_table_misses",
        "counter",
        "Reads that found none.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.misses),
    ),
    Export(
        "dmqcache_table_sets",
        "counter",
        "Cells written by clients of this node.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.sets),
    ),
    Export(
        "dmqcache_table_deletes",
        "counter",
        "Cells deleted by clients of this node.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.deletes),
    ),
    Export(
        "dmqcache_table_expirations",
        "counter",
        "Cells that have expired.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.expirations),
    ),
    Export(
        "dmqcache_disk_flush_timestamp_seconds",
        "gauge",
        "Unix time of the last flush to disk that succeeded; 0: none has. None without data_dir.",
        (),
        lambda r: r.disk(lambda disk: disk.flushed_at),
    ),
    Export(
        "dmqcache_disk_behind_seconds",
        "gauge",
        "Age of the oldest change that is not on disk, at most; 0: all is. None without data_dir.",
        (),
        lambda r: r.disk(lambda disk: disk.behind()),
    ),
    Export(
        "dmqcache_disk_flush_interval_seconds",
        "gauge",
        "The option flush_interval: how far the disk may be behind. None without data_dir.",
        (),
        lambda r: r.disk(lambda disk: disk.interval),
    ),
    Export(
        "dmqcache_disk_size_bytes",
        "gauge",
        "Bytes on disk: of the database, its WAL and the WAL's index. None without data_dir.",
        (),
        lambda r: r.disk(lambda disk: disk.bytes),
    ),
    Export(
        "dmqcache_disk_errors",
        "counter",
        "Flushes that failed, and files and folders that could not be used. None without data_dir.",
        (),
        lambda r: r.disk(lambda disk: disk.errors),
    ),
    Export(
        "dmqcache_sync_progress_cells",
        "gauge",
        "Cells that syncs and repairs have brought so far; it grows while a node joins.",
        (),
        lambda r: [((), r.node.sync_progress().cells)],
    ),
    Export(
        "dmqcache_sync_cells",
        "counter",
        "Cells moved by initial syncs.",
        ("direction",),
        lambda r: both_ways(r.store.sync_cells),
    ),
    Export(
        "dmqcache_repairs",
        "counter",
        "Comparisons with another node, by outcome.",
        ("outcome",),
        lambda r: keyed(r.store.repairs),
        lambda r: [(outcome,) for outcome in OUTCOMES],
    ),
    Export(
        "dmqcache_repair_cells",
        "counter",
        "Cells and tombstones that repairs moved.",
        ("direction",),
        lambda r: both_ways(r.store.repair_cells),
    ),
)
