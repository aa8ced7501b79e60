"""dmqcache: a masterless replicated key-value cache on Kamailio's DMQ bus.

Every node holds every table. Nodes are equal: there is no master, no quorum and no disk; any of them may be
a Kamailio server, whose ``htable`` tables are then the same as ours.

The map
    ``dmqcache.cache_node``      :class:`CacheNode`: builds all that follows, starts and stops it
    ``dmqcache.open_bus``  ``open_bus``: the bus on real sockets, for programs that want no cache
    ``dmqcache.bus``       the bus: SIP messages, transactions, transports, who is there; knows no cache
    ``dmqcache.store``     the replicated tables: data, versions, outboxes, sync and repair
    ``dmqcache.server``    the Redis protocol, HTTP with metrics and JSON-RPC
    ``dmqcache.cli.app``       the commands, with ``options`` (all options, once) and ``client``

Data climbs from the transport to the table; imports only go down: the bus knows nothing of the store, and
the store nothing of the servers. ``docs/architecture.md`` tells more.

The words
    node        one process on the bus, known by its SIP address
    peer        a consumer on the bus, known by its channel (``htable``); a node is never called a peer
    channel     the name before the @ of a message's address: which peer it is for
    table       a named set of cells, declared alike on all nodes
    cell        one key with its value, version and time to live
    change      one set or delete with its version
    tombstone   a delete that is remembered, so that no node brings the key back
    outbox      the keys that one other node has still to be told
    repair      two nodes compare their tables and exchange what differs
    donor       the node that answers an initial sync or a repair

The public names below are imported when they are first used: ``import dmqcache`` loads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dmqcache.bus.bus import Bus, BusSettings
    from dmqcache.bus.node import Node, NodeStatus
    from dmqcache.bus.peer import Message, Peer, PeerBus, Reply, Response
    from dmqcache.bus.sip.uri import NodeURI, URIError
    from dmqcache.cache_node import CacheNode
    from dmqcache.config.options import ConfigError
    from dmqcache.store.table.patterns import MatchKind, MatchOn
    from dmqcache.store.table.settings import TableSettings
    from dmqcache.store.table.table import Table

    __version__: str

#: Where each public name lives.
_HOMES: Final[Mapping[str, str]] = {
    "Bus": "dmqcache.bus.bus",
    "BusSettings": "dmqcache.bus.bus",
    "CacheNode": "dmqcache.cache_node",
    "ConfigError": "dmqcache.config.options",
    "MatchKind": "dmqcache.store.table.patterns",
    "MatchOn": "dmqcache.store.table.patterns",
    "Message": "dmqcache.bus.peer",
    "Node": "dmqcache.bus.node",
    "NodeStatus": "dmqcache.bus.node",
    "NodeURI": "dmqcache.bus.sip.uri",
    "Peer": "dmqcache.bus.peer",
    "PeerBus": "dmqcache.bus.peer",
    "Reply": "dmqcache.bus.peer",
    "Response": "dmqcache.bus.peer",
    "Table": "dmqcache.store.table.table",
    "TableSettings": "dmqcache.store.table.settings",
    "URIError": "dmqcache.bus.sip.uri",
}

__all__ = [
    "Bus",
    "BusSettings",
    "CacheNode",
    "ConfigError",
    "MatchKind",
    "MatchOn",
    "Message",
    "Node",
    "NodeStatus",
    "NodeURI",
    "Peer",
    "PeerBus",
    "Reply",
    "Response",
    "Table",
    "TableSettings",
    "URIError",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("dmqcache.release").VERSION
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dmqcache' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
