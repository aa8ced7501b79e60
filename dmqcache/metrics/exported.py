"""What is exported to Prometheus, in one table.

Everybody else counts in plain numbers (``bus/bus_counters.py``, ``store/table/store_counters.py``, the
tables' own); nothing is converted before somebody asks. How numbers become samples is the business of
``reading.py``, how they are written, of ``exposition.py``, how they are served, of ``server/http/routes.py``;
what to make of them, of ``dashboards/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from dmqcache.metrics.drops import KINDS, DropKind, kind_of
from dmqcache.metrics.reading import (
    CLIENT_REFUSALS,
    ORIGINS,
    OUTCOMES,
    REFUSED,
    STATUSES,
    UNFIT,
    Labels,
    Reading,
    Samples,
    backlog,
    both_ways,
    certificate_expiry,
    keyed,
    lost_at,
    rtt,
    signs,
    troubles,
    up,
)
from dmqcache.store.table.store_counters import Histogram


@dataclass(frozen=True, slots=True)
class Export:
    """One metric. A counter's samples are named ``NAME_total``; units stand in the name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    read: Callable[[Reading], Samples | Histogram]
    #: Labels of the series that are there from the start, at 0.
    known: Callable[[Reading], Iterable[Labels]] = lambda reading: ()


_NODE: Final = ("node",)
_TABLE: Final = ("table",)

#: All that a node exports, in the order of /metrics.
EXPORTS: Final[tuple[Export, ...]] = (
    Export(
        "dmqcache_build_info",
        "gauge",
        "Always 1; the label tells which version runs.",
        ("version",),
        lambda r: [((r.version,), 1)],
    ),
    Export(
        "dmqcache_ready",
        "gauge",
        "1 once the initial sync is done, as /readyz says.",
        (),
        lambda r: [((), r.node.ready)],
    ),
    Export(
        "dmqcache_nodes",
        "gauge",
        "Nodes of the bus as this one knows them, itself included.",
        ("status",),
        lambda r: [((status,), r.statuses[status]) for status in STATUSES],
    ),
    Export(
        "dmqcache_node_up",
        "gauge",
        "1 if the other node answers, 0 if it does not. None after it said goodbye or was disabled.",
        _NODE,
        lambda r: r.each_node(up),
    ),
    Export(
        "dmqcache_node_lost_timestamp_seconds",
        "gauge",
        "Unix time since which a node that had answered does not any more; 0 while it answers.",
        _NODE,
        lost_at,
    ),
    Export(
        "dmqcache_node_trouble",
        "gauge",
        "1 while the other node is deaf or mute one way, though it answers.",
        ("node", "kind"),
        troubles,
    ),
    Export(
        "dmqcache_node_rtt_seconds",
        "gauge",
        "Smoothed time from a request to the other node's answer.",
        _NODE,
        lambda r: r.each_node(rtt),
    ),
    Export(
        "dmqcache_node_outbox_changes",
        "gauge",
        "Changes that the other node has not acknowledged yet.",
        _NODE,
        backlog,
    ),
    Export(
        "dmqcache_node_needs_repair",
        "gauge",
        "1 while the other node must be compared with: more changed than an outbox remembers.",
        _NODE,
        lambda r: r.each_node(lambda row: row.in_sync == "repair"),
    ),
    Export(
        "dmqcache_node_tables_declared_otherwise",
        "gauge",
        "Tables that a Kamailio declares otherwise: without dmqreplicate, or with another autoexpire.",
        _NODE,
        lambda r: r.each_node(lambda row: row.otherwise),
    ),
    Export(
        "dmqcache_node_signs",
        "gauge",
        "1 if the other node signs with the bus's key, 0 if it does not. None without a key, and for those "
        "listed as Kamailio nodes.",
        _NODE,
        lambda r: r.each_node(signs),
    ),
    Export(
        "dmqcache_tls_certificate_expiry_timestamp_seconds",
        "gauge",
        "Unix time at which this node's certificate, the first of several, expires. None without TLS.",
        (),
        certificate_expiry,
    ),
    Export(
        "dmqcache_messages",
        "counter",
        "SIP messages of the bus; code is the status of a reply, or request.",
        ("channel", "direction", "code"),
        lambda r: r.bus.messages.items(),
    ),
    Export(
        "dmqcache_sip_bytes",
        "counter",
        "Bytes of SIP, without the headers of UDP or TCP.",
        ("direction",),
        lambda r: both_ways(r.bus.bytes),
    ),
    Export(
        "dmqcache_retransmissions",
        "counter",
        "Requests sent again (out), or repeated by another node and absorbed (in).",
        ("direction",),
        lambda r: both_ways(r.bus.retransmissions),
    ),
    Export(
        "dmqcache_timeouts",
        "counter",
        "Requests of this node that nobody answered.",
        ("channel",),
        lambda r: keyed(r.bus.timeouts),
    ),
    Export(
        "dmqcache_drops",
        "counter",
        "Messages dropped or refused; a kind other than fault needs nobody.",
        ("reason", "kind"),
        lambda r: [((reason, kind_of(reason)), number) for reason, number in r.bus.drops.items()],
        lambda r: [(reason, kind) for reason, kind in KINDS.items() if kind is DropKind.FAULT],
    ),
    Export(
        "dmqcache_unknown_channel_requests",
        "counter",
        "Requests on a channel that no peer serves here, answered 404.",
        ("channel",),
        lambda r: keyed(r.bus.unknown_channels),
    ),
    Export(
        "dmqcache_handler_errors",
        "counter",
        "Exceptions out of a peer's handler or callback.",
        ("channel",),
        lambda r: keyed(r.bus.handler_errors),
    ),
    Export(
        "dmqcache_published_messages",
        "counter",
        "Messages that clients publish, told to (out) and by (in) other nodes; lost: not acknowledged.",
        ("direction",),
        lambda r: keyed(r.bus.published),
        lambda r: [("in",), ("out",), ("lost",)],
    ),
    Export(
        "dmqcache_clients_refused",
        "counter",
        "What clients were refused: log-ins (auth), commands, keys, ...; stranger: by protected mode.",
        ("reason",),
        lambda r: keyed(r.bus.refused_clients),
        lambda r: [(reason,) for reason in CLIENT_REFUSALS],
    ),
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
        "dmqcache_table_size_characters",
        "gauge",
        "Characters of the keys and values of the table's cells; an integer counts as 8.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.characters),
    ),
    Export(
        "dmqcache_table_tombstones",
        "gauge",
        "Deletes and expiries that are remembered.",
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
        "dmqcache_disk_size_bytes",
        "gauge",
        "Bytes of the file on disk. None without data_dir.",
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
