"""The JSON-RPC methods: htable's and dmq's of Kamailio 5.6.3, and what dmqcache adds to them. Those that look
at registrations and calls are ``rpc_mirrors.py``'s, those about the process ``rpc_core.py``'s.

Names, parameters, results and error texts are Kamailio's where it has the method (``htable.get`` of a key
that is not there answers 500, ``htable.delete`` 404). What differs, on purpose: a number given as a text is
read as a number (Kamailio makes it 0), and a time for a key that is not there is an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from dmqcache.bus.node import NodeStatus
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.database.link import DatabaseError
from dmqcache.metrics.node_view import TURNED_AWAY, BusView, NodeRow, NodeView
from dmqcache.server.http.rpc import FAILED, NOT_FOUND, Method, RpcError
from dmqcache.server.http.rpc_core import core_methods
from dmqcache.server.http.rpc_mirrors import mirror_methods
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.listing import listed
from dmqcache.store.table.table import Table

#: Cells of one entry of a dump. Others get their turn after each: it takes about a millisecond.
DUMP_STEP: Final = 500
#: The type of a value as Kamailio's htable.get shows it: its AVP flag for a string, and none for an integer.
STRING_FLAG: Final = 2
#: Kamailio's words for what an operator may say of a node.
STATUS_WORDS: Final = {
    "active": NodeStatus.ACTIVE,
    "not_active": NodeStatus.TIMEOUT,
    "disabled": NodeStatus.DISABLED,
}


class ServedBus(BusView, Protocol):
    """What the methods need of a bus."""

    def add_node(self, uri: NodeURI, /) -> object: ...
    def remove_node(self, uri: NodeURI, /) -> object:
        """LookupError if it is not on the list, ValueError if it is this node itself."""

    def set_status(self, uri: NodeURI, status: NodeStatus, /) -> object:
        """As :meth:`remove_node`."""


class ServedDatabase(Protocol):
    """What the methods need of the tables' database."""

    async def reload(self, table: str, /) -> int:
        """Make a table what its database says. LookupError: it has none. DatabaseError."""

    async def store(self, table: str, /) -> int:
        """Make the database say what a table holds. As :meth:`reload`."""


class ServedNode(NodeView, Protocol):
    """What the HTTP server needs of a node."""

    @property
    def bus(self) -> ServedBus: ...

    def compare_all(self) -> None:
        """Compare the tables with every node that answers, as soon as may be."""

    @property
    def database(self) -> ServedDatabase:
        """What loads the tables and stores them."""


def methods_of(node: ServedNode, version: str) -> Mapping[str, Method]:
    """All methods, by name. The node has begun now, as far as they tell."""
    found = {**_table_methods(node), **_bus_methods(node), **mirror_methods(node.peers)}
    found |= core_methods(node, version, time.time())
    found["system.listMethods"] = Method(lambda: sorted(found))
    return found


def _table_methods(node: ServedNode) -> dict[str, Method]:
    def on(work: Callable[..., Any], grows: bool = False) -> Callable[..., Any]:
        """``work`` with the table in the place of its name. ``grows``: it may need more memory."""

        def call(table_name: str, *arguments: Any) -> Any:
            table = node.tables.get(table_name)
            if table is None:
                raise RpcError(FAILED, "No such htable")
            if grows and node.memory.full:
                raise RpcError(FAILED, "The memory that max_memory allows is used up")
            return work(table, *arguments)

        return call

    def compare(table: Table) -> str:
        # Of all tables: a comparison of equal ones costs a message. Nothing is emptied before, unlike in
        # Kamailio: what another node has newer comes, what this one has newer goes.
        node.compare_all()
        return "Ok. Comparing with the other nodes."

    async def reload(table: Table) -> str:
        await _with_database(node.database.reload(table.name))
        return "Ok. Htable reloaded."

    async def store(table: Table) -> str:
        await _with_database(node.database.store(table.name))
        return "Ok. Htable successfully stored to DB."

    return {
        "htable.get": Method(on(_get), ("htable", "key")),
        "htable.sets": Method(on(_set, True), ("htable", "key", "value"), changes=True),
        "htable.seti": Method(on(_set, True), ("htable", "key", "value:int"), changes=True),
        "htable.setxs": Method(on(_set, True), ("htable", "key", "value", "expire:int"), changes=True),
        "htable.setxi": Method(on(_set, True), ("htable", "key", "value:int", "expire:int"), changes=True),
        "htable.setex": Method(on(_expire), ("htable", "key", "expire:int"), changes=True),
        "htable.delete": Method(on(_delete), ("htable", "key"), changes=True),
        "htable.dump": Method(on(_dump), ("htable",)),
        "htable.flush": Method(on(_flush), ("htable",), changes=True),
        "htable.reload": Method(on(reload), ("htable",), changes=True),
        "htable.store": Method(on(store), ("htable",), changes=True),
        "htable.dmqsync": Method(on(compare), ("htable",), changes=True),
        "htable.dmqresync": Method(on(compare), ("htable",), changes=True),
        "htable.stats": Method(lambda: [_stats(*pair) for pair in node.tables.items()]),
        "htable.listTables": Method(lambda: [_declared(*pair) for pair in node.tables.items()]),
    }


async def _with_database(work: Awaitable[int]) -> None:
    try:
        await work
    except LookupError:
        raise RpcError(FAILED, "No database htable") from None
    except DatabaseError as error:
        raise RpcError(FAILED, str(error)) from None


def _get(table: Table, key: str) -> dict[str, Any]:
    value = table.get(key)
    if value is None:
        raise RpcError(FAILED, "Key name doesn't exist in htable.")
    left = table.ttl(key)
    until = (
        "NEVER" if left is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + left))
    )
    flags = STRING_FLAG if isinstance(value, str) else 0
    return {"item": {"name": key, "value": value, "flags": flags, "expire": until}}


def _set(table: Table, key: str, value: str | int, expire: int | None = None) -> str:
    table.set(key, value, ttl=expire)
    return "Ok. Key set to new value."


def _expire(table: Table, key: str, expire: int) -> str:
    if not table.expire(key, expire):
        raise RpcError(NOT_FOUND, "Key not found in htable.")
    return "Ok"


def _delete(table: Table, key: str) -> str:
    if not table.delete(key):
        raise RpcError(NOT_FOUND, "Key not found in htable.")
    return "Ok. Key deleted."


def _flush(table: Table) -> str:
    table.flush()
    return "Ok. Htable flushed."


async def _dump(table: Table) -> AsyncIterator[dict[str, Any]]:
    """All cells in the keys' order. An entry is a run of keys, not a slot of a hash."""
    entry = 0
    for keys in listed(table, DUMP_STEP):
        if keys:
            # Not ``get``: a dump is no use of the cache, and shall not count as hits.
            cells = [cell for cell in map(table.live_cell, keys) if cell is not None]
            yield {"entry": entry, "size": len(cells), "slot": [_dumped(cell) for cell in cells]}
            entry += 1
        await asyncio.sleep(0)


def _dumped(cell: Cell) -> dict[str, Any]:
    kind = "str" if isinstance(cell.value, str) else "int"
    return {"name": cell.key, "value": cell.value, "type": kind}


def _stats(name: str, table: Table) -> dict[str, Any]:
    """There are no slots here: one of them holds all."""
    cells = len(table)
    return {"name": name, "slots": 1, "all": cells, "min": cells, "max": cells}


def _declared(name: str, table: Table) -> dict[str, Any]:
    settings = table.settings
    return {
        "name": name,
        "dbtable": "" if settings.db is None else settings.db.dbtable,
        "dbmode": 0 if settings.db is None else int(settings.db.dbmode),
        "expire": settings.autoexpire,
        "updateexpire": int(settings.updateexpire),
        "size": 1 << settings.size if settings.size else 1,
        "dmqreplicate": int(settings.dmqreplicate),
    }


def _bus_methods(node: ServedNode) -> dict[str, Method]:
    def set_status(uri: str, status: str) -> str:
        if status not in STATUS_WORDS:
            raise RpcError(FAILED, f"Invalid status; use one of {', '.join(STATUS_WORDS)}")
        return _listed(node.bus.set_status, NodeURI.parse(uri), STATUS_WORDS[status])

    def add(uri: str) -> str:
        node.bus.add_node(NodeURI.parse(uri))
        return "Ok"

    def remove(uri: str) -> str:
        return _listed(node.bus.remove_node, NodeURI.parse(uri))

    return {
        "dmq.list_nodes": Method(lambda: _nodes(node)),
        "dmq.add": Method(add, ("uri",), changes=True),
        "dmq.remove": Method(remove, ("uri",), changes=True),
        "dmq.change_status": Method(set_status, ("uri", "status"), changes=True),
        "dmq.set_status": Method(set_status, ("uri", "status"), changes=True),
    }


def _listed(change: Callable[..., object], *arguments: object) -> str:
    """Make a change to a node that must be on the list; the bus knows each under all its names."""
    try:
        change(*arguments)
    except LookupError:
        raise RpcError(NOT_FOUND, "No such node") from None
    return "Ok"


def _nodes(node: ServedNode) -> list[dict[str, Any]]:
    return [_node(row) for row in node.node_rows() if row.status != TURNED_AWAY]


def _node(row: NodeRow) -> dict[str, Any]:
    """A node as Kamailio shows it, and after that what it does not know."""
    uri = NodeURI.parse(row.uri)
    seen = row.last_seen_s
    return {
        "host": f"[{uri.host}]" if ":" in uri.host else uri.host,
        "port": str(uri.port),
        "proto": uri.transport,
        "resolved_ip": "" if uri.endpoint is None else uri.endpoint.host,
        "status": str(row.status),
        "last_notification": 0 if seen is None else int(time.time() - seen),
        "local": int(row.local),
        "fail_count": row.unanswered,
        "software": row.software,
        "rtt_ms": row.rtt_ms,
        "in_sync": row.in_sync,
        "backlog": row.backlog,
        "withheld": row.withheld,
        "trouble": row.trouble,
        "key": row.key,
    }
