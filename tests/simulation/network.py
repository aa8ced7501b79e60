"""The virtual network: datagrams between endpoints, and everything bad that happens to them on the way.

Owns delay, loss, duplication, reordering, partitions, full socket buffers and refusals. Which of these
happen, and when, is drawn in ``faults.py``. A datagram beyond one Ethernet frame is lost with any of its
fragments.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, log

from dmqcache.bus.sip.uri import Endpoint
from tests.simulation.describe import describe
from tests.simulation.runtime import VirtualRuntime, World

#: Bytes of payload in one fragment.
FRAGMENT = 1_472
#: Bytes that a socket buffers for a process that does not read (ours asks for 8 MiB, Kamailio for less).
SOCKET_BYTES = 2_000_000
#: Bytes that the kernel counts beside each datagram's own.
SKB_BYTES = 768
#: Seconds.
FRAGILE_DELAY = 0.01
#: Datagrams read in one wake-up.
BATCH = 64


@dataclass(slots=True)
class Weather:
    """How the network is just now. Chances are from 0 to 1, times in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    #: A copy arrives up to so much later.
    duplicate_delay: float = 0.05
    #: One way, at least.
    delay: float = 0.0005
    #: Mean of what is added to it.
    jitter: float = 0.0002
    #: Chance that a datagram is held back, and for how long at most: it is overtaken by others.
    reorder: float = 0.0
    reorder_delay: float = 0.05


@dataclass(slots=True, eq=False)
class Socket:
    """Where one process receives."""

    endpoint: Endpoint
    runtime: VirtualRuntime
    receive: Callable[[bytes, Endpoint], None]
    failed: Callable[[Endpoint, str], None]
    #: Seconds that the process takes for each datagram (0: none).
    service: float = 0.0
    limit: int = SOCKET_BYTES
    waiting: deque[tuple[bytes, Endpoint]] = field(default_factory=deque)
    bytes: int = 0
    busy: bool = False


class Network:
    """All links between all nodes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.weather = Weather()
        #: Weather of single links (from host, to host).
        self.links: dict[tuple[str, str], Weather] = {}
        #: Links (from host, to host) that nothing passes.
        self.cut: set[tuple[str, str]] = set()
        #: When each of those that pass again last did not, in true seconds.
        self._parted: dict[tuple[str, str], float] = {}
        #: Hosts of Kamailio nodes, which apply a late copy again: what comes to them is not late by more than
        #: :data:`FRAGILE_DELAY`.
        self.fragile: set[str] = set()
        #: Hosts whose kernel says so when nobody listens on a port.
        self.refusing = True
        #: What happened, by name: "sent", "lost", "duplicated", "cut", "overrun", "refused", ...
        self.counts: Counter[str] = Counter()
        #: Further addresses of hosts, and whose they are.
        self.further: dict[str, str] = {}
        self._sockets: dict[Endpoint, Socket] = {}

    def open(self, socket: Socket, source: Endpoint | None = None) -> Callable[[bytes, Endpoint], None]:
        """Let a process receive at an endpoint; returns its ``send``. ``source``: another address of its
        host, from which it sends, and where it receives too."""
        sends_from = source or socket.endpoint
        self._sockets[socket.endpoint] = self._sockets[sends_from] = socket
        return lambda data, to: self._send(data, sends_from, to)

    def close(self, socket: Socket) -> None:
        """The process is gone, and what it had not read with it."""
        for endpoint in [one for one, other in self._sockets.items() if other is socket]:
            del self._sockets[endpoint]
        socket.waiting.clear()

    def listening(self, endpoint: Endpoint) -> Socket | None:
        """Where a process receives at an endpoint, if one does."""
        return self._sockets.get(endpoint)

    def weather_of(self, source: str, to: str) -> Weather:
        """How one link is just now."""
        return self.links.get(self._hosts(source, to), self.weather)

    def is_cut(self, source: str, to: str) -> bool:
        """Whether nothing passes a link."""
        return self._hosts(source, to) in self.cut

    def join(self, source: str, to: str) -> None:
        """A link passes everything again."""
        if (source, to) in self.cut:
            self.cut.discard((source, to))
            self._parted[source, to] = self.world.now

    def join_all(self) -> None:
        """All links do."""
        for source, to in list(self.cut):
            self.join(source, to)

    def parted_at(self, source: str, to: str) -> float:
        """True seconds when nothing passed a link last; negative: at no time."""
        return self.world.now if (source, to) in self.cut else self._parted.get((source, to), -inf)

    def _hosts(self, source: str, to: str) -> tuple[str, str]:
        return self.further.get(source, source), self.further.get(to, to)

    # -- on the way

    def _send(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        world, counts = self.world, self.counts
        counts["sent"] += 1
        world.stamp(data)
        weather = self.weather_of(source.host, to.host)
        if self.is_cut(source.host, to.host):
            self._drop("cut", data, source, to)
            return
        if weather.loss and self._is_lost(len(data), weather.loss):
            self._drop("lost", data, source, to)
            return
        chance = world.chance.random
        delay = weather.delay + weather.jitter * -log(1.0 - chance())
        if weather.reorder and chance() < weather.reorder:
            counts["reordered"] += 1
            delay += chance() * self._most(weather.reorder_delay, to)
        if world.transcript is not None:
            world.note(source.host, f"-> {to.host} ({delay * 1000:.1f} ms) {describe(data)}")
        world.call_later(delay, lambda: self._arrive(data, source, to))
        if weather.duplicate and chance() < weather.duplicate:
            counts["duplicated"] += 1
            later = delay + chance() * self._most(weather.duplicate_delay, to)
            if world.transcript is not None:
                world.note(source.host, f"   and again after {later * 1000:.1f} ms")
            world.call_later(later, lambda: self._arrive(data, source, to))

    def _most(self, delay: float, to: Endpoint) -> float:
        return min(delay, FRAGILE_DELAY) if to.host in self.fragile else delay

    def _is_lost(self, size: int, loss: float) -> bool:
        chance = self.world.chance.random
        return any(chance() < loss for _ in range(1 + size // FRAGMENT))

    def _drop(self, why: str, data: bytes, source: Endpoint, to: Endpoint) -> None:
        self.counts[why] += 1
        if self.world.transcript is not None:
            self.world.note(source.host, f"-> {to.host} ({why}) {describe(data)}")

    # -- at the other end

    def _arrive(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        if self.is_cut(source.host, to.host):
            self._drop("cut", data, source, to)
            return
        socket = self._sockets.get(to)
        if socket is None:
            self._refuse(source, to)
        else:
            self.deliver(socket, data, source)

    def deliver(self, socket: Socket, data: bytes, source: Endpoint, drop: bool = True) -> bool:
        """Give a message to a process, or to its socket if it does not read now; False: that is full, and
        what came is dropped, or (``drop=False``) to be brought again."""
        runtime = socket.runtime
        if runtime.frozen is None and not socket.service and not socket.waiting:
            self.world.current = runtime.name
            socket.receive(data, source)
            return True
        size = len(data) + SKB_BYTES
        if socket.bytes + size > socket.limit:
            if drop:
                self._drop("overrun", data, source, socket.endpoint)
            return False
        socket.waiting.append((data, source))
        socket.bytes += size
        self._serve(socket)
        return True

    def _refuse(self, source: Endpoint, to: Endpoint) -> None:
        """The port is closed: the kernel there says so, if it does, and if that comes back."""
        if not self.refusing or self.is_cut(to.host, source.host):
            return
        weather = self.weather_of(to.host, source.host)
        if self.world.chance.random() < weather.loss:
            return
        self.counts["refused"] += 1
        self.world.call_later(weather.delay, lambda: self._failed(source, to))

    def _failed(self, source: Endpoint, to: Endpoint) -> None:
        socket = self._sockets.get(source)
        if socket is not None and socket.runtime.frozen is None:
            self.world.note(source.host, f"{to.host} refuses")
            self.world.current = socket.runtime.name
            socket.failed(to, "refused")

    # -- processes that are slow or stopped

    def _serve(self, socket: Socket) -> None:
        if socket.busy or socket.runtime.frozen is not None or not socket.waiting:
            return
        socket.busy = True
        self.world.call_at(self.world.now + socket.service, lambda: self._read(socket), socket.runtime)

    def _read(self, socket: Socket) -> None:
        socket.busy = False
        for _ in range(1 if socket.service else BATCH):
            if not socket.waiting:
                return
            data, source = socket.waiting.popleft()
            socket.bytes -= len(data) + SKB_BYTES
            socket.receive(data, source)
        self._serve(socket)

    def wake(self, socket: Socket) -> None:
        """The process goes on: it reads what waits."""
        self._serve(socket)
