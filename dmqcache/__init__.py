"""dmqcache: a masterless replicated key-value cache on Kamailio's DMQ bus.

Every node holds every table. Nodes are equal: there is no master and no quorum; any of them may be
a Kamailio server, whose ``htable`` tables are then the same as ours.

The map, from the top down; each folder says in its ``__init__`` what it owns and which file to read first
    ``cli``          the commands; ``python -m dmqcache`` is ``dmqcache``
    ``adapters``     a table as Django's cache, and as aiocache's
    ``sync_node``    a node for programs without an event loop; its tables: ``sync_table``
    ``cache_node``   :class:`CacheNode`: builds all that follows, starts and stops it
    ``server``       the Redis protocol (``resp``); HTTP with JSON-RPC and the status page (``http``)
    ``metrics``      what a node shows of itself, and how Prometheus reads it
    ``config``       the options, once, and their sources: flags, environment, file
    ``channels``     publish and subscribe over all nodes, and DMQ channels for clients
    ``disk``         the tables on disk, where a node is given a folder
    ``database``     the databases that tables are loaded from and stored in, as Kamailio's ``dbtable``
    ``store``        the replicated tables: ``table``, ``outbox``, ``native`` (dmqcache nodes), ``kamailio``
    ``socket_bus``   the bus on real sockets; :func:`open_bus` for programs that want no cache
    ``bus``          the bus: ``sip``, ``net``, ``exchange`` (transactions), ``nodes``; knows no cache

Data climbs from the transport to the table; imports only go down: the bus knows nothing of the store, and
the store nothing of the servers. ``docs/architecture.md`` tells more. What the map leaves out is small: how
clients come in (``client_doors``, ``served_tls``), how a program ends (``process_end``), ``release``,
``defaults``, and what helps ``cache_node`` (``node_servers``, ``node_channels``, ``table_database``,
``watch``).

The words
    node        one process on the bus, known by its SIP address
    peer        a consumer on the bus, known by its channel; a node is never called a peer
    channel     the name before the @ of a message's address: which peer it is for
    table       a named set of cells, declared alike on all nodes
    cell        one key with its value, version and time to live
    version     when a cell was written, by its writer's clock (``stamp``); the higher one wins on every node
    change      one set or delete with its version
    tombstone   a delete that is remembered, so that no node brings the key back
    floor       the version of a table's last flush: everything with an older one is dead
    expired     a cell whose time to live has passed
    counter     a cell that ``incr`` adds to: a base and a share for each process that counted
    share       what one process of a node has added to a counter
    row         a cell as dmqcache nodes send it to each other
    merge       take a row or leave it, so that all nodes end alike in whatever order rows come
    outbox      the keys that one other node has still to be told
    courier     what empties an outbox in the language of its node
    digest      sums over a table's cells by which two nodes find what differs
    repair      two nodes compare their tables and exchange what differs
    donor       the node that answers an initial sync or a repair
    designated  the dmqcache node that looks after the Kamailio nodes: the one with the lowest address
    dialect     what a Kamailio of a certain version understands
    hearsay     what is known only because others said it: a node in a list, a cell that a Kamailio shows
    pending     a node that was heard of and has not answered yet
    ready       a node that has all that the others had when it started
    drop        a message that is not handled, counted under a named reason

The public names below are imported when they are first used: ``import dmqcache`` loads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dmqcache.bus.bus import Bus
    from dmqcache.bus.bus_settings import BusSettings
    from dmqcache.bus.node import Node, NodeStatus
    from dmqcache.bus.peer import Message, Peer, PeerBus, Reply, Response
    from dmqcache.bus.sip.uri import NodeURI, URIError
    from dmqcache.cache_node import CacheNode
    from dmqcache.config.options import ConfigError
    from dmqcache.database.link import DatabaseError
    from dmqcache.socket_bus import open_bus
    from dmqcache.store.table.changes import Change
    from dmqcache.store.table.patterns import MatchKind, MatchOn
    from dmqcache.store.table.settings import TableSettings
    from dmqcache.store.table.table import Table
    from dmqcache.sync_node import SyncCacheNode
    from dmqcache.sync_table import SyncTable

    __version__: str

#: Where each public name lives.
_HOMES: Final[Mapping[str, str]] = {
    "Bus": "dmqcache.bus.bus",
    "BusSettings": "dmqcache.bus.bus_settings",
    "CacheNode": "dmqcache.cache_node",
    "Change": "dmqcache.store.table.changes",
    "ConfigError": "dmqcache.config.options",
    "DatabaseError": "dmqcache.database.link",
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
    "SyncCacheNode": "dmqcache.sync_node",
    "SyncTable": "dmqcache.sync_table",
    "Table": "dmqcache.store.table.table",
    "TableSettings": "dmqcache.store.table.settings",
    "URIError": "dmqcache.bus.sip.uri",
    "open_bus": "dmqcache.socket_bus",
}

__all__ = [
    "Bus",
    "BusSettings",
    "CacheNode",
    "Change",
    "ConfigError",
    "DatabaseError",
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
    "SyncCacheNode",
    "SyncTable",
    "Table",
    "TableSettings",
    "URIError",
    "open_bus",
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
