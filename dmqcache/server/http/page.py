"""The status page: what an operator wants to see first, in one HTML page that reads well on a phone.

It only reads; nothing can be changed from it. Works without scripts, by reloading itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from dmqcache.metrics.node_view import NodeRow, NodeView
from dmqcache.server.http.page_assets import SCRIPT, STYLE
from dmqcache.store.table.store_counters import Histogram
from dmqcache.store.table.table import Table

#: Lines of a list; a node list that somebody forged shall not make a page of megabytes.
MAX_ROWS: Final = 100
NONE: Final = "–"

#: Seconds and name of a unit, and of the one below it.
_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
#: A column of a table: its heading, and whether it holds numbers.
_Column = tuple[str, bool]


def render(node: NodeView, version: str, uptime_s: float) -> str:
    """The whole page."""
    rows = node.node_rows()
    own = next((row.uri for row in rows if row.local), "")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(own)} – dmqcache</title>"
        f'<link rel="icon" href="data:,"><style>{STYLE}</style>'
        '<noscript><meta http-equiv="refresh" content="5"></noscript></head><body>'
        '<div id="lost" class="bad" role="status"></div>'
        f"<main>{_header(node, own)}<p>dmqcache {_text(version)}, up {duration(uptime_s)}</p>"
        f"{_figures(node, rows)}{_nodes(rows)}{_tables(node.tables)}{_traffic(node)}{_losses(node)}</main>"
        '<footer>Refreshed every 3 seconds. <a href="/metrics">Metrics</a></footer>'
        f"<script>{SCRIPT}</script></body></html>"
    )


def _header(node: NodeView, own: str) -> str:
    if node.ready:
        state = '<span class="pill ok">ready</span>'
    else:
        sync = node.sync_progress()
        donor = f" from {_text(sync.donor)}" if sync.donor else ""
        cells = f", {number(sync.cells)} cells so far" if sync.cells else ""
        state = f'<span class="pill warn">not ready</span><p>{_text(sync.state)}{donor}{cells}</p>'
    return f"<header><h1>{_text(own)}</h1>{state}</header>"


def _figures(node: NodeView, rows: Sequence[NodeRow]) -> str:
    active = sum(row.status == "active" for row in rows)
    delay = node.counters.delay
    figures = {
        "Nodes active": f"{active} of {len(rows)}",
        "Cells": number(sum(len(table) for table in node.tables.values())),
        "Waiting to be sent": number(sum(row.backlog for row in rows)),
        "Replication, median": at_most(delay, 0.5),
        "Replication, 99%": at_most(delay, 0.99),
        "Drops": number(node.bus.counters.drops.total()),
    }
    return (
        '<dl class="figures">'
        + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items())
        + "</dl>"
    )


def _nodes(rows: Sequence[NodeRow]) -> str:
    columns = [
        ("Node", False),
        ("Status", False),
        ("In sync", False),
        ("Waiting", True),
        ("Round trip", True),
        ("Last seen", True),
        ("Software", False),
    ]
    shown = sorted(rows, key=lambda row: (not row.local, row.uri))
    lines = [
        (
            _text(row.uri),
            _status(row),
            NONE if row.local else _text(row.in_sync),
            NONE if row.local else number(row.backlog),
            NONE if row.rtt_ms is None else f"{row.rtt_ms:.1f} ms",
            "this node"
            if row.local
            else "never"
            if row.last_seen_s is None
            else f"{duration(row.last_seen_s)} ago",
            _text(row.software) or NONE,
        )
        for row in shown[:MAX_ROWS]
    ]
    return _section("Nodes", columns, lines, "", len(rows), stack=True)


def _status(row: NodeRow) -> str:
    colour = {"active": "ok", "disabled": "bad"}.get(row.status, "warn")
    return f'<span class="pill {colour}">{_text(row.status)}</span>'


def _tables(tables: Mapping[str, Table]) -> str:
    columns = [
        ("Table", False),
        ("Cells", True),
        ("Characters", True),
        ("Hit rate", True),
        ("Reads", True),
        ("Expired", True),
        ("Tombstones", True),
        ("Time to live", True),
    ]
    lines = []
    for name, table in tables.items():
        seen = table.counters
        reads = seen.hits + seen.misses
        life = table.settings.autoexpire
        lines.append(
            (
                _text(name),
                number(len(table)),
                number(table.bytes),
                f"{seen.hits / reads:.0%}" if reads else NONE,
                number(reads),
                number(seen.expirations),
                number(len(table.graves)),
                duration(life) if life else "for ever",
            )
        )
    return _section("Tables", columns, lines[:MAX_ROWS], "No table is declared.", len(lines), stack=True)


def _traffic(node: NodeView) -> str:
    bus = node.bus.counters
    messages = [
        (_text(channel), direction, _text(code), number(count))
        for (channel, direction, code), count in sorted(bus.messages.items())
    ]
    columns = [("Channel", False), ("Way", False), ("Message", False), ("Count", True)]
    troubles: list[tuple[str, ...]] = [
        ("Sent again", number(bus.retransmissions["out"])),
        ("Repeats absorbed", number(bus.retransmissions["in"])),
        *((f"Unanswered on {_text(channel)}", number(count)) for channel, count in bus.timeouts.items()),
        *((f"Handler failed on {_text(channel)}", number(n)) for channel, n in bus.handler_errors.items()),
    ]
    return (
        '<div class="pair"><div>'
        + _section("Messages", columns, messages[:MAX_ROWS], "None yet.", len(messages))
        + "</div><div>"
        + _section("Network", [("Event", False), ("Count", True)], troubles[:MAX_ROWS], "", len(troubles))
        + _section("Drops", [("Reason", False), ("Count", True)], _ranked(bus.drops), "None.", len(bus.drops))
        + "</div></div>"
    )


def _losses(node: NodeView) -> str:
    store = node.counters
    columns = [("Table", False), ("Reason", False), ("Count", True)]
    kinds = {"Changes not applied": store.refused, "Changes withheld from nodes": store.withheld}
    sections = (
        _section(title, columns, _ranked(counts), "", len(counts))
        for title, counts in kinds.items()
        if counts
    )
    return f'<div class="pair">{"".join(f"<div>{section}</div>" for section in sections)}</div>'


def _ranked(counts: Mapping[str, int] | Mapping[tuple[str, str], int]) -> list[tuple[str, ...]]:
    """Lines of a counter, the largest number first."""
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])[:MAX_ROWS]
    return [
        (*map(_text, (key,) if isinstance(key, str) else key), number(count))
        for key, count in ranked
        if count
    ]


def _section(
    title: str,
    columns: Sequence[_Column],
    lines: Sequence[tuple[str, ...]],
    empty: str,
    total: int,
    stack: bool = False,
) -> str:
    """A heading and a table; ``stack``: on a narrow screen each line becomes a block of its own."""
    if not lines:
        return f'<h2>{title}</h2><div class="box none">{empty}</div>'
    head = "".join(f"<th{_number_class(is_number)}>{name}</th>" for name, is_number in columns)
    body = "".join(f"<tr>{_cells(columns, line)}</tr>" for line in lines)
    more = f'<div class="none">and {number(total - len(lines))} more</div>' if total > len(lines) else ""
    kind = ' class="stack"' if stack else ""
    return (
        f'<h2>{title}</h2><div class="box"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{more}</div>"
    )


def _cells(columns: Sequence[_Column], line: Iterable[str]) -> str:
    return "".join(
        f'<td{_number_class(is_number)} data-is="{name}">{text}</td>'
        for (name, is_number), text in zip(columns, line, strict=True)
    )


def _number_class(is_number: bool) -> str:
    return ' class="n"' if is_number else ""


def _text(text: str) -> str:
    """Any text as HTML; bytes that are no UTF-8 are shown as escapes."""
    return escape(text.encode("utf-8", "backslashreplace").decode())


def number(value: int) -> str:
    """With thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """A time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    large, large_name, small, small_name = next(unit for unit in _UNITS if seconds >= unit[0])
    rest = int(seconds % large) // small
    return f"{int(seconds // large)} {large_name}" + (f" {rest} {small_name}" if rest else "")


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
