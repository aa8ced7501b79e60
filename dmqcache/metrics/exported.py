"""What is exported to Prometheus, in one table.

Everybody else counts in plain numbers (``bus/bus_counters.py``, ``store/table/store_counters.py``, the
tables' own); nothing is converted before somebody asks. How it is written is the business of
``exposition.py``, how it is served, of ``server/http/routes.py``; what to make of it, of ``dashboards/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dmqcache.metrics.node_view import NodeRow, NodeView
from dmqcache.store.table.store_counters import Histogram
from dmqcache.store.table.table import Table

#: Nodes that have series of their own; the limit keeps a forged list of thousands out of Prometheus.
MAX_NODES: Final = 100
OTHER: Final = "other"
#: The words of bus.node.NodeStatus; each is exported, at 0 too, so that an alert never misses a series.
STATUSES: Final = ("active", "disabled", "timeout", "pending")

Samples = Iterable[tuple[tuple[str, ...], float]]


class Reading:
    """What one scrape looks at; the node list is asked for once."""

    def __init__(self, node: NodeView, version: str) -> None:
        self.node = node
        self.version = version
        self.bus = node.bus.counters
        self.store = node.counters
        rows = node.node_rows()
        self.statuses = Counter(str(row.status) for row in rows)
        # Active ones first: where the list is too long for Prometheus, they are the ones to see.
        others = (row for row in rows if not row.local)
        self.rows = sorted(others, key=lambda row: (row.status != "active", row.uri))

    def each_table(self, number: Callable[[Table], float]) -> Samples:
        return [((name,), number(table)) for name, table in self.node.tables.items()]

    def each_node(self, number: Callable[[NodeRow], float | None]) -> Samples:
        numbers = ((row.uri, number(row)) for row in self.rows[:MAX_NODES])
        return [((uri,), value) for uri, value in numbers if value is not None]


@dataclass(frozen=True, slots=True)
class Export:
    """One metric. A counter's samples are named ``NAME_total``; units stand in the name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    read: Callable[[Reading], Samples | Histogram]


def _backlog(reading: Reading) -> Samples:
    samples = list(reading.each_node(lambda row: row.backlog))
    rest = reading.rows[MAX_NODES:]
    return [*samples, ((OTHER,), sum(row.backlog for row in rest))] if rest else samples


def _keyed(numbers: Mapping[str, int]) -> Samples:
    return [((key,), number) for key, number in numbers.items()]


def _both_ways(numbers: Mapping[str, int]) -> Samples:
    return [((direction,), numbers.get(direction, 0)) for direction in ("in", "out")]


def _rtt(row: NodeRow) -> float | None:
    return None if row.rtt_ms is None else row.rtt_ms / 1000


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
        "1 if the other node answers, 0 if it is still on the list but does not.",
        _NODE,
        lambda r: r.each_node(lambda row: row.status == "active"),
    ),
    Export(
        "dmqcache_node_rtt_seconds",
        "gauge",
        "Smoothed time from a request to the other node's answer.",
        _NODE,
        lambda r: r.each_node(_rtt),
    ),
    Export(
        "dmqcache_node_outbox_changes",
        "gauge",
        "Changes that the other node has not acknowledged yet.",
        _NODE,
        _backlog,
    ),
    Export(
        "dmqcache_node_needs_repair",
        "gauge",
        "1 while the other node must be compared with: more changed than an outbox remembers.",
        _NODE,
        lambda r: r.each_node(lambda row: row.in_sync == "repair"),
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
        lambda r: _both_ways(r.bus.bytes),
    ),
    Export(
        "dmqcache_retransmissions",
        "counter",
        "Requests sent again (out), or repeated by another node and absorbed (in).",
        ("direction",),
        lambda r: _both_ways(r.bus.retransmissions),
    ),
    Export(
        "dmqcache_timeouts",
        "counter",
        "Requests of this node that nobody answered.",
        ("channel",),
        lambda r: _keyed(r.bus.timeouts),
    ),
    Export(
        "dmqcache_drops",
        "counter",
        "Messages dropped or refused, by reason.",
        ("reason",),
        lambda r: _keyed(r.bus.drops),
    ),
    Export(
        "dmqcache_handler_errors",
        "counter",
        "Exceptions out of a peer's handler or callback.",
        ("channel",),
        lambda r: _keyed(r.bus.handler_errors),
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
    ),
    Export(
        "dmqcache_versions_clamped",
        "counter",
        "Versions too far in the future, pulled back: some node's clock is wrong.",
        _TABLE,
        lambda r: _keyed(r.store.clamped),
    ),
    Export("dmqcache_table_cells", "gauge", "Cells in the table.", _TABLE, lambda r: r.each_table(len)),
    Export(
        "dmqcache_table_size_characters",
        "gauge",
        "Characters of the keys and values of the table's cells; an integer counts as 8.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.bytes),
    ),
    Export(
        "dmqcache_table_tombstones",
        "gauge",
        "Deletes and expiries that are remembered.",
        _TABLE,
        lambda r: r.each_table(lambda table: len(table.graves)),
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
        "Cells whose time was over.",
        _TABLE,
        lambda r: r.each_table(lambda table: table.counters.expirations),
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
        lambda r: _both_ways(r.store.sync_cells),
    ),
    Export(
        "dmqcache_repairs",
        "counter",
        "Comparisons with another node, by outcome.",
        ("outcome",),
        lambda r: _keyed(r.store.repairs),
    ),
    Export(
        "dmqcache_repair_cells",
        "counter",
        "Cells and tombstones that repairs moved.",
        ("direction",),
        lambda r: _both_ways(r.store.repair_cells),
    ),
)
