"""The Redis protocol's server: it listens, and hands each client to a ``Connection``."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from dmqcache.metrics.memory import resident_bytes
from dmqcache.server.resp import local_socket, permission
from dmqcache.server.resp.acl import Users, to_end
from dmqcache.server.resp.clients import MAX_CLIENTS, Clients
from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.connection import Connection
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.key_events import parse_letters
from dmqcache.server.resp.served_node import ServedNode
from dmqcache.server.resp.session import RespCounters, Session, Shared
from dmqcache.server.resp.users import making_users

#: Connections that may wait to be accepted (Redis' tcp-backlog).
BACKLOG: Final = 511
#: The longest argument unless the tables take longer values: enough to be told so instead of cut off.
MAX_ARGUMENT_BYTES: Final = 16 << 20
#: Connections that are closed in one turn of the loop when users have changed: a millisecond or two.
ENDED_AT_ONCE: Final = 50


class Closable(Protocol):
    """What can be closed, as all that listens."""

    def close(self) -> None: ...


class TlsDoor(Protocol):
    """Takes connections once their handshakes are done, within its bounds."""

    def listen(
        self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol], refused: Callable[[str], None]
    ) -> Closable:
        """On a socket that is bound; ``refused`` is told why a connection is not taken."""

    def close(self) -> None:
        """Break off what is under way."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Who is let in, and by which way beside the address."""

    #: Reads who may do what, in steps; ValueError says what is wrong.
    users: Callable[[], Generator[None, None, Users]] = making_users
    #: The users are read from a file (ACL LOAD).
    from_file: bool = False
    #: Without a password clients of other machines are refused (Redis' protected-mode).
    protected: bool = True
    #: A unix socket.
    path: Path | None = None
    #: Where clients connect over TLS, and with what.
    tls_address: tuple[str, int] | None = None
    tls: TlsDoor | None = None


class RespServer:
    """Serves the tables of one node to Redis clients. ``port`` 0 lets the system choose; without a ``host``
    only the other doors are open."""

    def __init__(
        self,
        node: ServedNode,
        host: str | None,
        port: int,
        *,
        max_clients: int = MAX_CLIENTS,
        max_value_bytes: int = 0,
        doors: Doors | None = None,
        key_events: str = "",
    ) -> None:
        self._doors = doors or Doors()
        self._wanted = None if host is None else (host, port)
        self._max_argument = max(MAX_ARGUMENT_BYTES, 2 * max_value_bytes)
        self.shared = Shared(
            node,
            time.time,
            time.monotonic,
            Cursors(random.randrange(1, 1 << 31)),
            execute,
            run_id=f"{random.getrandbits(160):040x}",
            max_clients=max_clients,
            room=max_clients,
            started=time.monotonic(),
            startup_bytes=resident_bytes() or 0,
            protected=self._doors.protected,
            load_users=self._reload if self._doors.from_file else None,
        )
        self.shared.key_events.tell(parse_letters(key_events))
        node.channels.deliver_to(self.shared.subscriptions.deliver)
        self._clients = Clients(self.shared)
        self._servers: list[Closable] = []
        self._path_bound = False
        #: How often the users were begun to be read again, and which of these readings counts.
        self._readings = self._reading = 0
        #: Where it listens, in the clear and over TLS.
        self.address: tuple[str, int] = self._wanted or ("", 0)
        self.tls_address: tuple[str, int] = self._doors.tls_address or ("", 0)

    @property
    def counters(self) -> RespCounters:
        """Plain numbers, for the metrics."""
        return self.shared.counters

    @property
    def clients(self) -> int:
        """Connections now."""
        return len(self._clients)

    async def start(self) -> None:
        """Read the users and listen. OSError where an address cannot be had; ValueError as ``Doors`` says."""
        self.shared.users = to_end(self._doors.users())
        try:
            await self._listen(asyncio.get_running_loop())
        except BaseException:
            await self.close()
            raise

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open all doors. An error about another than the address has its option as the file name."""
        doors = self._doors
        if self._wanted is not None:
            self.address = await self._open(loop, *self._wanted)
            self.shared.port = self.address[1]
        if doors.tls_address is not None and doors.tls is not None:
            host, port = doors.tls_address
            try:
                self.tls_address = self._open_tls(host, port, doors.tls)
            except OSError as problem:
                raise OSError(problem.errno, problem.strerror, f"client_tls_address {host}:{port}") from None
        if doors.path is not None:
            listener = local_socket.bind(doors.path)
            self._path_bound = True
            server = await loop.create_unix_server(self._connection, sock=listener, backlog=BACKLOG)
            self._servers.append(server)

    async def _open(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> tuple[str, int]:
        try:
            server = await loop.create_server(self._connection, host, port, backlog=BACKLOG)
        except OSError as problem:
            # The loop's own text repeats the address; the system's says enough.
            reason = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem)
            raise OSError(problem.errno, reason) from None
        self._servers.append(server)
        return host, server.sockets[0].getsockname()[1]

    def _open_tls(self, host: str, port: int, door: TlsDoor) -> tuple[str, int]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        self._servers.append(door.listen(listener, self._connection, self._not_shaken))
        return host, listener.getsockname()[1]

    def _not_shaken(self, why: str) -> None:
        self.shared.counters.refused[why] += 1
        self.shared.node.bus.counters.refused_clients[why] += 1

    def _connection(self) -> Connection:
        return Connection(self.shared, self._clients, self._max_argument, asyncio.get_running_loop())

    def reload(self) -> None:
        """Read the users again; connections of those that are changed or gone are closed. ValueError, and
        nothing is changed."""
        to_end(self._reload())

    def _reload(self) -> Generator[None, None, None]:
        """The same in steps. All that is new counts from one moment on."""
        self._readings += 1
        number = self._readings
        users = yield from self._doors.users()
        for name, user in list(users.by_name.items()):
            before = self.shared.users.by_name.get(name)
            if before == user:
                users.by_name[name] = before
            yield
        if number < self._reading:
            return  # What was read since counts already.
        self._reading = number
        self._end(permission.use(self.shared, users))

    def _end(self, sessions: list[Session]) -> None:
        """Close their connections, some in each turn: to users that are gone nothing more is said anyway."""
        for session in sessions[:ENDED_AT_ONCE]:
            session.end()
        if len(sessions) > ENDED_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._end, sessions[ENDED_AT_ONCE:])

    async def close(self) -> None:
        """Stop listening and close every connection once its replies are out."""
        for keys in self.shared.read_only.values():
            keys.close()
        if not self._servers:
            return
        for server in self._servers:
            server.close()
        if self._doors.tls is not None:
            self._doors.tls.close()
        if self._path_bound and self._doors.path is not None:
            self._path_bound = False
            self._doors.path.unlink(missing_ok=True)
        self._clients.close()
        self._servers.clear()
        if self.shared.scripts is not None:
            self.shared.scripts.close()
        await asyncio.sleep(0)
