"""The processes of a cluster's machines: the code under test, or a model of Kamailio, on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf

from dmqcache.bus.bus import Bus, BusSettings
from dmqcache.bus.exchange.replay import REMEMBERED
from dmqcache.bus.peer import SILENCE, Later, Message, Peer, Reply
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.trust.guard import KeyPolicy
from dmqcache.disk.keeper import Keeper
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.store.kamailio.htable import CHANNEL as HTABLE
from dmqcache.store.kamailio.htable import Htable
from dmqcache.store.native.replica import CHANNEL as NATIVE
from dmqcache.store.native.replica import Replica
from dmqcache.store.store import Store, StoreOptions
from dmqcache.store.table.settings import TableSettings
from tests.disk.shelf import Shelf, VirtualWriter
from tests.simulation.kamailio_model import Kamailio
from tests.simulation.network import Network, Socket
from tests.simulation.runtime import VirtualRuntime
from tests.simulation.streams import Streams

#: The tag of the wire before ours.
OLDER_TAG = "dmqcache-1"
#: Bytes of a message that are shown.
SHOWN = 80
#: Seconds that a node waits for others when it is to leave.
STOP_TIMEOUT_S = 10.0
#: Seconds by which a simulated disk may be behind.
FLUSH_INTERVAL_S = 1.0


class Names:
    """A resolver that knows addresses, and the names of these hosts."""

    def __init__(self, hosts: Mapping[str, str] | None = None) -> None:
        self._hosts = hosts or {}

    def resolve(self, uri: NodeURI, callback: Callable[[list[Endpoint]], None]) -> None:
        endpoint = NodeURI(self._hosts.get(uri.host, uri.host), uri.port, uri.transport).endpoint
        callback([endpoint] if endpoint is not None else [])


class _OnBus:
    """A process with a real bus on virtual time."""

    def __init__(
        self,
        runtime: VirtualRuntime,
        network: Network,
        streams: Streams,
        settings: BusSettings,
        names: Names | None = None,
        key: KeyPolicy | None = None,
    ) -> None:
        self.runtime = runtime
        endpoint = settings.server_address.endpoint
        assert endpoint is not None
        self.socket = Socket(
            endpoint,
            runtime,
            lambda data, source: self.bus.receive(data, source),
            lambda to, reason: self.bus.transport_failed(to, reason),
        )
        over_tcp = endpoint.transport == "tcp"
        self._net: Network | Streams = streams if over_tcp else network
        send = self._net.open(self.socket)
        connected = partial(streams.connected, self.socket) if over_tcp else lambda endpoint: True
        self.bus = Bus(settings, runtime, send, names or Names(), connected, key=key)

    def close(self) -> None:
        """The process is gone."""
        self._net.close(self.socket)


class CacheProcess(_OnBus):
    """One dmqcache node's process: a real bus and a real store on virtual time."""

    def __init__(
        self,
        runtime: VirtualRuntime,
        network: Network,
        streams: Streams,
        uri: NodeURI,
        seeds: tuple[NodeURI, ...],
        tables: Sequence[TableSettings],
        options: StoreOptions,
        shelf: Shelf | None = None,
        names: Names | None = None,
        sources: tuple[tuple[NodeURI, str], ...] = (),
        key: KeyPolicy | None = None,
        heard_contacts: Callable[[bytes], None] | None = None,
    ) -> None:
        """``shelf``: the disk of its machine. ``sources``: nodes, and from where else they send. ``key``: the
        bus's. ``heard_contacts``: it follows registrations, and each body that tells of them is shown."""
        settings = BusSettings(uri, seeds, user_agent="dmqcache (simulated)", sources=sources)
        super().__init__(runtime, network, streams, settings, names, key)
        self.store = Store(tables, self.bus, runtime, options)
        #: Requests that a handler was given twice.
        self.repeats: list[str] = []
        for peer in (self.store.htable, self.store.replica):
            self._watch(peer)
        self.usrloc = _Follower(heard_contacts) if heard_contacts is not None else None
        if self.usrloc is not None:
            self.bus.register_peer(self.usrloc)
        self.shelf = shelf
        self.keeper = self._read(shelf) if shelf is not None else None
        self.bus.start()
        self.store.start(any(seed != uri for seed in seeds))

    def _read(self, shelf: Shelf) -> Keeper:
        """Have back what an earlier process kept, as ``NodeDisk`` does on a real disk."""
        store = self.store
        runtime, told_until = self.runtime, store.told_until
        keeper = Keeper(store.tables, store.clock, runtime, FLUSH_INTERVAL_S, "shelf", told_until)
        for _ in keeper.load(shelf.file):
            pass
        saved_ms = keeper.saved_ms()
        if saved_ms is not None:
            store.restored(saved_ms)
        keeper.start(VirtualWriter(shelf, self.runtime))
        return keeper

    def _watch(self, peer: Htable | Replica) -> None:
        """See that no handler is given a request that it has answered, for as long as that is remembered. A
        copy may come later than anybody sends it, where both stood still."""
        handle, answered = peer.handle, dict[tuple[str, str], float]()

        def watched(message: Message) -> Reply | Later:
            request = (message.source.host, message.call_id)
            now = self.runtime.now()
            if now - answered.get(request, -inf) < REMEMBERED:
                self.repeats.append(f"{peer.channel}: {request} was handled twice")
            reply = handle(message)
            # Neither silence nor a 503 is an answer that a copy of the request gets.
            if isinstance(reply, Later) or reply.status not in (SILENCE, 503):
                answered[request] = now
            return reply

        peer.handle = watched  # type: ignore[method-assign]

    def close(self) -> None:
        """The process is gone."""
        super().close()
        if self.shelf is not None:
            self.shelf.crash()

    def leave(self, done: Callable[[], None]) -> None:
        """SIGTERM: first the others hear what they have not heard yet."""
        self.store.emptying.start(STOP_TIMEOUT_S, lambda: self.bus.leave(done))

    def stop(self, then: Callable[[], None]) -> None:
        """The process ends in good order."""
        self.store.stop()
        if self.keeper is not None:
            self.keeper.close(then)
        else:
            then()


class _Follower(UsrlocPeer):
    """``--peer usrloc``, and each body that it has taken is shown."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        super().__init__()
        self._heard = heard

    def handle(self, message: Message) -> Reply:
        reply = super().handle(message)
        self._heard(message.body)
        return reply


class BusProcess(_OnBus):
    """A program's that uses the bus alone, and holds no tables."""

    def __init__(
        self,
        runtime: VirtualRuntime,
        network: Network,
        streams: Streams,
        uri: NodeURI,
        seeds: tuple[NodeURI, ...],
        older: bool = False,
        key: KeyPolicy | None = None,
    ) -> None:
        """``older``: it has tables after all, and speaks the wire before ours."""
        tags = (OLDER_TAG,) if older else ()
        settings = BusSettings(uri, seeds, user_agent="dmqcache (simulated)", supported=tags)
        super().__init__(runtime, network, streams, settings, key=key)
        self.peers = [OlderWire(channel) for channel in (HTABLE, NATIVE)] if older else []
        for peer in self.peers:
            self.bus.register_peer(peer)
        self.bus.start()

    def leave(self, done: Callable[[], None]) -> None:
        """SIGTERM."""
        self.bus.leave(done)

    def stop(self, then: Callable[[], None]) -> None:
        """Nothing is left to do."""
        then()


class OlderWire(Peer):
    """A channel of a node of an older wire: it takes what it is told, and should be told nothing."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        #: What it was told although it says which wire it speaks.
        self.heard: list[str] = []

    def handle(self, message: Message) -> Reply:
        self.heard.append(f"{message.source.host} told {self.channel}: {message.body[:SHOWN]!r}")
        return Reply(200)


class KamailioProcess:
    """One Kamailio node's process: a model."""

    def __init__(
        self,
        runtime: VirtualRuntime,
        network: Network,
        uri: NodeURI,
        seeds: tuple[NodeURI, ...],
        tables: Sequence[TableSettings],
        version: tuple[int, int],
        endpoint: Endpoint,
        *,
        source: Endpoint | None = None,
        has_htable: bool = True,
        hosts: Mapping[str, str] | None = None,
        told_contacts: Callable[[bytes, bool], None] | None = None,
    ) -> None:
        """``source``: another address from which it sends. ``hosts``: the names that it can resolve.
        ``told_contacts``: it is a registrar, and what it is told is shown."""
        self.runtime = runtime
        self.socket = Socket(
            endpoint,
            runtime,
            lambda data, source: self.kamailio.receive(data, source),
            lambda to, reason: None,
        )
        self._net = network
        known = hosts or {}
        self.kamailio = Kamailio(
            *(version, uri, seeds, tables, runtime, network.open(self.socket, source)),
            has_htable=has_htable,
            resolve=lambda host: known.get(host, host),
            told_contacts=told_contacts,
        )
        self.kamailio.start()

    def close(self) -> None:
        """The process is gone."""
        self._net.close(self.socket)

    def leave(self, done: Callable[[], None]) -> None:
        """5.6 says nothing when it stops, 6.x tries."""
        self.kamailio.leave()
        done()

    def stop(self, then: Callable[[], None]) -> None:
        """Nothing is left to do."""
        then()
