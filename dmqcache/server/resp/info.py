"""Figures of the node for people and for INFO: gathered here from whoever keeps them, named once."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from typing import Any, Final

from dmqcache.metrics.node_view import TURNED_AWAY
from dmqcache.release import VERSION
from dmqcache.server.resp.memory_figures import memory_figures
from dmqcache.server.resp.session import Shared

#: What is told to clients that ask which Redis this is: the protocol as of this version.
REDIS_VERSION: Final = "7.4.0"

Section = dict[str, Any]

#: Of the section Stats: how many there are now.
_NOW: Final = frozenset(
    {
        "pubsub_channels",
        "pubsub_patterns",
        "tracking_total_keys",
        "tracking_total_items",
        "tracking_total_prefixes",
    }
)


def sections(shared: Shared) -> dict[str, Section]:
    """Section -> name -> text or number. The names of Redis mean here what they mean there: exporters and
    dashboards read them."""
    return {
        "Server": _server(shared),
        "Clients": _clients(shared),
        "Memory": _memory(shared),
        "Persistence": _persistence(shared),
        "Stats": _stats(shared),
        "Replication": _replication(shared),
        "CPU": _cpu(),
        "Cluster": {"cluster_enabled": 0},
        "Bus": _bus(shared),
        "Tables": _tables(shared),
        "Keyspace": _keyspace(shared),
    }


def _server(shared: Shared) -> Section:
    uptime = int(shared.clock() - shared.started)
    return {
        "redis_version": REDIS_VERSION,
        "redis_mode": "standalone",
        "dmqcache_version": VERSION,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64,
        "process_id": os.getpid(),
        "run_id": shared.run_id,
        "tcp_port": shared.port,
        "server_time_usec": round(shared.wall() * 1_000_000),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86_400,
    }


def _clients(shared: Shared) -> Section:
    return {
        "connected_clients": len(shared.sessions),
        "maxclients": shared.max_clients,
        "blocked_clients": sum(session.waiting for session in shared.sessions.values()),
        "tracking_clients": shared.tracking.clients,
        "pubsub_clients": sum(bool(one.channels or one.patterns) for one in shared.sessions.values()),
        "client_bytes_held": shared.held,
    }


def _memory(shared: Shared) -> Section:
    found, bound = memory_figures(shared), shared.node.memory
    return {
        "used_memory": found.total,
        "used_memory_human": human(found.total),
        "used_memory_rss": found.total,
        "used_memory_peak": found.peak,
        "used_memory_peak_human": human(found.peak),
        "used_memory_overhead": found.overhead,
        "used_memory_startup": found.startup,
        "used_memory_dataset": found.dataset,
        "used_memory_dataset_perc": f"{found.dataset_percentage:.2f}%",
        "used_memory_scripts": found.scripts,
        "number_of_cached_scripts": found.script_count,
        "used_memory_cells": bound.used,
        "used_memory_tombstones": bound.remembered,
        "maxmemory": bound.limit,
        "maxmemory_human": human(bound.limit),
        "maxmemory_policy": str(bound.policy),
        "maxmemory_full": int(bound.full),
        "mem_fragmentation_ratio": "1.00",
        "mem_clients_normal": found.clients,
    }


def human(size: int) -> str:
    """``1.50M``, as Redis writes it."""
    amount = float(size)
    for unit in "BKMG":
        if amount < 1024 or unit == "G":
            break
        amount /= 1024
    return f"{size}B" if unit == "B" else f"{amount:.2f}{unit}"


def _cpu() -> Section:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"used_cpu_sys": f"{usage.ru_stime:.6f}", "used_cpu_user": f"{usage.ru_utime:.6f}"}


def _persistence(shared: Shared) -> Section:
    found: Section = {"loading": int(not shared.node.ready), "rdb_bgsave_in_progress": 0, "aof_enabled": 0}
    disk = shared.node.disk
    if disk is not None:
        # What is on disk is as an append-only file: all that happened, up to a moment ago.
        found |= {
            "aof_enabled": 1,
            "aof_last_write_status": "err" if disk.fault else "ok",
            "aof_current_size": disk.bytes,
            "disk_flushed_at": int(disk.flushed_at),
            "disk_behind_seconds": f"{disk.behind():.3f}",
            "disk_errors": disk.errors,
            "disk_fault": " ".join(disk.fault.split()),
        }
    return found


def _stats(shared: Shared) -> Section:
    before = shared.stats_before
    return {name: count - before.get(name, 0) for name, count in _counts(shared).items()}


def reset_stats(shared: Shared) -> None:
    """What is counted there is counted from now on (CONFIG RESETSTAT)."""
    shared.stats_before = {name: count for name, count in _counts(shared).items() if name not in _NOW}


def _counts(shared: Shared) -> dict[str, int]:
    counters = shared.counters
    tables = [table.counters for table in shared.tables.values()]
    return {
        "total_connections_received": counters.connections,
        "total_commands_processed": counters.commands,
        "total_net_input_bytes": counters.bytes_in,
        "total_net_output_bytes": counters.bytes_out,
        "rejected_connections": counters.refused["max_clients"],
        "rejected_http_requests": counters.refused["http"],
        "rejected_strangers": counters.refused["protected"],
        "acl_access_denied_auth": shared.acl_log.counts["auth"],
        "acl_access_denied_cmd": shared.acl_log.counts["command"],
        "acl_access_denied_key": shared.acl_log.counts["key"],
        "acl_access_denied_table": shared.acl_log.counts["table"],
        "acl_access_denied_channel": shared.acl_log.counts["channel"],
        "total_error_replies": counters.errors,
        "pubsub_channels": len(shared.subscriptions.channels),
        "pubsub_patterns": shared.subscriptions.patterns,
        "client_output_buffer_limit_disconnections": counters.refused["slow_subscriber"],
        "tracking_total_keys": shared.tracking.keys,
        "tracking_total_items": shared.tracking.reads,
        "tracking_total_prefixes": shared.tracking.prefixes,
        "published_to_nodes": shared.node.bus.counters.published["out"],
        "published_by_nodes": shared.node.bus.counters.published["in"],
        "published_lost": shared.node.bus.counters.published["lost"],
        "expired_keys": sum(one.expirations for one in tables),
        "evicted_keys": sum(one.evictions for one in tables),
        "keyspace_hits": sum(one.hits for one in tables),
        "keyspace_misses": sum(one.misses for one in tables),
    }


def _replication(shared: Shared) -> Section:
    rows = [row for row in shared.node.node_rows() if row.status != TURNED_AWAY]
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


def _tables(shared: Shared) -> Section:
    return {
        f"table{index}": f"name={name},keys={len(table)},bytes={table.text_bytes}"
        for index, (name, table) in enumerate(shared.node.tables.items())
    }


def _keyspace(shared: Shared) -> Section:
    """Only what Redis says there, as exporters read nothing else; like Redis, no line for an empty table."""
    found: Section = {}
    for index, table in enumerate(shared.tables.values()):
        if len(table):
            expires, left = table.expiry.about(table.clock.now())
            found[f"db{index}"] = f"keys={len(table)},expires={expires},avg_ttl={round(left * 1000)}"
    return found


def table_rows(shared: Shared) -> list[Section]:
    """One row for each table: how it was declared and what is in it."""
    rows = []
    for name, table in shared.node.tables.items():
        settings, counters = table.settings, table.counters
        rows.append(
            {
                "table": name,
                "keys": len(table),
                "bytes": table.text_bytes,
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
    names = [
        "uri",
        "status",
        "local",
        "software",
        "last_seen_s",
        "rtt_ms",
        "in_sync",
        "backlog",
        "withheld",
        "key",
        "trouble",
    ]
    return [{name: getattr(row, name) for name in names} for row in shared.node.node_rows()]
