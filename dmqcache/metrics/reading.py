"""What one scrape looks at, and the label values that are known beforehand.

Owns how numbers of the node become samples: one for each table, each node, each reason. Which metrics there
are stands in ``exported.py``. A series whose labels are known is there from the start, at 0: Prometheus'
``increase()`` does not see the first event of a series that begins with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from dmqcache.bus.node import NodeStatus, Trouble
from dmqcache.disk.keeper import DiskStatus
from dmqcache.metrics.node_view import TURNED_AWAY, NodeRow, NodeView
from dmqcache.store.table.table import Table

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]

#: Nodes that have series of their own; the limit keeps a forged list of thousands out of Prometheus.
MAX_NODES: Final = 100
OTHER: Final = "other"
STATUSES: Final = tuple(map(str, NodeStatus))
#: Where a change was made.
ORIGINS: Final = ("local", "dmqcache", "kamailio")
#: What clients may be refused.
CLIENT_REFUSALS: Final = ("auth", "command", "key", "channel", "table", "stranger")
#: How a comparison with another node ended.
OUTCOMES: Final = ("equal", "repaired", "failed")
#: Why a change is kept from a Kamailio: what it cannot hold, and what it refuses or leaves unanswered. That
#: it answers 404 or 500 means that it has not got the table, which may be meant so.
UNFIT: Final = ("empty_key", "integer_over_32_bits", "nul_in_text", "too_large")
REFUSED: Final = ("answered_400", "answered_404", "answered_500", "unanswered")


class Reading:
    """What one scrape looks at; the node list is asked for once."""

    def __init__(self, node: NodeView, version: str, wall: float) -> None:
        """``wall``: Unix time."""
        self.node = node
        self.version = version
        self.wall = wall
        self.bus = node.bus.counters
        self.store = node.counters
        rows = [row for row in node.node_rows() if row.status != TURNED_AWAY]
        self.statuses = Counter(str(row.status) for row in rows)
        # Where the list is too long for Prometheus, the active and the lost ones are those to see.
        others = (row for row in rows if not row.local)
        self.rows = sorted(others, key=lambda row: (row.status != "active", row.lost_s is None, row.uri))

    def each_table(self, number: Callable[[Table], float]) -> Samples:
        """One sample for each table."""
        return [((name,), number(table)) for name, table in self.node.tables.items()]

    def disk(self, number: Callable[[DiskStatus], float]) -> Samples:
        """One sample if the node has a disk."""
        disk = self.node.disk
        return [] if disk is None else [((), number(disk))]

    def each_node(self, number: Callable[[NodeRow], float | None]) -> Samples:
        """One sample for each other node that has the number."""
        numbers = ((row.uri, number(row)) for row in self.rows[:MAX_NODES])
        return [((uri,), value) for uri, value in numbers if value is not None]

    def table_labels(self, *words: str) -> Iterable[Labels]:
        """Each table with each word; without words each table."""
        tables = self.node.tables
        return [(table, word) for table in tables for word in words] if words else [(t,) for t in tables]


def backlog(reading: Reading) -> Samples:
    """What waits for each node, and for all that have no series of their own."""
    samples = list(reading.each_node(lambda row: row.backlog))
    rest = reading.rows[MAX_NODES:]
    return [*samples, ((OTHER,), sum(row.backlog for row in rest))] if rest else samples


def keyed(numbers: Mapping[str, int]) -> Samples:
    """A counter with one label."""
    return [((key,), number) for key, number in numbers.items()]


def both_ways(numbers: Mapping[str, int]) -> Samples:
    """A counter of what comes in and what goes out."""
    return [((direction,), numbers.get(direction, 0)) for direction in ("in", "out")]


def up(row: NodeRow) -> float | None:
    """1 if the node answers, 0 if it should and does not, nothing if it said goodbye or was disabled."""
    return None if row.status == NodeStatus.DISABLED else row.status == NodeStatus.ACTIVE


def signs(row: NodeRow) -> float | None:
    """1 if the node signs with the bus's key, 0 if it does not; nothing on a bus without a key, for a listed
    Kamailio, and while nothing is known."""
    return None if row.key in ("-", "kamailio", "?", "wanted") else row.key == "yes"


def rtt(row: NodeRow) -> float | None:
    """The smoothed round trip in seconds."""
    return None if row.rtt_ms is None else row.rtt_ms / 1000


def troubles(reading: Reading) -> Samples:
    """1 for each kind of trouble that a node has, 0 for those that it has not."""
    return [
        ((row.uri, str(kind)), kind in row.troubles) for row in reading.rows[:MAX_NODES] for kind in Trouble
    ]


def lost_at(reading: Reading) -> Samples:
    """Unix time, in whole seconds, since which each node is lost; 0 if it is not."""
    return reading.each_node(lambda row: 0 if row.lost_s is None else round(reading.wall - row.lost_s))


def certificate_expiry(reading: Reading) -> Samples:
    """When the first of the node's certificates expires."""
    counters = reading.bus
    known = [one for one in (counters.certificate_expires, counters.served_certificate_expires) if one]
    return [((), min(known))] if known else []
