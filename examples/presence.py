"""A peer of one's own in one file: who is there, told by each node of its own users, known on all.

Load it into a node; nothing has to be registered anywhere:

    PYTHONPATH=examples dmqcache serve --peer presence:Presence

Each node that has it owns what it publishes. A message carries all users of its sender, so a lost or
repeated one does no harm and the newest is enough; when a node goes, its users go with it.
``bus_only.py`` uses this peer without a cache. A Kamailio can look in as well, from its script:

    dmq_bcast_message("presence", '{"number":$TS,"users":{"$fU":"open"}}', "application/json");
"""

from __future__ import annotations

import json
import logging
import time

from dmqcache import Message, Node, NodeURI, Peer, Reply, Response

#: Below ``dmqcache``: so ``--log-level`` counts for it too.
log = logging.getLogger("dmqcache.peer.presence")

CONTENT_TYPE = "application/json"


class Presence(Peer):
    """``publish`` what happens here; ``users`` is what is known of everywhere."""

    def __init__(self) -> None:
        super().__init__(channel="presence")
        self._mine: dict[str, str] = {}
        #: What each other node said last: the number of its message, and its users.
        self._others: dict[NodeURI, tuple[int, dict[str, str]]] = {}

    @property
    def users(self) -> dict[str, str]:
        """All users of all nodes with their states; ours win."""
        merged: dict[str, str] = {}
        for _, users in self._others.values():
            merged |= users
        return merged | self._mine

    def publish(self, user: str, state: str | None) -> None:
        """A user of this node is in this state now; None: gone. The other nodes are told."""
        if state is None:
            self._mine.pop(user, None)
        else:
            self._mine[user] = state
        if self.bus is not None:
            self.bus.bcast_message(self, self._body(), content_type=CONTENT_TYPE, on_response=self._answered)

    def handle(self, message: Message) -> Reply:
        """Another node told its users. Nothing from the wire is trusted: 400 for what cannot be read."""
        if message.node is None:
            return Reply(403, "Not A Node")
        try:
            body = json.loads(message.body)
            number = int(body["number"])
            users = {str(user): str(state) for user, state in body["users"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return Reply(400, "Not Understood")
        sender = message.node.uri
        last, before = self._others.get(sender, (-1, {}))
        if number > last:
            self._others[sender] = (number, users)
            for user in sorted(before.keys() | users.keys()):
                if before.get(user) != users.get(user):
                    log.info("%s is %s at %s", user, users.get(user, "gone"), sender)
        return Reply(200)

    def on_node_up(self, node: Node) -> None:
        """It is new or was away: it gets all that we have."""
        if self._mine and self.bus is not None:
            self.bus.send_message(
                self, self._body(), node.uri, content_type=CONTENT_TYPE, on_response=self._answered
            )

    def on_node_down(self, node: Node) -> None:
        """What it said may not be true any more. Once it is back it tells us anew."""
        for user in self._others.pop(node.uri, (0, {}))[1]:
            log.info("%s is gone with %s", user, node.uri)

    def on_node_left(self, node: Node) -> None:
        self.on_node_down(node)

    def _body(self) -> bytes:
        # The clock makes a later message, also one after a restart, the larger number.
        return json.dumps({"number": time.time_ns(), "users": self._mine}).encode()

    def _answered(self, response: Response) -> None:
        # 404: no such peer there, as on every Kamailio. 408 and 503: the node is about to be declared down,
        # and gets everything when it is up again. So there is nothing to repeat here.
        if response.status not in (200, 404):
            log.warning("%s answered %d", response.node, response.status)
