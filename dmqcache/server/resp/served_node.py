"""What Redis clients need of a node beside its tables and figures: its channels, and waiting for others.

Owns no state. What all servers need of a node is ``metrics/node_view.py``'s; how a node does it,
``cache_node.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from dmqcache.metrics.node_view import NodeView


class ServedChannels(Protocol):
    """What clients need of a node's channels."""

    def deliver_to(self, deliver: Callable[[str, str], int]) -> None:
        """From now on ``deliver`` hands each message to the clients that subscribe to its channel; it returns
        to how many."""

    @property
    def declared(self) -> Mapping[str, str]:
        """Channels of the bus by name, with their content types."""

    def declare(self, name: str, content_type: str = ...) -> None:
        """From now on clients have this channel of the bus. ValueError."""

    def publish(self, channel: str, body: str) -> int:
        """Give a message to the subscribers on all nodes; returns how many of this node got it.
        ValueError."""

    async def ask(self, name: str, node: str, body: str, content_type: str = ...) -> int:
        """Send a message to one node; returns the SIP status of its answer. ValueError."""

    async def ask_all(self, name: str, body: str, content_type: str = ...) -> list[tuple[str, int]]:
        """Send a message to every active node; each with the status of its answer. ValueError."""


class ServedNode(NodeView, Protocol):
    """What clients need of a node beside its tables and figures."""

    @property
    def channels(self) -> ServedChannels: ...

    async def wait_replicated(self, nodes: int | None, timeout: float | None) -> int:
        """Wait until ``nodes`` active nodes (None: all) have acknowledged every write made here so far, or
        ``timeout`` seconds (None: for ever). Returns how many have."""

    async def wait_on_disk(self, timeout: float | None) -> bool:
        """Wait until every write made here so far is on this node's disk; False: it is not, or not within
        ``timeout`` seconds."""

    def acknowledged(self) -> int:
        """How many active nodes have acknowledged every write made here so far."""

    def congested(self) -> bool:
        """True while so much waits to be sent to other nodes that clients should be read more slowly."""
