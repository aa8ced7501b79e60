"""The virtual machines of a cluster and the processes on them: dmqcache nodes and models of Kamailio nodes.

Owns starting, stopping, crashing and leaving. A machine keeps its address and its wall clock; a process keeps
everything else, and loses it when it crashes. What a process does is the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmqcache.bus.bus import Bus, BusSettings
from dmqcache.bus.peer import SILENCE, Message, Reply
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.store.kamailio.htable import Htable
from dmqcache.store.native.replica import Replica
from dmqcache.store.store import Store, StoreOptions
from dmqcache.store.table.settings import TableSettings
from tests.simulation.kamailio_model import Kamailio
from tests.simulation.network import Network, Socket
from tests.simulation.runtime import VirtualRuntime, World
from tests.store_options import store_options

PORT = 5060


class Literals:
    """A resolver that knows only addresses."""

    def resolve(self, uri: NodeURI, callback: Callable[[list[Endpoint]], None]) -> None:
        endpoint = uri.endpoint
        callback([endpoint] if endpoint is not None else [])


class CacheProcess:
    """One dmqcache node's process: a real bus and a real store on virtual time."""

    def __init__(
        self,
        runtime: VirtualRuntime,
        network: Network,
        uri: NodeURI,
        seeds: tuple[NodeURI, ...],
        tables: Sequence[TableSettings],
        options: StoreOptions,
    ) -> None:
        self.runtime = runtime
        endpoint = uri.endpoint
        assert endpoint is not None
        self.socket = Socket(
            endpoint,
            runtime,
            lambda data, source: self.bus.receive(data, source),
            lambda to, reason: self.bus.transport_failed(to, reason),
        )
        settings = BusSettings(uri, seeds, user_agent="dmqcache (simulated)")
        self.bus = Bus(settings, runtime, network.open(self.socket), Literals())
        self.store = Store(tables, self.bus, runtime, options)
        #: Requests that a handler was given twice.
        self.repeats: list[str] = []
        for peer in (self.store.htable, self.store.replica):
            self._watch(peer)
        self.bus.start()
        self.store.start(any(seed != uri for seed in seeds))

    def _watch(self, peer: Htable | Replica) -> None:
        """See that no handler is given a request that it has answered."""
        handle, answered = peer.handle, set[tuple[str, str]]()

        def watched(message: Message) -> Reply:
            request = (message.source.host, message.call_id)
            if request in answered:
                self.repeats.append(f"{peer.channel}: {request} was handled twice")
            reply = handle(message)
            # Neither silence nor a 503 is an answer that a copy of the request gets.
            if reply.status not in (SILENCE, 503):
                answered.add(request)
            return reply

        peer.handle = watched  # type: ignore[method-assign]

    @property
    def identity(self) -> str:
        """The name under which this process counts increments."""
        return self.store.identity

    def leave(self, done: Callable[[], None]) -> None:
        """SIGTERM."""
        self.bus.leave(done)

    def stop(self) -> None:
        """The process ends in good order."""
        self.store.stop()


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
    ) -> None:
        self.runtime = runtime
        endpoint = uri.endpoint
        assert endpoint is not None
        self.socket = Socket(
            endpoint,
            runtime,
            lambda data, source: self.kamailio.receive(data, source),
            lambda to, reason: None,
        )
        self.kamailio = Kamailio(version, uri, seeds, tables, runtime, network.open(self.socket))
        self.kamailio.start()

    def leave(self, done: Callable[[], None]) -> None:
        """5.6 says nothing when it stops, 6.x tries."""
        self.kamailio.leave()
        done()

    def stop(self) -> None:
        """Nothing is left to do."""


class Machine:
    """One host of the cluster."""

    def __init__(self, cluster: Cluster, number: int, kind: str) -> None:
        """``kind``: ``dmqcache``, ``kamailio5`` or ``kamailio62``."""
        self.cluster = cluster
        self.host = f"127.0.0.{11 + number}"
        self.uri = NodeURI(self.host, PORT, "udp")
        self.kind = kind
        self.skew_ms = 0
        self.incarnation = 0
        self.process: CacheProcess | KamailioProcess | None = None
        #: The name under which the last dmqcache process here counted increments.
        self.last_identity = ""
        self.leaving = False

    @property
    def up(self) -> bool:
        """Whether a process runs here (a stopped one counts)."""
        return self.process is not None

    @property
    def running(self) -> bool:
        """Whether a process runs here and takes orders."""
        return self.process is not None and self.process.runtime.frozen is None and not self.leaving

    @property
    def is_cache(self) -> bool:
        return self.kind == "dmqcache"

    @property
    def cache(self) -> CacheProcess:
        """The dmqcache process that runs here."""
        assert isinstance(self.process, CacheProcess)
        return self.process

    @property
    def store(self) -> Store:
        return self.cache.store

    @property
    def kamailio(self) -> Kamailio:
        """The Kamailio that runs here."""
        assert isinstance(self.process, KamailioProcess)
        return self.process.kamailio

    def start(self) -> None:
        """Start a process that remembers nothing."""
        if self.process is not None:
            return
        cluster = self.cluster
        self.incarnation += 1
        self.leaving = False
        runtime = VirtualRuntime(cluster.world, self.host, self.incarnation, self.skew_ms)
        cluster.world.note(self.host, f"--- starts ({self.kind})")
        seeds = tuple(uri for uri in cluster.seeds if uri != self.uri)
        if self.is_cache:
            self.process = CacheProcess(
                runtime, cluster.network, self.uri, seeds, cluster.tables, cluster.options
            )
            self.last_identity = self.process.identity
        else:
            version = (5, 6) if self.kind == "kamailio5" else (6, 2)
            self.process = KamailioProcess(runtime, cluster.network, self.uri, seeds, cluster.tables, version)

    def crash(self) -> None:
        """``kill -9``: the process and its memory are gone."""
        if self.process is not None:
            self.cluster.world.note(self.host, "--- crashes")
            self._gone()

    def stop(self) -> None:
        """``kill -STOP``: a crash with memory."""
        if self.process is not None and self.process.runtime.frozen is None:
            self.cluster.world.note(self.host, "--- is stopped")
            self.process.runtime.freeze()

    def go_on(self) -> None:
        """``kill -CONT``."""
        process = self.process
        if process is not None and process.runtime.frozen is not None:
            self.cluster.world.note(self.host, "--- goes on")
            process.runtime.thaw(lambda: self.cluster.network.wake(process.socket))

    def leave(self) -> None:
        """Leave the bus gracefully and end."""
        process = self.process
        if process is None or self.leaving:
            return
        self.cluster.world.note(self.host, "--- leaves")
        self.leaving = True

        def left() -> None:
            if self.process is process:
                process.stop()
                self.cluster.world.note(self.host, "--- has left")
                self._gone()

        process.leave(left)

    def _gone(self) -> None:
        process, self.process = self.process, None
        assert process is not None
        process.runtime.halted = True
        self.cluster.network.close(process.socket)
        self.leaving = False
        self.cluster.on_gone(self)

    def slow(self, seconds: float, limit: int) -> None:
        """From now on the process takes ``seconds`` for each datagram (0: no more), and its socket holds
        ``limit`` bytes."""
        if self.process is not None:
            self.process.socket.service = seconds
            self.process.socket.limit = limit

    def jump(self, milliseconds: int) -> None:
        """The wall clock is set."""
        self.skew_ms += milliseconds
        self.cluster.world.note(self.host, f"--- wall clock jumps by {milliseconds} ms")
        if self.process is not None:
            self.process.runtime.skew_ms = self.skew_ms


class Cluster:
    """All machines of one run."""

    def __init__(
        self,
        world: World,
        kinds: Sequence[str],
        tables: Sequence[str],
        options: StoreOptions | None = None,
        seeds: int = 2,
    ) -> None:
        """``kinds``: one for each machine. ``seeds``: how many of the first are notification addresses."""
        self.world = world
        self.network = Network(world)
        self.tables = [TableSettings.parse(declared) for declared in tables]
        self.options = options or store_options()
        self.machines = [Machine(self, number, kind) for number, kind in enumerate(kinds)]
        self.seeds = tuple(machine.uri for machine in self.machines[:seeds])
        self.network.fragile = {machine.host for machine in self.machines if not machine.is_cache}
        #: Told of a machine whose process has just lost its memory.
        self.on_gone: Callable[[Machine], None] = lambda machine: None

    def start(self) -> None:
        """Start every machine's process at once."""
        for machine in self.machines:
            machine.start()

    def caches(self) -> list[Machine]:
        """The machines on which a dmqcache node runs."""
        return [machine for machine in self.machines if machine.is_cache and machine.up]

    def kamailios(self) -> list[Machine]:
        """The machines on which a Kamailio runs."""
        return [machine for machine in self.machines if not machine.is_cache and machine.up]

    def partition(self, *groups: Sequence[int]) -> None:
        """Nothing passes between machines of different groups (numbers of machines)."""
        for one in groups:
            for other in groups:
                if one is not other:
                    for a in one:
                        for b in other:
                            self.network.cut.add((self.machines[a].host, self.machines[b].host))

    def heal(self) -> None:
        """All links work again."""
        self.network.cut.clear()
        self.network.links.clear()
        self.world.note("", "--- all links are healed")

    def run(self, seconds: float) -> None:
        self.world.run(seconds)

    def run_until(self, condition: Callable[[], bool], limit: float, step: float = 0.1) -> float:
        """Live until ``condition`` holds; returns the seconds it took. AssertionError after ``limit``."""
        began = self.world.now
        while not condition():
            if self.world.now - began >= limit:
                raise AssertionError(f"not within {limit} s of virtual time")
            self.world.run(step)
        return self.world.now - began
