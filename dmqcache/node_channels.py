"""A node's channels on an event loop: messages whose answers somebody waits for.

What channels are, and who gets what, is ``channels/``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from dmqcache.bus.bus import Bus
from dmqcache.bus.peer import Response
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels.channels import Channels
from dmqcache.channels.pubsub_peer import PubSubPeer


class NodeChannels(Channels):
    """The channels of a node that runs."""

    async def ask(self, name: str, node: str, body: str, content_type: str = "") -> int:
        """Send a message to one node and wait for its answer: the SIP status, 408 or 503 where there was
        none. ValueError as for :meth:`send`."""
        return await self._sent(name, NodeURI.parse(node), body, content_type)

    async def ask_all(self, name: str, body: str, content_type: str = "") -> list[tuple[str, int]]:
        """Send a message to every other node that answers: each with the status of its answer."""
        nodes = self.receivers(name)
        codes = await asyncio.gather(*(self._sent(name, node, body, content_type) for node in nodes))
        return list(zip(map(str, nodes), codes, strict=True))

    async def _sent(self, name: str, node: NodeURI, body: str, content_type: str) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answered(response: Response) -> None:
            if not answer.done():
                answer.set_result(response.status)

        self.send(name, node, body, content_type, answered)
        return await answer


def open_channels(
    bus: Bus, runtime: Runtime, declared: Iterable[tuple[str, str]], has_clients: bool
) -> NodeChannels:
    """The channels of a node. Only one that serves clients is told what those of other nodes publish.
    ValueError names the channel that is not to be had."""
    peer = PubSubPeer(runtime, lambda channel, body: channels.deliver(channel, body), bus.counters.published)
    channels = NodeChannels(bus, peer.tell)
    if has_clients:
        bus.register_peer(peer)
    for name, content_type in declared:
        try:
            channels.declare(name, content_type)
        except ValueError as problem:
            raise ValueError(f"channel {name}: {problem}") from None
    return channels
