"""What is exported to Prometheus: all rows in the order of /metrics, and those of nodes and the bus.

The rows of what a node stores stand in ``exported_store.py``, those of mirrors in ``exported_peers.py``.
Everybody else counts in plain numbers (``bus/bus_counters.py``, ``store/table/store_counters.py``, the
tables' own); nothing is converted before somebody asks. How numbers become samples is the business of
``reading.py``, how they are written, of ``exposition.py``, how they are served, of ``server/http/routes.py``;
what to make of them, of ``dashboards/``.
"""

from __future__ import annotations

from typing import Final

from dmqcache.metrics.drops import KINDS, DropKind, kind_of
from dmqcache.metrics.export import Export
from dmqcache.metrics.exported_peers import PEER_EXPORTS
from dmqcache.metrics.exported_store import STORE_EXPORTS
from dmqcache.metrics.reading import (
    CLIENT_REFUSALS,
    STATUSES,
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

_NODE: Final = ("node",)

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
    *STORE_EXPORTS,
    *PEER_EXPORTS,
)
