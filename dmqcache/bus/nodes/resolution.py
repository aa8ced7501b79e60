"""Where a node's URI leads: at once for an IP address, after the resolver's answer for a name.

Keeps no list of its own: the resolver caches, and who wants a fresh answer asks again.
"""

from __future__ import annotations

from dmqcache.bus.admission import Admission
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.runtime import Resolved, Resolver
from dmqcache.bus.sip.uri import Endpoint, NodeURI


class Addresses:
    """The resolver, with a short cut for IP addresses; who may not be a node is never found."""

    def __init__(self, resolver: Resolver, admission: Admission, counters: BusCounters) -> None:
        self._resolver = resolver
        self._admission = admission
        self._counters = counters

    def find(self, uri: NodeURI, found: Resolved) -> None:
        """Call ``found`` with the endpoints of ``uri``: from inside this call for an IP address, later for
        a name. An empty list: it does not resolve now, or to nobody who may be a node."""
        literal = uri.endpoint
        if literal is not None:
            found(self._admitted([literal]))
            return
        self._resolver.resolve(uri, lambda endpoints: found(self._admitted(endpoints)))

    def _admitted(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        admitted = [endpoint for endpoint in endpoints if self._admission.allows(endpoint.host)]
        if len(admitted) < len(endpoints):
            self._counters.drops["node_not_allowed"] += len(endpoints) - len(admitted)
        return admitted


def node_uri(endpoint: Endpoint) -> NodeURI:
    """The canonical URI of the node that listens at an endpoint."""
    return NodeURI(endpoint.host, endpoint.port, endpoint.transport)
