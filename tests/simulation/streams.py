"""Virtual TCP: connections between nodes, made when something is to be sent, kept and used both ways.

Owns connecting, order, stalls behind a cut link, back-pressure of a full socket, resets. Bytes arrive cut at
any place, and the code's own framer puts the messages together. Nothing is lost but with its connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log

from dmqcache.bus.sip.stream import StreamFramer
from dmqcache.bus.sip.uri import Endpoint
from tests.simulation.describe import describe
from tests.simulation.network import Network, Socket

#: Seconds until an attempt to connect is given up, and between its tries; until a stalled connection is.
CONNECT_S = 5.0
AGAIN_S = 1.0
STALLED_S = 20.0
#: Seconds until a lost segment is sent again at first, and at most.
RESEND_S = (0.2, 2.0)
#: Seconds between two looks whether a full socket has room.
FULL_S = 0.05
#: The first port that a kernel chooses for a connection.
FIRST_PORT = 32_768


@dataclass(slots=True, eq=False)
class _Way:
    """One direction of a connection."""

    sender: Socket
    receiver: Socket
    #: How the sender calls the other end, and how the receiver does.
    to: Endpoint
    source: Endpoint
    framer: StreamFramer = field(default_factory=StreamFramer)
    #: When each piece arrives.
    pieces: deque[tuple[float, bytes]] = field(default_factory=deque)
    #: Messages that a full socket has no room for.
    held: deque[bytes] = field(default_factory=deque)
    moving: bool = False
    #: Since when nothing passes.
    stalled: float | None = None


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection; without ways while it is being made."""

    ways: dict[Socket, _Way] = field(default_factory=dict)
    early: list[bytes] = field(default_factory=list)
    open: bool = True


class Streams:
    """All connections of one network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._world = network.world
        self._connections: dict[Socket, dict[Endpoint, _Connection]] = {}
        self._port = FIRST_PORT

    def open(self, socket: Socket) -> Callable[[bytes, Endpoint], None]:
        """Let a process listen; returns its ``send``."""
        self._network.open(socket)
        self._connections[socket] = {}
        return lambda data, to: self._send(socket, data, to)

    def connected(self, socket: Socket, endpoint: Endpoint) -> bool:
        """Whether there is a connection to ``endpoint``."""
        connection = self._connections.get(socket, {}).get(endpoint)
        return connection is not None and connection.open

    def busy_until(self) -> float:
        """Virtual seconds when the last of what is on its way now arrives, if nothing more is lost."""
        open_ones = (one for known in self._connections.values() for one in known.values() if one.open)
        ways = (way for connection in open_ones for way in connection.ways.values())
        return max((way.pieces[-1][0] for way in ways if way.pieces), default=0.0)

    def close(self, socket: Socket) -> None:
        """The process is gone: the kernel resets its connections."""
        self._network.close(socket)
        for connection in dict.fromkeys(self._connections.pop(socket, {}).values()):
            connection.open = False
            for way in connection.ways.values():
                if way.sender is not socket and not self._is_cut(socket, way.sender):
                    self._world.call_later(self._delay(way), lambda way=way: self._lost(way, "reset"))  # type: ignore[misc]

    # -- connecting --------------------------------------------------------------------------------------

    def _send(self, socket: Socket, data: bytes, to: Endpoint) -> None:
        self._network.counts["sent"] += 1
        self._world.stamp(data)
        if self._world.transcript is not None:
            self._world.note(socket.endpoint.host, f"=> {to.host} {describe(data)}")
        connection = self._connections[socket].get(to)
        if connection is None:
            connection = self._connections[socket][to] = _Connection()
            self._port += 1
            end = Endpoint("tcp", socket.endpoint.host, self._port)
            self._connect(socket, end, to, connection, self._world.now)
        if connection.ways:
            self._write(connection.ways[socket], connection, data)
        else:
            connection.early.append(data)

    def _connect(
        self, socket: Socket, end: Endpoint, to: Endpoint, connection: _Connection, began: float
    ) -> None:
        if self._connections.get(socket, {}).get(to) is not connection:
            return
        network, world = self._network, self._world
        weather = network.weather_of(socket.endpoint.host, to.host)
        if network.is_cut(socket.endpoint.host, to.host) or world.chance.random() < weather.loss:
            if world.now - began >= CONNECT_S:
                self._fail(socket, to, "timeout")
            else:
                world.call_later(AGAIN_S, lambda: self._connect(socket, end, to, connection, began))
            return
        world.call_later(2 * weather.delay, lambda: self._made(socket, end, to, connection))

    def _made(self, socket: Socket, end: Endpoint, to: Endpoint, connection: _Connection) -> None:
        if self._connections.get(socket, {}).get(to) is not connection:
            return
        server = self._network.listening(to)
        if server is None or server not in self._connections:
            self._network.counts["refused"] += 1
            self._fail(socket, to, "refused")
            return
        self._network.counts["connections"] += 1
        connection.ways[socket] = _Way(socket, server, to, end)
        connection.ways[server] = _Way(server, socket, end, to)
        self._connections[server][end] = connection
        for data in connection.early:
            self._write(connection.ways[socket], connection, data)
        connection.early.clear()

    def _fail(self, socket: Socket, to: Endpoint, reason: str) -> None:
        self._connections.get(socket, {}).pop(to, None)
        self._world.note(socket.endpoint.host, f"{to.host}: {reason}")
        self._world.call_at(self._world.now, lambda: socket.failed(to, reason), socket.runtime)

    # -- bytes on their way ------------------------------------------------------------------------------

    def _write(self, way: _Way, connection: _Connection, data: bytes) -> None:
        if not connection.open:
            self._lost(way, "reset")
            return
        chance = self._world.chance.random
        cut = int(chance() * len(data)) if chance() < 0.3 else len(data)
        for piece in (data[:cut], data[cut:]):
            if piece:
                before = way.pieces[-1][0] if way.pieces else 0.0
                way.pieces.append((max(before, self._world.now + self._delay(way)), piece))
        self._move(way, connection)

    def _delay(self, way: _Way) -> float:
        """Seconds on the way, with what it takes to send again what was lost."""
        weather = self._network.weather_of(way.sender.endpoint.host, way.receiver.endpoint.host)
        chance = self._world.chance.random
        delay = weather.delay + weather.jitter * -log(1.0 - chance())
        again = RESEND_S[0]
        while weather.loss and chance() < weather.loss:
            self._network.counts["lost"] += 1
            delay += again
            again = min(RESEND_S[1], again * 2)
        return delay

    def _is_cut(self, one: Socket, other: Socket) -> bool:
        # What is not acknowledged has not arrived, as far as the sender knows.
        hosts = one.endpoint.host, other.endpoint.host
        return self._network.is_cut(*hosts) or self._network.is_cut(*reversed(hosts))

    def _move(self, way: _Way, connection: _Connection, pause: float = 0.0) -> None:
        if not way.moving and (way.pieces or way.held):
            way.moving = True
            when = max(way.pieces[0][0] if way.pieces else 0.0, self._world.now + pause)
            self._world.call_at(when, lambda: self._arrive(way, connection))

    def _arrive(self, way: _Way, connection: _Connection) -> None:
        way.moving = False
        now = self._world.now
        if not connection.open or self._network.listening(way.receiver.endpoint) is not way.receiver:
            if not self._is_cut(way.sender, way.receiver):
                self._lost(way, "reset")
            return
        if self._is_cut(way.sender, way.receiver):
            way.stalled = now if way.stalled is None else way.stalled
            self._network.counts["stalled"] += 1
            if now - way.stalled >= STALLED_S:
                connection.open = False
                self._lost(way, "timeout")
            else:
                self._move(way, connection, RESEND_S[0] + min(RESEND_S[1], now - way.stalled))
            return
        way.stalled = None
        if way.pieces and way.pieces[0][0] <= now:
            way.held.extend(way.framer.feed(way.pieces.popleft()[1]))
        while way.held:
            if not self._network.deliver(way.receiver, way.held[0], way.source, drop=False):
                self._move(way, connection, FULL_S)
                return
            way.held.popleft()
        self._move(way, connection)

    def _lost(self, way: _Way, reason: str) -> None:
        """The sender of this direction notices that the connection is gone."""
        if self._connections.get(way.sender, {}).pop(way.to, None) is not None:
            self._world.note(way.sender.endpoint.host, f"{way.to.host}: {reason}")
            self._world.call_at(
                self._world.now, lambda: way.sender.failed(way.to, reason), way.sender.runtime
            )
