"""Answers that come when a request of ours is over: a copy of it was handled only now.

A node may handle what lay in a queue there long after a later copy was answered, or after we had given the
request up and told it something else. Whoever must know that is told here. Owns which requests may still be
answered so; that an answer came, ``transaction.py`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.timers import TIMEOUT
from dmqcache.bus.trust.signature import Signature

#: Called for each answer that comes late.
OnLate = Callable[[], None]

#: Seconds in which an answer may still come: as long as RFC 3261's timer F lets a request wait for its own.
KEPT_S: Final = TIMEOUT
#: Requests that are remembered at once.
MAX_KEPT: Final = 10_000


class Over(NamedTuple):
    """A request that is over, of which copies may not have been handled yet."""

    endpoint: Endpoint
    seal: Signature | None
    on_late: OnLate
    #: Monotonic seconds.
    until: float


class LateAnswers:
    """The requests that are over and may still be answered, by branch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: Bounded[str, Over] = Bounded(MAX_KEPT)

    def __len__(self) -> int:
        return len(self._kept)

    def expect(self, branch: str, endpoint: Endpoint, seal: Signature | None, on_late: OnLate) -> None:
        """A request is over, and more copies of it were sent than answers came."""
        now = self._now()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._kept.drop_oldest()
        self._kept[branch] = Over(endpoint, seal, on_late, now + KEPT_S)

    def find(self, branch: str) -> Over | None:
        """The request of a branch, if its answer may still come."""
        over = self._kept.get(branch)
        return over if over is not None and over.until > self._now() else None
