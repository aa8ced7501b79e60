"""What the sans-I/O core is given from outside: time, chance, timers, addresses, somebody to run coroutines.

Nothing under ``dmqcache.bus`` (but the transports) or ``dmqcache.store`` imports asyncio, socket, time or
random. It is handed a :class:`Runtime` instead: the real one is ``dmqcache.bus.net.aio``, the tests' one runs
on virtual time, so that a cluster of fifty nodes lives through an hour of bad network in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from dmqcache.bus.sip.uri import Endpoint, NodeURI


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Forget the call. Cancelling twice, or after the call was made, does nothing."""


class Running(Protocol):
    """A coroutine that was spawned."""

    def cancel(self) -> object:
        """Let it end soon, by an exception where it waits. It may catch that and go on."""


class Runtime(Protocol):
    """The outside world of one node."""

    def now(self) -> float:
        """Monotonic time in seconds: for timers, round trips and ages. Never jumps."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds: for versions and expiry. May jump either way."""

    def random(self) -> float:
        """A number from 0 up to 1."""

    def token(self) -> str:
        """Sixteen hexadecimal digits that nobody can guess: branches, tags, Call-IDs."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` after ``delay`` seconds (0: on the next turn), never from inside this call."""

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Running:
        """Run a coroutine to its end beside everything else. It reports its own failures."""


#: Called with the endpoints of a name, best first.
Resolved = Callable[[list[Endpoint]], None]


class Resolver(Protocol):
    """Where the names of nodes lead."""

    def resolve(self, uri: NodeURI, callback: Resolved) -> None:
        """Call ``callback`` once, on a later turn, with the endpoints of ``uri``, best first.

        Never blocks and never raises. An empty list: the name does not resolve, or not in time.
        """
