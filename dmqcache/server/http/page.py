"""The status page: what an operator wants to see first, in one HTML page that reads well on a phone.

It only reads; nothing can be changed from it. Works without scripts, by reloading itself. This file puts it
together; the sections are ``page_nodes.py`` and ``page_figures.py``, how they are written ``page_parts.py``,
what they look like ``page_assets.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmqcache.metrics.node_view import NodeView
from dmqcache.metrics.rates import Rates
from dmqcache.server.http import page_calls, page_contacts, page_figures, page_nodes, page_presence
from dmqcache.server.http.page_assets import SCRIPT, STYLE
from dmqcache.server.http.page_parts import duration, number, pill, section, text
from dmqcache.server.http.recent_warnings import Line


@dataclass(frozen=True, slots=True)
class Moment:
    """What the page shows besides the state of the node."""

    version: str
    #: Unix time.
    wall: float
    uptime_s: float
    rates: Rates
    #: The newest first.
    warnings: Sequence[Line] = ()
    #: Bytes of the process; None: not known.
    memory: int | None = None
    #: Host and port on which this page is served; None: not known.
    http: tuple[str, int] | None = None
    #: ``http`` or ``https``.
    scheme: str = "http"


def render(node: NodeView, moment: Moment) -> str:
    """The whole page."""
    rows = node.node_rows()
    own = next((row.uri for row in rows if row.local), "")
    alarm = page_nodes.alarm(rows, moment.wall)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{'! ' if alarm else ''}{text(own)} – dmqcache</title>"
        f'<link rel="icon" href="data:,"><style>{STYLE}</style>'
        '<noscript><meta http-equiv="refresh" content="5"></noscript></head><body>'
        '<div id="old" class="bad" role="status"></div>'
        f"<main>{alarm}{_header(node, own, bool(alarm))}"
        f"<p>dmqcache {text(moment.version)}, up {duration(moment.uptime_s)}</p>"
        f"{page_figures.figures(node, rows, moment.rates, moment.memory)}"
        f"{page_nodes.nodes(rows, moment.http, moment.scheme)}"
        f"{_warnings(moment)}"
        f"{page_contacts.contacts(node.peers, moment.wall)}"
        f"{page_calls.calls(node.peers, moment.wall)}"
        f"{page_presence.presence(node.peers, moment.wall)}"
        f"{page_figures.tables(node.tables, moment.rates)}"
        f"{page_figures.traffic(node.bus.counters)}{page_figures.losses(node.counters)}</main>"
        "<footer>Refreshed every 3 seconds; rates are those of the last minute. "
        '<a href="/metrics">Metrics</a></footer>'
        f"<script>{SCRIPT}</script></body></html>"
    )


def _header(node: NodeView, own: str, alarmed: bool) -> str:
    """Who this is, and whether it is ready: in green only if nothing speaks against it."""
    if node.ready:
        state = pill("idle" if alarmed or node.memory.full else "ok", "ready")
    else:
        sync = node.sync_progress()
        donor = f" from {text(sync.donor)}" if sync.donor else ""
        cells = f", {number(sync.cells)} cells so far" if sync.cells else ""
        state = f"{pill('warn', 'not ready')}<p>{text(sync.state)}{donor}{cells}</p>"
    if node.disk is not None and node.disk.fault:
        state += f"{pill('bad', 'disk')}<p>{text(node.disk.fault)}</p>"
    if node.memory.words:
        state += f"{pill('bad', 'full')}<p>{text(node.memory.words)}</p>"
    return f'<header><h1>{text(own)}</h1><div id="state">{state}</div></header>'


def _warnings(moment: Moment) -> str:
    """What was logged from the level ``warning`` on."""
    lines = [
        (
            f"{duration(max(0.0, moment.wall - line.wall))} ago",
            pill("warn" if line.level == "warning" else "bad", text(line.level)),
            text(line.text),
        )
        for line in moment.warnings
    ]
    columns = [("When", False), ("Level", False), ("Message", False)]
    return f'<div id="warnings">{section("Recent warnings", columns, lines, "None.", len(lines), True)}</div>'
