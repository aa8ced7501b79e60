"""A bus with one mirror on it, and a Kamailio beside it, on virtual time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dmqcache.bus.bus import Bus
from dmqcache.bus.peer import Peer
from dmqcache.bus.sip.sip_message import SipRequest
from dmqcache.bus.sip.uri import SipURI
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE = "127.0.0.11"
THERE = "127.0.0.12"


class Stage:
    """``peer`` on a bus at HERE; ``kamailio`` at THERE is its seed. It has the channel, unless ``answers`` is
    false."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.answers = True
        self.cluster = Cluster()
        self.kamailio: Stranger = kamailio(self.cluster, THERE)
        others = self.kamailio.answer
        self.kamailio.answer = lambda request: (
            (200, b"") if self._is_ours(request) and self.answers else others(request)
        )
        self.bus: Bus = self.cluster.add(HERE, THERE)
        self.bus.register_peer(peer)
        self.run(1.0)

    def run(self, seconds: float) -> None:
        self.cluster.clock.run(seconds)

    @property
    def wall(self) -> int:
        """Unix seconds."""
        return 1_700_000_000 + int(self.cluster.clock.time)

    def say(self, said: Mapping[str, Any] | bytes) -> int:
        """The Kamailio says something on the channel: the status of the answer."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.kamailio.responses.clear()
        self.kamailio.request(HERE, self.peer.channel, body)
        self.run(0.5)
        return self.kamailio.responses[-1].status

    def heard(self) -> list[dict[str, Any]]:
        """What the Kamailio was told on the channel since the last look."""
        found = [request for request in self.kamailio.requests if self._is_ours(request)]
        self.kamailio.requests.clear()
        return [json.loads(request.body) for request in found]

    def _is_ours(self, request: SipRequest) -> bool:
        return SipURI.parse(request.uri).user == self.peer.channel
