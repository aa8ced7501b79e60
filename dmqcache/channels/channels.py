"""What the clients of a node publish and send, put together: plain channels over all dmqcache nodes, and the
channels of the bus under ``dmq:NAME``.

Who subscribes, the server for clients knows: see :meth:`Channels.deliver_to`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from dmqcache.bus.node import Node
from dmqcache.bus.peer import OnResponse, Peer, PeerBus, Response, Sending
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels.bus_channel import BusChannel
from dmqcache.channels.naming import PREFIX, TEXT, checked_name, checked_type
from dmqcache.channels.pubsub_peer import MAX_MESSAGE_BYTES

#: Channels of the bus that one node has for its clients.
MAX_CHANNELS: Final = 64
#: Bytes of clients' messages that nodes have not answered yet, and what one needs beside its body, about.
MAX_UNANSWERED_BYTES: Final = 16 << 20
OVERHEAD_BYTES: Final = 2_000


class ChannelBus(PeerBus, Protocol):
    """The bus, as far as channels need it."""

    @property
    def local(self) -> Node:
        """This node."""

    def register_peer(self, peer: Peer) -> None:
        """Let it handle its channel. ValueError if that is taken."""

    def active_nodes(self) -> Sequence[Node]:
        """Every other node that answers."""

    def list_nodes(self) -> Sequence[Node]:
        """Every node that is known."""


class Channels:
    """The channels of one node."""

    def __init__(
        self, bus: ChannelBus, tell: Callable[[str, str], None] = lambda channel, body: None
    ) -> None:
        """``tell`` tells the other dmqcache nodes what was published."""
        self._bus = bus
        self._tell = tell
        self._declared: dict[str, BusChannel] = {}
        self._unanswered = 0
        self._deliver: Callable[[str, str], int] = lambda channel, body: 0

    def deliver_to(self, deliver: Callable[[str, str], int]) -> None:
        """From now on ``deliver`` hands each message to the clients of this node that subscribe to its
        channel; it returns to how many. Until then there are none."""
        self._deliver = deliver

    def deliver(self, channel: str, body: str) -> int:
        """Hand a message to the clients of this node; returns to how many."""
        return self._deliver(channel, body)

    @property
    def declared(self) -> Mapping[str, str]:
        """The channels of the bus by name, with their content types."""
        return {name: channel.content_type for name, channel in self._declared.items()}

    @property
    def longest(self) -> int:
        """Bytes that a message and its channel may have together."""
        return MAX_MESSAGE_BYTES[self._bus.local.uri.transport]

    def declare(self, name: str, content_type: str = TEXT) -> None:
        """From now on clients have this channel of the bus. Of one that is there the content type is
        changed. ValueError for what is no name, a channel that has another use, and one too many."""
        try:
            name, content_type = checked_name(name), checked_type(content_type)
        except ValueError as problem:
            shown = repr(f"{name[:64]}={content_type[:64]}")
            raise ValueError(f"{shown} {problem}") from None
        known = self._declared.get(name)
        if known is not None:
            known.content_type = content_type
            return
        if len(self._declared) >= MAX_CHANNELS:
            raise ValueError(f"a node has at most {MAX_CHANNELS} channels for its clients")
        channel = BusChannel(name, content_type, self.deliver)
        self._bus.register_peer(channel)
        self._declared[name] = channel

    def publish(self, channel: str, body: str) -> int:
        """Give a message to all subscribers, on all nodes; returns how many of this node got it.
        ``dmq:NAME``: to every node of the bus. ValueError for one that is too long, or a channel of the bus
        that was not declared."""
        data = body.encode("utf-8", "surrogateescape")
        self._check(len(channel) + len(data))
        if not channel.startswith(PREFIX):
            count = self.deliver(channel, body)
            self._tell(channel, body)
            return count
        of = self._channel(channel.removeprefix(PREFIX))
        nodes = self._bus.active_nodes()
        self._check_unanswered(len(data), len(nodes))
        for node in nodes:
            self._post(of, node.uri, data, of.content_type)
        return of.tell(str(self._bus.local.uri), of.content_type, data)

    def send(self, name: str, node: NodeURI, body: str, content_type: str, answered: OnResponse) -> Sending:
        """Send a message to one node of the list. ``content_type`` empty: the channel's. ValueError as for
        :meth:`publish`, and for a node that nobody knows."""
        of = self._channel(name)
        if not any(one.uri == node or node in one.names for one in self._bus.list_nodes() if not one.local):
            raise ValueError(f"{node} is no other node of the bus: DMQ.NODES lists them")
        data = body.encode("utf-8", "surrogateescape")
        self._check(len(data))
        wanted = checked_type(content_type) if content_type else of.content_type
        self._check_unanswered(len(data))
        return self._post(of, node, data, wanted, answered)

    def _post(
        self, of: BusChannel, node: NodeURI, data: bytes, content_type: str, then: OnResponse | None = None
    ) -> Sending:
        size = len(data) + OVERHEAD_BYTES
        self._unanswered += size

        def answered(response: Response) -> None:
            self._unanswered -= size
            if then is not None:
                then(response)

        return self._bus.send_message(of, data, node, content_type=content_type, on_response=answered)

    def receivers(self, name: str) -> list[NodeURI]:
        """Those to whom a message for all would go now. ValueError where there is no such channel."""
        self._channel(name)
        return [node.uri for node in self._bus.active_nodes()]

    def _channel(self, name: str) -> BusChannel:
        found = self._declared.get(name)
        if found is None:
            raise ValueError(f"no channel {name[:64]!r}: --channel {name[:64]} or DMQ.CHANNEL declares one")
        return found

    def _check_unanswered(self, size: int, messages: int = 1) -> None:
        if self._unanswered + messages * (size + OVERHEAD_BYTES) > MAX_UNANSWERED_BYTES:
            raise ValueError("too many messages are not answered yet: wait for the nodes that got them")

    def _check(self, size: int) -> None:
        if size > self.longest:
            raise ValueError(f"a message has at most {self.longest} bytes here, with its channel")
