"""The figures of the status page: the large ones on top, the tables, the traffic, and what got lost.

Who counts what is the business of the bus and the store; which drops need somebody is ``metrics/drops.py``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.metrics.drops import DropKind, kind_of
from dmqcache.metrics.node_view import NodeRow, NodeView
from dmqcache.metrics.rates import Rates
from dmqcache.server.http.page_nodes import expected, seen
from dmqcache.server.http.page_parts import (
    MAX_ROWS,
    NONE,
    duration,
    number,
    pill,
    rate,
    section,
    side_by_side,
    size,
    text,
)
from dmqcache.store.table.store_counters import Histogram, StoreCounters
from dmqcache.store.table.table import Table

#: What the kinds of drops are called, those that need somebody first.
_KINDS = {
    DropKind.FAULT: pill("warn", "look at it"),
    DropKind.NODE_DOWN: pill("idle", "node is down"),
    DropKind.FOREIGN: pill("idle", "not for us"),
    DropKind.NORMAL: pill("idle", "normal"),
}


def figures(node: NodeView, rows: Sequence[NodeRow], rates: Rates, memory: int | None) -> str:
    """The large figures."""
    delays = rates.delays()
    faults = sum(
        count for reason, count in node.bus.counters.drops.items() if kind_of(reason) is DropKind.FAULT
    )
    shown = {
        "Nodes": f"{number(seen(rows))} of {number(expected(rows))}",
        "Cells": number(sum(len(table) for table in node.tables.values())),
        "Memory": size(memory),
        "Reads": rate(rates.per_second("reads")),
        "Writes": rate(rates.per_second("writes")),
        "Messages in": rate(rates.per_second("in")),
        "Messages out": rate(rates.per_second("out")),
        "Not acknowledged": number(sum(row.backlog for row in rows)),
        "Replication, median": at_most(delays, 0.5),
        "Replication, 99%": at_most(delays, 0.99),
        "Drops to look at": number(faults),
    }
    if node.memory.limit:
        shown["Cells take"] = f"{size(node.memory.used)} of {size(node.memory.limit)}"
        shown["Evicted"] = number(sum(table.counters.evictions for table in node.tables.values()))
    if node.disk is not None:
        shown["On disk"] = size(node.disk.bytes)
    tiles = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown.items())
    return f'<dl class="figures">{tiles}</dl>'


def tables(declared: Mapping[str, Table], rates: Rates) -> str:
    """One line for each table."""
    columns = [
        ("Table", False),
        ("Cells", True),
        ("Characters", True),
        ("Hit rate", True),
        ("Reads", True),
        ("Writes", True),
        ("Expired", True),
        ("Tombstones", True),
        ("Time to live", True),
    ]
    lines = [_table(name, table, rates) for name, table in declared.items()]
    return section("Tables", columns, lines[:MAX_ROWS], "No table is declared.", len(lines), stack=True)


def _table(name: str, table: Table, rates: Rates) -> tuple[str, ...]:
    counted = table.counters
    reads = counted.hits + counted.misses
    life = table.settings.autoexpire
    return (
        text(name),
        number(len(table)),
        number(table.text_bytes),
        f"{counted.hits / reads:.0%}" if reads else NONE,
        rate(rates.per_second(f"reads {name}")),
        rate(rates.per_second(f"writes {name}")),
        number(counted.expirations),
        number(len(table.tombstones)),
        duration(life) if life else "for ever",
    )


def traffic(bus: BusCounters) -> str:
    """Messages by channel; what was sent again, unanswered or dropped."""
    messages = [
        (text(channel), direction, text(code), number(count))
        for (channel, direction, code), count in sorted(bus.messages.items())
    ]
    columns = [("Channel", False), ("Way", False), ("Message", False), ("Count", True)]
    events: list[tuple[str, ...]] = [
        ("Sent again", number(bus.retransmissions["out"])),
        ("Repeats absorbed", number(bus.retransmissions["in"])),
        *_counted("Unanswered on", bus.timeouts),
        *_counted("Handler failed on", bus.handler_errors),
        *_counted("Nobody serves", bus.unknown_channels),
    ]
    network = section("Network", [("Event", False), ("Count", True)], events[:MAX_ROWS], "", len(events))
    counted = sum(count > 0 for count in bus.drops.values())
    reasons = [("Reason", False), ("Kind", False), ("Count", True)]
    return side_by_side(
        [
            section("Messages", columns, messages[:MAX_ROWS], "None yet.", len(messages)),
            network + section("Drops", reasons, _drops(bus.drops), "None.", counted),
        ]
    )


def _counted(what: str, counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    return [(f"{what} {text(name)}", number(count)) for name, count in counts.items() if count]


def _drops(drops: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Those that need somebody first, each kind by number."""
    order = list(_KINDS)
    ranked = sorted(drops.items(), key=lambda pair: (order.index(kind_of(pair[0])), -pair[1]))
    return [
        (text(reason), _KINDS[kind_of(reason)], number(count)) for reason, count in ranked[:MAX_ROWS] if count
    ]


def losses(store: StoreCounters) -> str:
    """Changes that were not applied here, or are kept from other nodes."""
    columns = [("Table", False), ("Reason", False), ("Count", True)]
    kinds = {"Changes not applied": store.refused, "Changes withheld from nodes": store.withheld}
    return side_by_side(
        section(title, columns, _ranked(counts), "", len(counts)) for title, counts in kinds.items() if counts
    )


def _ranked(counts: Mapping[tuple[str, str], int]) -> list[tuple[str, ...]]:
    """Lines of a counter, the largest number first."""
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])[:MAX_ROWS]
    return [(*map(text, key), number(count)) for key, count in ranked if count]


def at_most(delay: Histogram, share: float) -> str:
    """Below which bound that share of the delays lies: as exact as the histogram is."""
    wanted, reached = delay.count * share, 0
    if not wanted:
        return NONE
    for bound, count in zip(delay.bounds, delay.counts, strict=False):
        reached += count
        if reached >= wanted:
            return f"≤ {bound * 1000:g} ms" if bound < 1 else f"≤ {bound:g} s"
    return f"> {delay.bounds[-1]:g} s"
