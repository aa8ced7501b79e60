"""Where a node's URI leads: at once for an IP address, after the resolver's answer for a name.

Keeps no list of its own: the resolver caches, and who wants a fresh answer asks again.
"""

from __future__ import annotations

from dmqcache.bus.runtime import Resolved, Resolver
from dmqcache.bus.sip.uri import Endpoint, NodeURI


class Addresses:
    """The resolver, with a short cut for IP addresses."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def find(self, uri: NodeURI, found: Resolved) -> None:
        """Call ``found`` with the endpoints of ``uri``: from inside this call for an IP address, later for
        a name. An empty list: it does not resolve now."""
        literal = uri.endpoint
        if literal is not None:
            found([literal])
            return
        self._resolver.resolve(uri, found)


def node_uri(endpoint: Endpoint) -> NodeURI:
    """The canonical URI of the node that listens at an endpoint."""
    return NodeURI(endpoint.host, endpoint.port, endpoint.transport)
