"""Where a node's URI leads: at once for an IP address, after the resolver's answer for a name.

Addresses that nobody may use, or of an IP version in which this node does not listen, are left out.

Keeps no list of its own: the resolver caches, and who wants a fresh answer asks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dmqcache.bus.admission import Admission
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.runtime import Resolved, Resolver
from dmqcache.bus.sip.uri import Endpoint, NodeURI

log = logging.getLogger(__name__)

#: Hosts of which it is said that an address of theirs is left out: strangers may name hosts without end, and
#: those that an operator names come first.
MAX_SAID = 64


class Addresses:
    """The resolver, with a short cut for IP addresses; who may not be a node is never found."""

    def __init__(
        self,
        resolver: Resolver,
        admission: Admission,
        counters: BusCounters,
        serves: Callable[[str], bool] = lambda host: True,
    ) -> None:
        """``serves``: whether an IP address is of a family in which we listen."""
        self._serves = serves
        #: Hosts of which was said that an address is left out.
        self._said: set[str] = set()
        self._resolver = resolver
        self._admission = admission
        self._counters = counters

    def find(self, uri: NodeURI, found: Resolved) -> None:
        """Call ``found`` with the endpoints of ``uri``: from inside this call for an IP address, later for
        a name. An empty list: it does not resolve now, or to nobody who may be a node."""
        literal = uri.endpoint
        if literal is not None:
            found(self._admitted(uri, [literal]))
            return
        self._resolver.resolve(uri, lambda endpoints: found(self._admitted(uri, endpoints)))

    def _admitted(self, uri: NodeURI, endpoints: list[Endpoint]) -> list[Endpoint]:
        served = [endpoint for endpoint in endpoints if self._serves(endpoint.host)]
        if len(served) < len(endpoints) and uri.host not in self._said and len(self._said) < MAX_SAID:
            self._said.add(uri.host)
            skipped = ", ".join(endpoint.host for endpoint in endpoints if endpoint not in served)
            log.info("%s: %s is left out, as this node does not listen in that IP version", uri, skipped)
        endpoints = served
        admitted = [endpoint for endpoint in endpoints if self._admission.allows(endpoint.host)]
        if len(admitted) < len(endpoints):
            self._counters.drops["node_not_allowed"] += len(endpoints) - len(admitted)
        return admitted


def node_uri(endpoint: Endpoint) -> NodeURI:
    """The canonical URI of the node that listens at an endpoint."""
    return NodeURI(endpoint.host, endpoint.port, endpoint.transport)
