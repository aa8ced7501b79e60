"""Who waits for acknowledgements: until so many nodes have all that was written here up to some change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dmqcache.bus.runtime import Runtime, Timer
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.outbox.outbox import Outbox


@dataclass(slots=True, eq=False)
class _Waiter:
    number: int
    #: How many nodes must have it; None: all that are active.
    nodes: int | None
    then: Callable[[int], None]
    timer: Timer | None = None


class Waiters:
    """The waiters of one store."""

    def __init__(
        self, runtime: Runtime, outboxes: Mapping[NodeURI, Outbox], latest: Callable[[], int]
    ) -> None:
        """``latest``: the number of the latest local change."""
        self._runtime = runtime
        self._outboxes = outboxes
        self._latest = latest
        self._waiting: list[_Waiter] = []

    def wait(
        self, nodes: int | None, timeout: float | None, then: Callable[[int], None]
    ) -> Callable[[], object]:
        """Call ``then`` once with the number of nodes that have acknowledged everything written here until
        now: as soon as they are ``nodes`` (None: all active ones), or after ``timeout`` seconds. Returns what
        to call when nobody waits any more."""
        waiter = _Waiter(self._latest(), nodes, then)
        self._waiting.append(waiter)
        if timeout is not None:
            waiter.timer = self._runtime.call_later(timeout, lambda: self._finish(waiter))
        self.check()
        return lambda: self._forget(waiter)

    def acknowledged(self, number: int) -> int:
        """How many nodes have acknowledged all changes up to ``number``."""
        return sum(outbox.acknowledged(number) for outbox in self._outboxes.values())

    def check(self) -> None:
        """Something was acknowledged, or a node came or went."""
        if not self._waiting:
            return
        active = sum(outbox.counts for outbox in self._outboxes.values())
        for waiter in list(self._waiting):
            wanted = active if waiter.nodes is None else waiter.nodes
            if self.acknowledged(waiter.number) >= wanted:
                self._finish(waiter)

    def stop(self) -> None:
        """Nobody will acknowledge anything any more: tell all who wait how far it came."""
        for waiter in list(self._waiting):
            self._finish(waiter)

    def _finish(self, waiter: _Waiter) -> None:
        if self._forget(waiter):
            waiter.then(self.acknowledged(waiter.number))

    def _forget(self, waiter: _Waiter) -> bool:
        if waiter not in self._waiting:
            return False
        self._waiting.remove(waiter)
        if waiter.timer is not None:
            waiter.timer.cancel()
        return True
