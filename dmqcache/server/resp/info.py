"""Figures of the node for people and for INFO: gathered here from whoever keeps them, named once."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from dmqcache.release import VERSION
from dmqcache.server.resp.session import Shared

#: What is told to clients that ask which Redis this is: the protocol as of this version.
REDIS_VERSION = "7.2.0"

Section = dict[str, Any]


def sections(shared: Shared) -> dict[str, Section]:
    """Section -> name -> text or number."""
    return {
        "Server": _server(shared),
        "Clients": {"connected_clients": len(shared.sessions)},
        "Stats": _stats(shared),
        "Replication": _replication(shared),
        "Bus": _bus(shared),
        "Keyspace": _keyspace(shared),
    }


def _server(shared: Shared) -> Section:
    return {
        "redis_version": REDIS_VERSION,
        "redis_mode": "standalone",
        "dmqcache_version": VERSION,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64,
        "process_id": os.getpid(),
        "tcp_port": shared.port,
        "uptime_in_seconds": int(shared.clock() - shared.started),
    }


def _stats(shared: Shared) -> Section:
    counters = shared.counters
    tables = [table.counters for table in shared.node.tables.values()]
    return {
        "total_connections_received": counters.connections,
        "total_commands_processed": counters.commands,
        "total_net_input_bytes": counters.bytes_in,
        "total_net_output_bytes": counters.bytes_out,
        "rejected_connections": counters.refused["max_clients"],
        "rejected_http_requests": counters.refused["http"],
        "total_error_replies": counters.errors,
        "expired_keys": sum(one.expirations for one in tables),
        "evicted_keys": 0,
        "keyspace_hits": sum(one.hits for one in tables),
        "keyspace_misses": sum(one.misses for one in tables),
    }


def _replication(shared: Shared) -> Section:
    rows = shared.node.node_rows()
    progress = shared.node.sync_progress()
    others = [row for row in rows if not row.local]
    return {
        "role": "master",
        "connected_slaves": sum(row.status == "active" for row in others),
        "nodes_known": len(rows),
        "ready": int(shared.node.ready),
        "sync_state": progress.state,
        "sync_cells": progress.cells,
        "sync_donor": progress.donor,
        "backlog": sum(row.backlog for row in others),
    }


def _bus(shared: Shared) -> Section:
    counters = shared.node.bus.counters
    flat: Section = {}
    for (channel, direction, code), count in sorted(counters.messages.items()):
        flat[f"messages_{channel}_{direction}_{code}"] = count
    for name in ("drops", "retransmissions", "timeouts", "handler_errors", "bytes"):
        counted: Mapping[str, int] = getattr(counters, name)
        for key, count in sorted(counted.items()):
            flat[f"{name}_{key}"] = count
    return flat


def _keyspace(shared: Shared) -> Section:
    return {
        f"db{index}": f"keys={len(table)},name={name},characters={table.bytes}"
        for index, (name, table) in enumerate(shared.node.tables.items())
        if len(table) or not index
    }


def table_rows(shared: Shared) -> list[Section]:
    """One row for each table: how it was declared and what is in it."""
    rows = []
    for name, table in shared.node.tables.items():
        settings, counters = table.settings, table.counters
        rows.append(
            {
                "table": name,
                "keys": len(table),
                "characters": table.bytes,
                "autoexpire": settings.autoexpire,
                "updateexpire": bool(settings.updateexpire),
                "initval": settings.initval,
                "dmqreplicate": bool(settings.dmqreplicate),
                "hits": counters.hits,
                "misses": counters.misses,
                "expirations": counters.expirations,
            }
        )
    return rows


def node_rows(shared: Shared) -> list[Section]:
    """One row for each node of the bus."""
    names = ("uri", "status", "local", "software", "last_seen_s", "rtt_ms", "in_sync", "backlog")
    return [{name: getattr(row, name) for name in names} for row in shared.node.node_rows()]
