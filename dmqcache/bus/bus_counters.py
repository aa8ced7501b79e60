"""Plain numbers that the bus keeps about itself. ``dmqcache.metrics`` decides how they are exported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

#: Names of channels that nobody serves here, counted one by one; the rest together, as "other".
MAX_UNKNOWN_CHANNELS = 20
#: Characters of such a name.
MAX_CHANNEL_NAME = 64


@dataclass(slots=True)
class BusCounters:
    """Everything only ever grows."""

    #: (channel, "in" or "out", "request" or the status code as text) -> messages
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: reason -> datagrams or messages that were dropped without an answer, or refused with one
    drops: Counter[str] = field(default_factory=Counter)
    #: Channels that are served elsewhere, as an operator says.
    known_channels: frozenset[str] = frozenset()
    #: channel -> requests on a channel that nobody serves here, answered 404; see :meth:`unknown_channel`
    unknown_channels: Counter[str] = field(default_factory=Counter)
    #: Unix seconds when our certificate expires; None without TLS.
    certificate_expires: float | None = None
    #: The same of the certificate that the servers for clients and HTTP show.
    served_certificate_expires: float | None = None
    #: "in" (absorbed) or "out" (sent again) -> messages
    retransmissions: Counter[str] = field(default_factory=Counter)
    #: channel -> requests of ours that nobody answered
    timeouts: Counter[str] = field(default_factory=Counter)
    #: channel -> exceptions out of a handler or a callback
    handler_errors: Counter[str] = field(default_factory=Counter)
    #: "in", "out" or "lost" -> messages of clients' PUBLISH between dmqcache nodes
    published: Counter[str] = field(default_factory=Counter)
    #: auth, command, key, channel, table, or stranger -> what clients were refused, and who by protected mode
    refused_clients: Counter[str] = field(default_factory=Counter)
    #: "in" or "out" -> bytes of SIP
    bytes: Counter[str] = field(default_factory=Counter)

    def serve_channel(self, channel: str) -> None:
        """A peer serves ``channel`` from now on: its counters begin at 0, so that the first error shows."""
        self.timeouts[channel] += 0
        self.handler_errors[channel] += 0

    def unknown_channel(self, channel: str, from_node: bool) -> None:
        """A request on a channel that nobody serves here. Only nodes name a new one, and only a few: on the
        wire anybody may invent names."""
        if channel in self.known_channels:
            return
        self.drops["unknown_channel"] += 1
        counted = self.unknown_channels
        name = channel[:MAX_CHANNEL_NAME]
        if name not in counted and not (from_node and len(counted) < MAX_UNKNOWN_CHANNELS):
            name = "other"
        counted[name] += 1
