"""One bus with a peer whose answers the test decides, and a Kamailio beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dmqcache.bus.bus import Bus
from dmqcache.bus.peer import Message, Peer, Reply
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.guard import KeyPolicy
from tests.bus.virtual import Cluster, Gate, Stranger, kamailio

HERE = "127.0.0.11"


class Recorder(Peer):
    """Keeps what it is given and answers as it is told."""

    def __init__(self, channel: str = "htable") -> None:
        super().__init__(channel)
        self.messages: list[Message] = []
        self.reply = Reply(200)
        self.gates: list[Gate] = []
        self.slow = False

    def handle(self, message: Message) -> Reply | Awaitable[Reply]:
        self.messages.append(message)
        return self._later() if self.slow else self.reply

    async def _later(self) -> Reply:
        gate = Gate()
        self.gates.append(gate)
        await gate
        return self.reply


def bench(
    *,
    known: bool = True,
    connected: Callable[[Endpoint], bool] = lambda endpoint: True,
    key: KeyPolicy | None = None,
) -> tuple[Cluster, Bus, Recorder, Stranger]:
    """One bus with a peer, and a Kamailio at .12 that it holds active (or has never heard of)."""
    cluster = Cluster()
    other = kamailio(cluster, "127.0.0.12")
    seeds = ["127.0.0.12"] if known else []
    bus = cluster.add(HERE, *seeds, probe_interval=1000.0, connected=connected, key=key)
    recorder = Recorder()
    bus.register_peer(recorder)
    cluster.clock.run(0.1)
    assert len(bus.active_nodes()) == (1 if known else 0)
    other.requests.clear()
    other.responses.clear()
    return cluster, bus, recorder, other


def statuses(other: Stranger) -> list[int]:
    return [response.status for response in other.responses]
