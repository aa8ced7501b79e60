"""Plain numbers that the bus keeps about itself. ``dmqcache.metrics`` decides how they are exported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class BusCounters:
    """Everything only ever grows."""

    #: (channel, "in" or "out", "request" or the status code as text) -> messages
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: reason -> datagrams or messages that were dropped without an answer, or refused with one
    drops: Counter[str] = field(default_factory=Counter)
    #: "in" (absorbed) or "out" (sent again) -> messages
    retransmissions: Counter[str] = field(default_factory=Counter)
    #: channel -> requests of ours that nobody answered
    timeouts: Counter[str] = field(default_factory=Counter)
    #: channel -> exceptions out of a handler or a callback
    handler_errors: Counter[str] = field(default_factory=Counter)
    #: "in" or "out" -> bytes of SIP
    bytes: Counter[str] = field(default_factory=Counter)
