"""Joining the bus through the notification addresses, and coming back to them as long as one is missing.

Owns when a notification address is resolved and called. It is resolved anew each time, so that nodes behind a
name may come and go; an address that a name no longer leads to loses its privilege of never being removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from dmqcache.bus.node import Node
from dmqcache.bus.nodes.budget import Budget
from dmqcache.bus.nodes.membership import Membership
from dmqcache.bus.nodes.resolution import Addresses, node_uri
from dmqcache.bus.runtime import Runtime, Timer
from dmqcache.bus.sip.uri import Endpoint, NodeURI

#: Seconds until the second call; every second pause is twice as long, up to ``ping_interval``.
FIRST_PAUSE = 0.5
#: Seconds: shortest and longest wait for one call's answer.
MIN_TIMEOUT = 0.5
MAX_TIMEOUT = 32.0
#: Questions of the budget that are left to those who watch nodes that were there already.
RESERVE = 4
#: How far a pause is stretched at random, so that nodes started together do not stay in step.
JITTER = 0.2


@dataclass(slots=True, eq=False)
class _Seed:
    uri: NodeURI
    nodes: list[Node] = field(default_factory=list)
    attempts: int = 0
    timer: Timer | None = None


class Joiner:
    """The notification addresses of one node."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        call: Callable[[Node, float], None],
        addresses: Addresses,
        budget: Budget,
        seeds: Sequence[NodeURI],
        ping_interval: float,
    ) -> None:
        """``call`` asks a node that is missing, within so many seconds. ``seeds``: the notification
        addresses; one that is this very node is left alone."""
        self._runtime = runtime
        self._membership = membership
        self._call_node = call
        self._addresses = addresses
        self._budget = budget
        self._ping_interval = ping_interval
        self._seeds = [_Seed(uri) for uri in dict.fromkeys(seeds)]
        self._stopped = False

    def start(self) -> None:
        """Call all notification addresses."""
        for seed in self._seeds:
            self._call(seed)

    def stop(self) -> None:
        """Call nobody any more."""
        self._stopped = True
        for seed in self._seeds:
            if seed.timer is not None:
                seed.timer.cancel()

    def lost(self, node: Node) -> None:
        """``node`` stopped being active: if it is a notification address, it is called soon."""
        for seed in self._seeds:
            if node in seed.nodes:
                seed.attempts = 0
                self._again(seed, FIRST_PAUSE)

    def _call(self, seed: _Seed) -> None:
        seed.timer = None
        if not self._stopped:
            self._addresses.find(seed.uri, partial(self._found, seed))

    def _found(self, seed: _Seed, endpoints: list[Endpoint]) -> None:
        if self._stopped:
            return
        if endpoints:
            self._point(seed, endpoints)
        missing = [node for node in seed.nodes if not node.active]
        pause = min(FIRST_PAUSE * 2 ** min(seed.attempts // 2, 30), self._ping_interval)
        if endpoints and not missing:
            seed.attempts = 0
            pause = self._ping_interval
        else:
            seed.attempts += 1
        for node in missing:
            # Sent once: the next call is its repetition. Without room for it the watch asks in its turn.
            if self._budget.take(leave=RESERVE):
                timeout = min(max(pause, MIN_TIMEOUT), MAX_TIMEOUT)
                self._call_node(node, timeout)
        self._again(seed, pause)

    def _point(self, seed: _Seed, endpoints: list[Endpoint]) -> None:
        """The address leads to these nodes now."""
        nodes: list[Node] = []
        for endpoint in endpoints:
            node = self._membership.meet(node_uri(endpoint), seed=True)
            if node is None:
                self._membership.add_own(seed.uri)
            elif node not in nodes:
                nodes.append(node)
        if nodes and not self._membership.is_own(seed.uri):
            self._membership.nodes.name(nodes[0], seed.uri)
        before, seed.nodes = seed.nodes, nodes
        for node in before:
            node.seed = any(node in other.nodes for other in self._seeds)

    def _again(self, seed: _Seed, pause: float) -> None:
        if seed.timer is not None:
            seed.timer.cancel()
        stretched = pause * (1 + JITTER * self._runtime.random())
        seed.timer = self._runtime.call_later(stretched, partial(self._call, seed))
