"""The peer that tells other dmqcache nodes what clients publish here, and this node what they publish there.

Only nodes that serve clients have it: they show it by an option tag, and no other node, least of all a
Kamailio, is told anything. Nothing that comes is told on: each node tells all others itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Final

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Message, OnResponse, Peer, Reply, Sending
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels.courier import Courier, decode

#: Nodes with subscribers know each other by it.
TAG: Final = "dmqcache-pubsub"
CONTENT_TYPE: Final = "application/msgpack"
#: Seconds after which a batch that nobody answers is given up.
TIMEOUT_S: Final = 4.0
#: Bytes of one message with its channel: what a UDP datagram takes; over TCP, what a node reads.
MAX_MESSAGE_BYTES: Final = {"udp": 60_000, "tcp": 2_000_000, "tls": 2_000_000}


class PubSubPeer(Peer):
    """Between this node's clients and those of other nodes."""

    option_tags: ClassVar[tuple[str, ...]] = (TAG,)

    def __init__(self, runtime: Runtime, deliver: Callable[[str, str], int], counts: Counter[str]) -> None:
        """``deliver`` hands a message to the clients of this node. ``counts``: ``in``, ``out``, ``lost``."""
        super().__init__("dmqcache_pubsub")
        self.key_holders_only = True
        self._runtime = runtime
        self._deliver = deliver
        self._counts = counts
        self._nodes: dict[NodeURI, Node] = {}
        self._couriers: dict[NodeURI, Courier] = {}
        self._pumping = False

    def tell(self, channel: str, body: str) -> None:
        """Tell all other nodes, from the next turn on."""
        receivers = [uri for uri, node in self._nodes.items() if TAG in node.supported]
        if not receivers:
            return
        message = _bytes(channel), _bytes(body)
        for uri in receivers:
            courier = self._couriers.get(uri)
            if courier is None:
                courier = self._couriers[uri] = Courier(self._sender(uri), self._counts)
            courier.add(message)
        if not self._pumping:
            self._pumping = True
            self._runtime.call_later(0, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        for courier in list(self._couriers.values()):
            courier.pump()

    def _sender(self, uri: NodeURI) -> Callable[[bytes, OnResponse], Sending]:
        def send(body: bytes, answered: OnResponse) -> Sending:
            assert self.bus is not None
            return self.bus.send_message(
                self,
                body,
                uri,
                content_type=CONTENT_TYPE,
                on_response=answered,
                timeout=TIMEOUT_S,
                fast=True,
            )

        return send

    def handle(self, message: Message) -> Reply:
        """What clients of another node have published."""
        if message.node is None or TAG not in message.supported:
            return Reply(403, "Not A Node")
        try:
            messages = decode(message.body)
        except ValueError:
            return Reply(400, "Not Understood")
        self._counts["in"] += len(messages)
        for channel, body in messages:
            self._deliver(_text(channel), _text(body))
        return Reply(200)

    def on_node_up(self, node: Node) -> None:
        self._nodes[node.uri] = node

    def on_node_down(self, node: Node) -> None:
        self._nodes.pop(node.uri, None)
        courier = self._couriers.pop(node.uri, None)
        if courier is not None:
            courier.close()

    def on_node_left(self, node: Node) -> None:
        self.on_node_down(node)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
