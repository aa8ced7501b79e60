"""The nodes on the status page: who is lost, said in one red sentence, and the list of all.

Which nodes there are, and since when one is lost, is the bus's knowledge; here it becomes words. The
addresses of the other nodes' pages are guessed: a node knows only its own HTTP port.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.metrics.node_view import NodeRow
from dmqcache.server.http.page_parts import MAX_ROWS, NONE, duration, listing, number, pill, section, text

#: Nodes that were lost within so many seconds of each other are named together.
_TOGETHER_S = 30.0
#: Groups of them that are told.
MAX_GROUPS = 5


def expected(rows: Sequence[NodeRow]) -> int:
    """How many nodes there should be: the active ones and the lost ones. Who said goodbye is no loss, and who
    has never answered may not exist."""
    return sum(row.status == "active" or row.lost_s is not None or row.local for row in rows)


def seen(rows: Sequence[NodeRow]) -> int:
    """How many of the expected nodes answer, this one included."""
    return sum(row.status == "active" or row.local for row in rows)


def alarm(rows: Sequence[NodeRow], wall: float) -> str:
    """The red sentence; nothing where no node is lost. ``wall``: Unix time."""
    groups = _lost_together(rows)
    if not groups:
        return ""
    several = sum(len(names) for _, names in groups) > 1
    clauses = []
    for ago, names in groups:
        verb = "is" if len(names) == 1 else "are"
        bold = [f"<b>{text(name)}</b>" for name in names]
        clauses.append(f"{listing(bold)} {verb} cut off since {_clock(wall - ago)} ({duration(ago)})")
    return (
        '<div id="alarm" class="bad" role="alert"><p>'
        f"This node sees {number(seen(rows))} of {number(expected(rows))} nodes; "
        f"{'; '.join(clauses[:MAX_GROUPS])}.</p>"
        f"<p>{'They are' if several else 'It is'} down, or the network between is. When "
        f"{'they answer' if several else 'it answers'} again, the tables become equal by themselves. Take a "
        "node that will not come back off the list with <code>dmq.remove</code>.</p></div>"
    )


def _lost_together(rows: Sequence[NodeRow]) -> list[tuple[float, list[str]]]:
    """The lost nodes in groups that were lost at nearly the same time: for how long, and their addresses."""
    groups: list[tuple[float, list[str]]] = []
    lost = [(row.lost_s, row.uri) for row in rows if row.lost_s is not None]
    for ago, uri in sorted(lost, reverse=True):
        if not groups or groups[-1][0] - ago > _TOGETHER_S:
            groups.append((ago, []))
        groups[-1][1].append(uri)
    return [(ago, sorted(names)) for ago, names in groups]


def _clock(wall: float) -> str:
    """The time of day."""
    minutes, seconds = divmod(int(wall) % 86400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02} UTC"


def nodes(rows: Sequence[NodeRow], http: tuple[str, int] | None, scheme: str = "http") -> str:
    """The list of all nodes. ``http``: host and port on which this page is served, ``scheme`` how."""
    columns = [
        ("Node", False),
        ("Status", False),
        ("In sync", False),
        ("Waiting", True),
        ("Round trip", True),
        ("Last seen", True),
        ("Key", False),
        ("Software", False),
    ]
    shown = sorted(rows, key=lambda row: (not row.local, row.lost_s is None, row.uri))
    own = next((row.uri for row in rows if row.local), "")
    lines = [_line(row, page_of(row, own, http, scheme)) for row in shown[:MAX_ROWS]]
    return section("Nodes", columns, lines, "", len(rows), stack=True)


def _line(row: NodeRow, page: str) -> tuple[str, ...]:
    name = text(row.uri)
    if page:
        name = f'<a href="{text(page)}" title="its page, if its HTTP port is the same as here">{name}</a>'
    last_seen = "never" if row.last_seen_s is None else f"{duration(row.last_seen_s)} ago"
    return (
        name,
        _status(row),
        NONE if row.local else text(row.in_sync),
        NONE if row.local else number(row.backlog),
        NONE if row.rtt_ms is None else f"{row.rtt_ms:.1f} ms",
        "this node" if row.local else last_seen,
        NONE if row.key == "-" else text(row.key),
        text(row.software) or NONE,
    )


def _status(row: NodeRow) -> str:
    if row.lost_s is not None:
        return f"{pill('bad', 'lost')} for {duration(row.lost_s)}"
    if row.trouble:
        return f"{pill('warn', text(row.status))} {text(row.trouble)}"
    return pill({"active": "ok", "disabled": "idle"}.get(row.status, "warn"), text(row.status))


def page_of(row: NodeRow, own: str, http: tuple[str, int] | None, scheme: str = "http") -> str:
    """Where the other node's page should be: at its own IP address, on the port that this node uses. Nothing
    for a Kamailio, for a node on the same address (its port must be another), and where this page is only
    for this machine while that node is elsewhere."""
    if http is None or row.local or not row.software.startswith("dmqcache"):
        return ""
    host = NodeURI.parse(row.uri).host
    listened, port = http
    if own and NodeURI.parse(own).host == host:
        return ""
    if _only_here(listened) and not _only_here(host):
        return ""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def _only_here(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
