"""Kamailio's JSON-RPC methods about the process itself: ``core.`` and ``stats.``, as kamcli and scripts ask.

Forms, groups and errors are those of a 5.6.3, tried side by side. A statistic of group ``core`` means what it
means there; those of group ``dmqcache`` are this node's own. What is counted is not set back
(``stats.reset_statistics`` is absent): metrics count on.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from typing import Any, Final

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.metrics.drops import DropKind, kind_of
from dmqcache.metrics.node_view import TURNED_AWAY, NodeView
from dmqcache.server.http.rpc import Method, RpcError

#: Names that one call may ask for.
MAX_NAMES: Final = 32
#: What Kamailio answers to a call without the names that it needs.
BAD_CALL: Final = 400
_NAMES: Final = tuple(f"name{number}" for number in range(1, MAX_NAMES + 1))

Statistics = dict[str, dict[str, int]]


def core_methods(node: NodeView, version: str, started: float) -> dict[str, Method]:
    """``started``: Unix time at which the node began."""

    def uptime() -> dict[str, Any]:
        now = time.time()
        return {
            "now": time.ctime(now),
            "up_since": time.ctime(started),
            "uptime": max(0, int(now) - int(started)),
        }

    def info() -> dict[str, str]:
        made_by = f"{platform.python_implementation()} {platform.python_version()}"
        return {
            "version": f"dmqcache {version}",
            "id": "",
            "compiler": made_by,
            "compiled": "",
            "flags": "",
        }

    def listed(*names: str | None) -> list[str]:
        return [f"{group}:{name} = {value}" for group, name, value in _wanted(node, names)]

    def fetched(*names: str | None) -> dict[str, str]:
        return {f"{group}.{name}": str(value) for group, name, value in _wanted(node, names)}

    def fetched_numbers(*names: str | None) -> dict[str, int]:
        return {f"{group}.{name}": value for group, name, value in _wanted(node, names)}

    return {
        "core.echo": Method(lambda *words: [word for word in words if word is not None], _NAMES, MAX_NAMES),
        "core.info": Method(info),
        "core.uptime": Method(uptime),
        "core.version": Method(lambda: f"dmqcache {version}"),
        "stats.fetch": Method(fetched, _NAMES, MAX_NAMES),
        "stats.fetchn": Method(fetched_numbers, _NAMES, MAX_NAMES),
        "stats.get_statistics": Method(listed, _NAMES, MAX_NAMES),
    }


def statistics(node: NodeView) -> Statistics:
    """Group -> name -> number, both in the order of their letters, as Kamailio has them."""
    tables = list(node.tables.values())
    counted = [table.counters for table in tables]
    rows = [row for row in node.node_rows() if row.status != TURNED_AWAY]
    bus = node.bus.counters
    own = {
        "backlog": sum(row.backlog for row in rows),
        "bytes_in": bus.bytes["in"],
        "bytes_out": bus.bytes["out"],
        "cells": sum(map(len, tables)),
        "deletes": sum(one.deletes for one in counted),
        "drops": sum(count for reason, count in bus.drops.items() if kind_of(reason) is DropKind.FAULT),
        "evictions": sum(one.evictions for one in counted),
        "expirations": sum(one.expirations for one in counted),
        "hits": sum(one.hits for one in counted),
        "memory_cells": node.memory.used,
        "memory_full": int(node.memory.full),
        "memory_limit": node.memory.limit,
        "misses": sum(one.misses for one in counted),
        "nodes": len(rows),
        "nodes_active": sum(row.status == "active" or row.local for row in rows),
        "ready": int(node.ready),
        "retransmissions_in": bus.retransmissions["in"],
        "retransmissions_out": bus.retransmissions["out"],
        "sets": sum(one.sets for one in counted),
        "timeouts": sum(bus.timeouts.values()),
        "tombstones": sum(len(table.tombstones) for table in tables),
    }
    return {"core": _core(bus), "dmqcache": own}


def _core(bus: BusCounters) -> dict[str, int]:
    """What came: requests, and replies by the first digit of their status."""
    found = dict.fromkeys(["rcv_replies", *(f"rcv_replies_{digit}xx" for digit in range(1, 7))], 0)
    requests = 0
    for (_, direction, code), count in bus.messages.items():
        if direction != "in":
            continue
        if code == "request":
            requests += count
        else:
            found["rcv_replies"] += count
            found[f"rcv_replies_{code[0]}xx"] += count
    return found | {"rcv_requests": requests}


def _wanted(node: NodeView, names: tuple[str | None, ...]) -> Iterator[tuple[str, str, int]]:
    """Group, name and number of each that is asked for: ``all``, ``core:`` or ``rcv_requests``. What there is
    none of is left out, as in Kamailio."""
    asked = [name for name in names if name is not None]
    if not asked:
        raise RpcError(BAD_CALL, "Please provide which stats to retrieve")
    return _found(statistics(node), asked)


def _found(groups: Statistics, asked: list[str]) -> Iterator[tuple[str, str, int]]:
    for one in asked:
        for group, numbers in groups.items():
            for name, number in numbers.items():
                if one in ("all", f"{group}:", name):
                    yield group, name, number
