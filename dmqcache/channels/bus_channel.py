"""One DMQ channel whose messages clients get, and on which they send.

A message that comes, from ``dmq_send_message()`` of a Kamailio's script or a peer of any node, is given to
the subscribers of ``dmq:NAME`` as one JSON object: the node that sent it, the content type, the body.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec

from dmqcache.bus.peer import Message, Peer, Reply
from dmqcache.channels.naming import PREFIX


class BusChannel(Peer):
    """A channel of the bus by its name."""

    def __init__(self, name: str, content_type: str, deliver: Callable[[str, str], int]) -> None:
        """``content_type``: what is sent has it, unless the sender says otherwise. ``deliver`` hands a
        message to the clients of this node and returns to how many."""
        super().__init__(name)
        self.content_type = content_type
        self._deliver = deliver

    def handle(self, message: Message) -> Reply:
        """200: at least one client of this node got it. 202: there was none."""
        if message.node is None:
            return Reply(403, "Not A Node")
        count = self.tell(str(message.sender), message.content_type, message.body)
        return Reply(200 if count else 202)

    def tell(self, node: str, content_type: str, body: bytes) -> int:
        """Give a message to the clients of this node; returns to how many."""
        return self._deliver(PREFIX + self.channel, told(node, content_type, body))


def told(node: str, content_type: str, body: bytes) -> str:
    """What a subscriber gets. A body that is no UTF-8 stands there as ``body_base64``."""
    about = {"node": node, "content_type": content_type}
    try:
        about["body"] = body.decode()
    except UnicodeDecodeError:
        about["body_base64"] = base64.b64encode(body).decode()
    # A content type from the wire may hold any bytes.
    about = {name: value.encode("utf-8", "replace").decode() for name, value in about.items()}
    return msgspec.json.encode(about).decode()
