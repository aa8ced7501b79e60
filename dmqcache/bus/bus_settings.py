"""How a bus behaves: its options, with their units and defaults, and what follows from them at once.

Owns the numbers that a user may set. Limits that nobody sets stand beside what they limit.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.bus.timers import TIMEOUT
from dmqcache.defaults import (
    NOTIFICATION_CHANNEL,
    NUM_WORKERS,
    PING_INTERVAL,
    PROBE_INTERVAL,
    REMOVE_INACTIVE,
    T1,
    T2,
)

log = logging.getLogger(__name__)

#: Seconds. Kamailio documents no less; a lower setting is raised to it.
MIN_PING_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class BusSettings:
    """How a bus behaves. Times are in seconds."""

    #: Our address as the others are told it: an IP address (a name is resolved before the bus is built).
    server_address: NodeURI
    #: Nodes through which to join.
    notification_addresses: tuple[NodeURI, ...] = ()
    #: How often every node gets our list.
    ping_interval: float = PING_INTERVAL
    #: Coroutine handlers that may run at once.
    num_workers: int = NUM_WORKERS
    t1: float = T1
    t2: float = T2
    #: Until a message that nobody answers ends with a local 408.
    transaction_timeout: float = TIMEOUT
    #: How often one node, in turn, is asked whether it is there.
    probe_interval: float = PROBE_INTERVAL
    user_agent: str = "dmqcache"
    #: Option tags that we show whatever peers there are; each peer adds its own.
    supported: tuple[str, ...] = ()
    #: Further forms of our own address.
    aliases: tuple[NodeURI, ...] = ()
    #: The channel of the node list, as all nodes have it.
    notification_channel: str = NOTIFICATION_CHANNEL
    #: Nodes and further IP addresses from which each of them sends.
    sources: tuple[tuple[NodeURI, str], ...] = ()
    #: Channels that are served elsewhere: they are answered 404 and count as no drop.
    known_channels: frozenset[str] = frozenset()
    #: Until a node that stopped answering is taken off the list; 0: never.
    remove_inactive: float = REMOVE_INACTIVE
    #: Where we really listen, with every transport that the bus has; empty: at the server address alone.
    listens: tuple[NodeURI, ...] = ()

    def sent_by(self) -> dict[str, str]:
        """Transport -> host and port at which answers reach us. Behind NAT and on a wildcard address the host
        is that which others know."""
        own = self.server_address
        found = {uri.transport: own._replace(port=uri.port).host_port for uri in reversed(self.listens)}
        return found | {own.transport: own.host_port}

    def others(self) -> tuple[NodeURI, ...]:
        """The notification addresses that are not plainly our own, as one of them may be."""
        own = {self.server_address, *self.listens, *self.aliases}
        return tuple(uri for uri in self.notification_addresses if uri not in own)

    def serves(self, host: str) -> bool:
        """Whether an IP address is of a family in which we listen."""
        return any((":" in uri.host) == (":" in host) for uri in self.listens or (self.server_address,))

    def checked(self) -> BusSettings:
        """The same with a ping interval that Kamailio bears. ValueError for a server address that is a name:
        what the other nodes are told must mean one node."""
        if self.server_address.endpoint is None:
            raise ValueError(f"the server address must be an IP address, not {self.server_address}")
        if self.ping_interval >= MIN_PING_INTERVAL:
            return self
        log.warning("ping_interval %g s is raised to %g s", self.ping_interval, MIN_PING_INTERVAL)
        return replace(self, ping_interval=MIN_PING_INTERVAL)
