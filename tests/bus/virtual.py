"""Virtual time and a virtual network for tests of the bus: no sockets, no waiting, repeatable by seed.

One :class:`Clock` holds a heap of timers; each node has a :class:`VirtualRuntime` on it; :class:`Net`
carries the datagrams between buses with delay, loss and cuts.
``tests/simulation`` has the large cluster; this one is for the behaviour of one part at a time.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from dmqcache.bus.bus import Bus
from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.node import OWN_TAG, NodeStatus
from dmqcache.bus.sip.headers import reply_endpoint
from dmqcache.bus.sip.serialize import Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import SipRequest, SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint, NodeURI, SipURI
from dmqcache.bus.trust.guard import KeyPolicy


class VirtualTimer:
    """A call in the clock's heap."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Clock:
    """Time, and what is to happen in it. Calls at the same moment run in the order of their arming."""

    def __init__(self, seed: int = 1) -> None:
        self.time = 1000.0
        self.random = random.Random(seed)
        self._heap: list[tuple[float, int, VirtualTimer]] = []
        self._count = 0

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        timer = VirtualTimer(callback)
        self._count += 1
        heapq.heappush(self._heap, (self.time + max(delay, 0.0), self._count, timer))
        return timer

    def run(self, seconds: float) -> None:
        """Live through so much time."""
        end = self.time + seconds
        while self._heap and self._heap[0][0] <= end:
            self._step()
        self.time = end

    def run_until(self, condition: Callable[[], bool], limit: float) -> float:
        """Live until ``condition`` holds; returns how long it took. AssertionError after ``limit`` s."""
        start, end = self.time, self.time + limit
        while not condition():
            if not self._heap or self._heap[0][0] > end:
                raise AssertionError(f"not within {limit} s")
            self._step()
        return self.time - start

    @property
    def pending(self) -> int:
        """Timers that are armed."""
        return sum(timer.callback is not None for _, _, timer in self._heap)

    def _step(self) -> None:
        self.time, _, timer = heapq.heappop(self._heap)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()


class VirtualRuntime:
    """One node's outside world on a shared clock. ``halted`` is its crash: no timer of it fires any more;
    between ``pause`` and ``resume`` they wait, as those of a stopped process do."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.halted = False
        self._paused: list[Callable[[], None]] | None = None

    def now(self) -> float:
        return self.clock.time

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.clock.time * 1000)

    def random(self) -> float:
        return self.clock.random.random()

    def token(self) -> str:
        return f"{self.clock.random.getrandbits(64):016x}"

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        timer: VirtualTimer

        def fire() -> None:
            if self._paused is not None:
                # Still to be cancelled while it waits.
                timer.callback = callback
                self._paused.append(lambda: self._fire(timer))
            elif not self.halted:
                callback()

        timer = self.clock.call_later(delay, fire)
        return timer

    def pause(self) -> None:
        """Stop the process."""
        self._paused = []

    def resume(self) -> None:
        """Let it go on: all that was due meanwhile happens now, in order."""
        due, self._paused = self._paused or [], None
        for fire in due:
            fire()

    def _fire(self, timer: VirtualTimer) -> None:
        callback, timer.callback = timer.callback, None
        if callback is not None and not self.halted:
            callback()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> VirtualTask:
        """Coroutines run only as far as a :class:`Gate` lets them."""
        return VirtualTask(self, coroutine)


class VirtualTask:
    """A coroutine on virtual time."""

    def __init__(self, runtime: VirtualRuntime, coroutine: Coroutine[Any, Any, None]) -> None:
        self._runtime = runtime
        self._coroutine = coroutine
        self._cancelled = self._done = False
        self._later()

    def cancel(self) -> None:
        self._cancelled = True
        self._later()

    def _later(self) -> None:
        self._runtime.call_later(0.0, self._advance)

    def _advance(self) -> None:
        if self._done:
            return
        try:
            if self._cancelled:
                self._cancelled = False
                gate = self._coroutine.throw(asyncio.CancelledError())
            else:
                gate = self._coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            self._done = True
            return
        assert isinstance(gate, Gate), "only a Gate can be awaited on virtual time"
        gate.waiting.append(self._later)


class Gate:
    """What a coroutine handler awaits in a test, until the test opens it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.opened = False

    def __await__(self) -> Any:
        if not self.opened:
            yield self

    def open(self) -> None:
        self.opened = True
        for resume in self.waiting:
            resume()
        self.waiting.clear()


class Names:
    """A resolver with a table: name -> addresses. Answers after ``delay`` seconds."""

    def __init__(self, clock: Clock, table: dict[str, list[str]] | None = None, delay: float = 0.01) -> None:
        self.clock = clock
        self.table = table if table is not None else {}
        self.delay = delay
        self.asked: list[str] = []

    def resolve(self, uri: NodeURI, callback: Callable[[list[Endpoint]], None]) -> None:
        self.asked.append(uri.host)

        def answer() -> None:
            literal = uri.endpoint
            hosts = self.table.get(uri.host, [])
            callback([literal] if literal else [Endpoint(uri.transport, host, uri.port) for host in hosts])

        self.clock.call_later(self.delay, answer)


class Net:
    """Datagrams between endpoints."""

    def __init__(self, clock: Clock, *, loss: float = 0.0, delay: float = 0.0005) -> None:
        self.clock = clock
        #: Chance that one datagram is lost.
        self.loss = loss
        #: Seconds one way.
        self.delay = delay
        self.receivers: dict[Endpoint, Callable[[bytes, Endpoint], None]] = {}
        #: Called with (endpoint that refused, reason); by the sender's endpoint.
        self.failed: dict[Endpoint, Callable[[Endpoint, str], None]] = {}
        #: (from host, to host) that nothing passes.
        self.cuts: set[tuple[str, str]] = set()
        #: Hosts whose kernel answers for a closed port.
        self.refusing: set[Endpoint] = set()
        #: Everything that was sent: (time, from, to, data).
        self.log: list[tuple[float, Endpoint, Endpoint, bytes]] = []

    def sender(self, source: Endpoint) -> Callable[[bytes, Endpoint], None]:
        """The ``send`` of the node at ``source``."""
        return lambda data, to: self.send(data, source, to)

    def send(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        self.log.append((self.clock.time, source, to, data))
        if (source.host, to.host) in self.cuts or self.clock.random.random() < self.loss:
            return
        self.clock.call_later(self.delay, lambda: self._arrive(data, source, to))

    def cut(self, some: Iterable[str], others: Iterable[str]) -> None:
        """Nothing passes between the hosts of the two groups, either way."""
        others = list(others)
        for one in some:
            for other in others:
                self.cuts.add((one, other))
                self.cuts.add((other, one))

    def _arrive(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        receiver = self.receivers.get(to)
        if receiver is not None:
            receiver(data, source)
        elif to in self.refusing and source in self.failed:
            failed = self.failed[source]
            self.clock.call_later(self.delay, lambda: failed(to, "refused"))


class Cluster:
    """Several buses on one network: ``127.0.0.11:5060``, ``.12``, ..."""

    def __init__(self, *, seed: int = 1, loss: float = 0.0, delay: float = 0.0005) -> None:
        self.clock = Clock(seed)
        self.net = Net(self.clock, loss=loss, delay=delay)
        self.names = Names(self.clock)
        self.buses: dict[str, Bus] = {}
        self.runtimes: dict[str, VirtualRuntime] = {}

    def add(
        self,
        host: str,
        *seeds: str,
        start: bool = True,
        connected: Callable[[Endpoint], bool] = lambda endpoint: True,
        key: KeyPolicy | None = None,
        **settings: Any,
    ) -> Bus:
        """A new node at ``host`` (``host:port`` for another port), joining through ``seeds``."""
        uri = NodeURI.parse(f"sip:{host}")
        endpoint = uri.endpoint or Endpoint("udp", uri.host, uri.port)
        runtime = VirtualRuntime(self.clock)
        addresses = tuple(NodeURI.parse(f"sip:{seed}") for seed in seeds)
        send = self.net.sender(endpoint)
        # As a node with tables, whose peer says so.
        settings.setdefault("supported", (OWN_TAG,))
        bus = Bus(BusSettings(uri, addresses, **settings), runtime, send, self.names, connected, key=key)
        self.buses[host] = bus
        self.runtimes[host] = runtime
        self.net.receivers[endpoint] = bus.receive
        self.net.failed[endpoint] = bus.transport_failed
        if start:
            bus.start()
        return bus

    def full(self, count: int, **settings: Any) -> list[Bus]:
        """``count`` nodes that all know and hold each other active; the first two are the seeds."""
        hosts = [f"127.0.0.{11 + number}" for number in range(count)]
        buses = [self.add(host, *hosts[:2], **settings) for host in hosts]
        self.clock.run_until(self.meshed, 60)
        return buses

    def meshed(self) -> bool:
        """Whether every node that is here holds every other active, and nobody else."""
        return all(len(bus.active_nodes()) == len(self.buses) - 1 for bus in self.buses.values())

    def kill(self, host: str, *, refuses: bool = False) -> None:
        """``kill -9``. With ``refuses`` its machine answers for the closed port."""
        bus = self.buses.pop(host)
        self.runtimes.pop(host).halted = True
        endpoint = bus.local.endpoint
        assert endpoint is not None
        del self.net.receivers[endpoint]
        del self.net.failed[endpoint]
        if refuses:
            self.net.refusing.add(endpoint)

    def status(self, host: str, of: str) -> NodeStatus | None:
        """What the node at ``host`` holds the node at ``of`` for; None: not in its list."""
        node = self.buses[host].nodes.get(NodeURI.parse(of))
        return node.status if node is not None else None


class Stranger:
    """An endpoint that a test plays by hand: it sends what the test wants and keeps what it gets.

    With ``answer`` it behaves: called with each request, it returns the status (or status and body) of the
    reply, or None for silence. :func:`kamailio` makes one that answers as a Kamailio 5.6 does.
    """

    def __init__(self, cluster: Cluster, host: str, port: int = 5060) -> None:
        self.cluster = cluster
        self.endpoint = Endpoint("udp", host, port)
        self.uri = NodeURI(host, port)
        self.requests: list[SipRequest] = []
        self.responses: list[SipResponse] = []
        self.answer: Callable[[SipRequest], tuple[int, bytes] | None] = lambda request: None
        self.server = ""
        self.extra: tuple[tuple[str, str], ...] = ()
        self._count = 0
        self._last_source = self.endpoint
        cluster.net.receivers[self.endpoint] = self._receive

    def request(
        self,
        to: str,
        channel: str = "notification_peer",
        body: bytes = b"",
        *,
        method: str = "KDMQ",
        hops: int = 1,
        sender: NodeURI | None = None,
        branch: str = "",
        call_id: str = "",
        tag: str = "t1",
        content_type: str = "text/plain",
    ) -> bytes:
        """Send a request, and return it so that a test may send it again."""
        self._count += 1
        target = NodeURI.parse(to)
        draft = Draft(
            method,
            target.with_user(channel),
            (sender or self.uri).with_user(channel),
            target.with_user(channel),
            "udp",
            # As long as what a Kamailio sends: a stranger is sent no more than it has sent.
            branch or f"z9hG4bK{self.uri.host}.{self._count:080}",
            call_id or f"{self._count}@{self.uri.host}",
            10,
            hops,
            content_type,
            body,
        )
        data = build_request(Author(self.uri.host_port, tag, self.server, self.extra), draft)
        self.send(to, data)
        return data

    def tell(self, to: str, body: bytes) -> None:
        """Send a list, and answer pings with the same: a list that may be forged is asked about."""
        before = self.answer

        def answer(request: SipRequest) -> tuple[int, bytes] | None:
            if SipURI.parse(request.uri).user != "notification_peer":
                return before(request)
            return 200, body + f"{NodeURI.parse(request.from_.uri)};status=active\r\n".encode()

        self.answer = answer
        self.request(to, body=body)

    def send(self, to: str, data: bytes) -> None:
        """Send bytes as they are."""
        endpoint = NodeURI.parse(to).endpoint
        assert endpoint is not None
        self.cluster.net.send(data, self.endpoint, endpoint)

    def settle(self, seconds: float = 0.1) -> None:
        """Let what was sent arrive and be answered."""
        self.cluster.clock.run(seconds)

    def reply(self, request: SipRequest, status: int, body: bytes = b"") -> None:
        """Answer a request by hand."""
        draft = DraftReply(status, "", body, "text/plain", "tt", self.server, self.extra)
        data = build_response(request, draft)
        self.cluster.net.send(data, self.endpoint, reply_endpoint(request.via, self._last_source))

    def _receive(self, data: bytes, source: Endpoint) -> None:
        message = parse_message(data)
        if isinstance(message, SipResponse):
            self.responses.append(message)
            return
        self.requests.append(message)
        self._last_source = source
        answer = self.answer(message)
        if answer is not None:
            self.reply(message, *answer)


def kamailio(cluster: Cluster, host: str, *others: str, name: str = "", lists_us: bool = True) -> Stranger:
    """A Kamailio 5.6 as far as membership goes; ``others`` stand in its list beside itself, which it calls
    ``name`` (default: its address and port), and whoever asks, unless ``lists_us`` is false."""
    node = Stranger(cluster, host)
    node.server = "kamailio (5.6.3 (x86_64/linux))"
    addresses = (name or f"{host}:5060", *(f"{other}:5060" for other in others))
    body = b"".join(f"sip:{address};status=active\r\n".encode() for address in addresses)

    def answer(request: SipRequest) -> tuple[int, bytes]:
        channel = SipURI.parse(request.uri).user
        if channel == "notification_peer":
            asker = NodeURI.parse(request.from_.uri)
            return 200, body + (f"{asker};status=active\r\n".encode() if lists_us else b"")
        return (200, b"") if channel == "htable" else (404, b"")

    node.answer = answer
    return node
