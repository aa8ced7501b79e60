"""What strangers are sent: no more bytes than they sent.

The source of a datagram can be forged, and then its owner gets what we answer. So over UDP a host that has
not shown that it is there (``known``) gets, in any :data:`WINDOW` seconds, at most as many bytes as came from
it: nobody can send through this node more than he could have sent himself. Owns the account. What does not
fit is written shorter. An answer that does not fit then is kept for a moment, and sent if the host shows that
it is there; else it is dropped, counted as ``unpaid``, and whoever really is there asks again. Requests to
hosts that nobody calls from are our own decision, and pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.serialize import compact
from dmqcache.bus.sip.uri import Endpoint

#: Seconds after which what a host has sent counts no more.
WINDOW: Final = 10.0
#: Hosts with an account. One that falls out begins again with nothing.
MAX_HOSTS: Final = 4096
#: Answers that wait for their host to show that it is there, and the seconds that they wait.
MAX_KEPT: Final = 256
KEPT_SECONDS: Final = 2.0
#: How a reply begins.
REPLY: Final = b"SIP/"


class Repayment:
    """The accounts of one node."""

    def __init__(
        self,
        runtime: Runtime,
        known: Callable[[str], bool | None],
        counters: BusCounters,
        send: Callable[[bytes, Endpoint], None],
    ) -> None:
        """``known``: whether a host has shown that it is there; False: it is asked; None: nobody asks it."""
        self._now = runtime.now
        self._later = runtime.call_later
        self._armed = False
        self._known = known
        self._counters = counters
        self._send = send
        #: Host -> (bytes that it may still get, monotonic seconds when they began to count).
        self._accounts: Bounded[str, tuple[int, float]] = Bounded(MAX_HOSTS)
        #: What waits -> monotonic seconds since when.
        self._kept: Bounded[tuple[Endpoint, bytes], float] = Bounded(MAX_KEPT, self._dropped)

    def came(self, size: int, source: Endpoint) -> None:
        """So many bytes came from a host."""
        if source.transport == "udp" and not self._known(source.host):
            self._accounts[source.host] = (self._left(source.host) + size, self._begin(source.host))

    def fits(self, size: int, endpoint: Endpoint) -> bool:
        """Whether a reply of this size may be sent."""
        if endpoint.transport != "udp" or self._known(endpoint.host):
            return True
        return size <= self._left(endpoint.host)

    def send(self, data: bytes, endpoint: Endpoint) -> None:
        """Send a message as soon as it may be, or never."""
        known = True if endpoint.transport != "udp" else self._known(endpoint.host)
        is_reply = data.startswith(REPLY)
        if known or (known is None and not is_reply):
            self._send(data, endpoint)
        elif not is_reply:
            if not self._pay(data, endpoint):
                self._counters.drops["unpaid"] += 1
        elif known is False or not self._pay(data, endpoint):
            # Who is asked, or about to be, gets the question first: his answer to it frees ours.
            self._kept[endpoint, data] = self._now()
            self._arm()

    def settle(self) -> None:
        """Something has arrived: perhaps it has shown that a host is there, or that nobody asks it."""
        for (endpoint, data), since in tuple(self._kept.items()) if self._kept else ():
            known, late = self._known(endpoint.host), self._now() - since >= KEPT_SECONDS
            if known:
                self._send(data, endpoint)
            elif known is False and not late:
                continue
            elif not self._pay(data, endpoint):
                if not late:
                    continue
                self._dropped((endpoint, data), since)
            del self._kept[endpoint, data]

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._later(KEPT_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._armed = False
        self.settle()
        if self._kept:
            self._arm()

    def _pay(self, data: bytes, endpoint: Endpoint) -> bool:
        """Send it, if the host has sent enough."""
        host = endpoint.host
        left = self._left(host)
        if len(data) > left:
            data = compact(data)
        if len(data) > left:
            return False
        self._accounts[host] = (left - len(data), self._begin(host))
        self._send(data, endpoint)
        return True

    def _left(self, host: str) -> int:
        left, since = self._accounts.get(host, (0, 0.0))
        return left if self._now() - since <= WINDOW else 0

    def _begin(self, host: str) -> float:
        """When the window began in which a host's bytes count."""
        now = self._now()
        _, since = self._accounts.get(host, (0, now))
        return since if now - since <= WINDOW else now

    def _dropped(self, kept: tuple[Endpoint, bytes], since: float) -> None:
        self._counters.drops["unpaid"] += 1
