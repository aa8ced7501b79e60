"""The virtual machines of a cluster: dmqcache nodes and models of Kamailio nodes.

Owns starting, stopping, crashing and leaving. A machine keeps its address and its wall clock; a process
(``process.py``) keeps everything else, and loses it when it crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from dmqcache.bus.allow import AllowList, parse_entry
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.trust.guard import KeyPolicy
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing
from dmqcache.peers.contact import key_of
from dmqcache.store.store import Store, StoreOptions
from dmqcache.store.table.settings import TableSettings
from tests.disk.shelf import Shelf
from tests.simulation.kamailio_model import Kamailio
from tests.simulation.kamailio_usrloc import Fields
from tests.simulation.network import Network
from tests.simulation.process import BusProcess, CacheProcess, KamailioProcess, Names
from tests.simulation.runtime import EPOCH_MS, VirtualRuntime, World
from tests.simulation.streams import Streams
from tests.store_options import store_options

PORT = 5060
#: Kinds of machines with a Kamailio, and its version. The bare one has no htable.
VERSIONS = {"kamailio5": (5, 6), "kamailio61": (6, 1), "kamailio62": (6, 2), "bare": (6, 1)}


class Machine:
    """One host of the cluster."""

    def __init__(self, cluster: Cluster, number: int, kind: str) -> None:
        """``kind``: ``dmqcache``, ``bus`` (no tables), ``older`` wire, or one of :data:`VERSIONS`."""
        self.cluster = cluster
        self.host = f"127.0.0.{11 + number}"
        self.uri = NodeURI(self.host, PORT, cluster.transport)
        #: What it calls itself, and another address from which it sends: of Kamailio nodes.
        self.name, self.further = "", ""
        self.kind = kind
        self.skew_ms = 0
        self.incarnation = 0
        self.process: CacheProcess | BusProcess | KamailioProcess | None = None
        self.leaving = False
        #: The disk of a dmqcache node that has one.
        self.shelf: Shelf | None = None
        #: Through whom the process here joins.
        self.seeds: tuple[NodeURI, ...] = ()
        #: True seconds when the process here began, and when it was last told to leave.
        self.started_at = 0.0
        self.leaves_at = 0.0

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
    def spelled(self) -> NodeURI:
        """The node's address as it writes it itself."""
        return NodeURI(self.name, PORT, self.cluster.transport) if self.name else self.uri

    @property
    def is_kamailio(self) -> bool:
        """Whether a Kamailio with tables is to run here."""
        return self.kind.startswith("kamailio")

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

    # -- what an onlooker knows --------------------------------------------------------------------------

    @property
    def life(self) -> str:
        """The name of the last process here."""
        return f"{self.host}#{self.incarnation}"

    @property
    def is_slow(self) -> bool:
        """Whether the process here takes its time."""
        return self.process is not None and self.process.socket.service > 0

    def now(self) -> float:
        """True seconds."""
        return self.cluster.world.now

    def true_ms(self) -> int:
        """Unix ms as they really are."""
        return EPOCH_MS + int(self.cluster.world.now * 1000)

    def wall_ms(self) -> int:
        """Unix ms as this machine has them."""
        return self.true_ms() + self.skew_ms

    def peek(self, table: str, key: str) -> str | int | None:
        """What a client would be shown, without leaving a trace."""
        if isinstance(self.process, KamailioProcess):
            htable = self.process.kamailio.htable
            return htable.tables[table].get(key, htable.seconds())
        held = self.store.tables[table]
        cell = held.cells.get(key)
        return None if cell is None or cell.expires <= held.clock.now() else cell.value

    def has_for_ever(self, table: str, key: str, values: Collection[str | int | None]) -> bool:
        """Whether a client would be shown one of these values, and no time to live."""
        value = self.peek(table, key)
        return value is not None and value in values and self.store.tables[table].ttl(key) is None

    @property
    def has_contacts(self) -> bool:
        """Whether it follows registrations, or takes them."""
        return self.cluster.usrloc and (self.is_cache or self.is_kamailio)

    def contacts(self) -> dict[str, Fields]:
        """The contacts that it has now, by their keys."""
        if isinstance(self.process, KamailioProcess):
            return self.process.kamailio.usrloc.live()
        peer = self.cache.usrloc
        return {} if peer is None else {key_of(one.fields): dict(one.fields) for one in peer.contacts()}

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process that remembers what is on its machine's disk, or nothing."""
        if self.process is not None:
            return
        cluster = self.cluster
        self.incarnation += 1
        self.leaving = False
        runtime = VirtualRuntime(cluster.world, self.host, self.incarnation, self.skew_ms)
        cluster.world.note(self.host, f"--- starts ({self.kind})")
        seeds = self.seeds = tuple(uri for uri in cluster.seeds if uri != self.spelled)
        self.started_at = cluster.world.now
        if self.is_cache:
            self.process = CacheProcess(
                runtime,
                cluster.network,
                cluster.streams,
                self.uri,
                seeds,
                cluster.tables,
                cluster.options,
                self.shelf,
                Names(cluster.hosts),
                cluster.sources,
                cluster.key,
                partial(cluster.on_contacts_heard, self) if cluster.usrloc else None,
            )
            cluster.on_start(self)
        elif self.kind in ("bus", "older"):
            older = self.kind == "older"
            self.process = BusProcess(
                runtime, cluster.network, cluster.streams, self.uri, seeds, older, cluster.key
            )
        else:
            self.process = KamailioProcess(
                *(runtime, cluster.network, self.spelled, seeds, cluster.tables, VERSIONS[self.kind]),
                Endpoint(cluster.transport, self.host, PORT),
                source=Endpoint(cluster.transport, self.further, PORT) if self.further else None,
                has_htable=self.is_kamailio,
                hosts=cluster.hosts,
                told_contacts=partial(cluster.on_contacts_told, self.host) if self.has_contacts else None,
            )

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
        self.leaves_at = self.now()

        def left() -> None:
            if self.process is process:
                process.stop(stopped)

        def stopped() -> None:
            if self.process is process:
                self.cluster.world.note(self.host, "--- has left")
                self._gone(politely=True)

        process.leave(left)

    def _gone(self, politely: bool = False) -> None:
        process = self.process
        assert process is not None
        process.runtime.halted = True
        process.close()
        self.cluster.on_gone(self, politely)
        self.process = None
        self.leaving = False

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


def _key_beside(machines: Sequence[Machine]) -> KeyPolicy:
    """A key that is required of everybody but the Kamailio nodes."""
    hosts = [machine.host for machine in machines if machine.kind in VERSIONS]
    further = [host.replace("127.0.0.", "127.0.1.") for host in hosts]
    listed = AllowList([parse_entry(host) for host in (*hosts, *further)])
    return KeyPolicy(KeyRing((Key(b"k" * KEY_BYTES),)), True, listed)


class Cluster:
    """All machines of one run."""

    def __init__(
        self,
        world: World,
        kinds: Sequence[str],
        tables: Sequence[str],
        options: StoreOptions | None = None,
        seeds: int = 2,
        transport: str = "udp",
        keyed: bool = False,
        usrloc: bool = False,
    ) -> None:
        """``kinds``: one for each machine. ``seeds``: how many of the first are notification addresses.
        ``transport``: ``tcp`` only without Kamailio nodes. ``keyed``: all others hold one key.
        ``usrloc``: Kamailio nodes take registrations, and dmqcache nodes follow them."""
        self.world = world
        self.transport = transport
        self.usrloc = usrloc
        self.network = Network(world)
        self.streams = Streams(self.network)
        self.tables = [TableSettings.parse(declared) for declared in tables]
        self.options = options or store_options()
        self.machines = [Machine(self, number, kind) for number, kind in enumerate(kinds)]
        self._seeds = seeds
        self.key = _key_beside(self.machines) if keyed else None
        self.network.fragile = {machine.host for machine in self.machines if machine.is_kamailio}
        #: Told of a machine whose process ends, and whether it has left politely.
        self.on_gone: Callable[[Machine, bool], None] = lambda machine, politely: None
        #: Told what a registrar is told of contacts (and whether by a dmqcache node), and what a dmqcache
        #: node has heard of them.
        self.on_contacts_told: Callable[[str, bytes, bool], None] = lambda host, body, by_ours: None
        self.on_contacts_heard: Callable[[Machine, bytes], None] = lambda machine, body: None
        #: Told of a machine on which a dmqcache node has just started.
        self.on_start: Callable[[Machine], None] = lambda machine: None

    @property
    def seeds(self) -> tuple[NodeURI, ...]:
        """The notification addresses."""
        return tuple(machine.spelled for machine in self.machines[: self._seeds])

    @property
    def hosts(self) -> dict[str, str]:
        """Addresses by the names of hosts."""
        return {machine.name: machine.host for machine in self.machines if machine.name}

    @property
    def sources(self) -> tuple[tuple[NodeURI, str], ...]:
        """Nodes that send from another address, as dmqcache nodes are told of them."""
        return tuple((machine.uri, machine.further) for machine in self.machines if machine.further)

    def call_by_name(self, number: int) -> None:
        """The Kamailio of a machine calls itself by a name. Before anything is started."""
        self.machines[number].name = f"kamailio{number}.example"

    def send_from_elsewhere(self, number: int) -> None:
        """The Kamailio of a machine sends from another of its addresses. Before anything is started."""
        machine = self.machines[number]
        machine.further = f"127.0.1.{11 + number}"
        self.network.further[machine.further] = machine.host

    def start(self) -> None:
        """Start every machine's process at once."""
        for machine in self.machines:
            machine.start()

    def caches(self) -> list[Machine]:
        """The machines on which a dmqcache node runs."""
        return [machine for machine in self.machines if machine.is_cache and machine.up]

    def kamailios(self) -> list[Machine]:
        """The machines on which a Kamailio runs."""
        return [machine for machine in self.machines if machine.is_kamailio and machine.up]

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
        self.network.join_all()
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
