"""How long an endpoint that could not be reached is left in peace. Time comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.sip.uri import Endpoint

#: Seconds after the first failure, doubled by each further one, and their bound.
FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0
#: Endpoints remembered; the one that failed longest ago is forgotten first.
MAX_ENDPOINTS = 4096


@dataclass(slots=True)
class _Rest:
    until: float
    seconds: float
    reason: str


class Backoff:
    """What is known of endpoints that failed."""

    def __init__(self) -> None:
        self._rests: Bounded[Endpoint, _Rest] = Bounded(MAX_ENDPOINTS)

    def blocks(self, endpoint: Endpoint, now: float) -> str:
        """Why ``endpoint`` must not be tried at ``now``, or an empty text when it may."""
        rest = self._rests.get(endpoint)
        return rest.reason if rest is not None and now < rest.until else ""

    def reason(self, endpoint: Endpoint) -> str:
        """Why the last attempt was in vain; an empty text where it was not, or there was none."""
        rest = self._rests.get(endpoint)
        return rest.reason if rest is not None else ""

    def failed(self, endpoint: Endpoint, reason: str, now: float) -> None:
        """Another attempt was in vain: the next rest is twice as long."""
        before = self._rests.get(endpoint)
        seconds = FIRST_SECONDS if before is None else min(2 * before.seconds, LONGEST_SECONDS)
        self._rests[endpoint] = _Rest(now + seconds, seconds, reason)

    def forget(self, endpoint: Endpoint) -> None:
        """It works again."""
        self._rests.pop(endpoint, None)

    def forget_host(self, host: str) -> None:
        """Somebody on ``host`` called: whoever failed there may be back."""
        for endpoint in [endpoint for endpoint in self._rests if endpoint.host == host]:
            del self._rests[endpoint]
