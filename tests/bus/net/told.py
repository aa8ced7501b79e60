"""What a transport of the tests tells: the messages that came, and the endpoints that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net.failure import Failures
from dmqcache.bus.sip.uri import Endpoint


class Told:
    """One transport's, on the running loop."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Endpoint]] = []
        self.failed: list[tuple[Endpoint, str]] = []
        self.counters = BusCounters()
        self.on_message: Callable[[bytes, Endpoint], None] = lambda data, source: None
        self.loop = asyncio.get_running_loop()
        self.failures = Failures(self.loop, lambda endpoint, reason: self.failed.append((endpoint, reason)))

    def receive(self, data: bytes, source: Endpoint) -> None:
        self.received.append((data, source))
        self.on_message(data, source)

    @property
    def bodies(self) -> list[bytes]:
        return [data for data, _ in self.received]
