"""TLS handshakes that others begin: how many may be under way, from one address and in all, and for how long.

Until its handshake is done a connection belongs to nobody who could bound it: it holds a descriptor and some
hundred kilobytes. So connections are accepted here, one address is told from another, and only who has
finished is handed on. Which certificates are shown and wanted is ``tls``'s.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from dmqcache.bus.net.log_limit import LogLimit
from dmqcache.bus.net.sockaddr import endpoint_of

log = logging.getLogger(__name__)

#: Handshakes under way at once. One takes a few round trips; with 256 a thousand a second come through.
MAX_UNDER_WAY: Final = 256
#: Of these from one address: a pool of a client's connections begins at once, and machines share addresses.
MAX_FROM_HOST: Final = 64
#: Seconds that one may take: four round trips of a second, and some of its packets lost.
SECONDS: Final = 10.0
#: Connections that are accepted in one turn of the loop.
ACCEPTED_AT_ONCE: Final = 16
#: Seconds until it is tried again where the system has no more files.
PAUSE_S: Final = 1.0
#: Why one did not come about: too many are under way; it took too long; it was none, or the certificate is
#: not accepted, by either side; whoever calls may not.
TOO_MANY: Final = "tls_too_many"
TOO_SLOW: Final = "tls_too_slow"
FAILED: Final = "tls_failed"
NOT_ALLOWED: Final = "not_allowed"

_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many, and for how long."""

    under_way: int = MAX_UNDER_WAY
    from_host: int = MAX_FROM_HOST
    seconds: float = SECONDS


@dataclass(slots=True, eq=False)
class _Shake:
    host: str
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Handshakes:
    """The handshakes of one server."""

    #: What the next one is made with.
    context: ssl.SSLContext
    bounds: Bounds = field(default_factory=Bounds)
    #: Whether a host may call at all.
    admits: Callable[[str], bool] = lambda host: True
    #: Hears of one that failed: the host, and what it ended with.
    failed: Callable[[str, OSError], None] = lambda host, error: None
    #: By host, oldest first.
    _under_way: dict[str, dict[_Shake, None]] = field(default_factory=dict)
    _complaints: LogLimit = field(default_factory=LogLimit)

    def listen(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        refused: Callable[[str], None],
    ) -> Listener:
        """Accept connections of a socket that is bound, and hand those whose handshake is done to protocols
        of the ``factory``. ``refused``: told why one is not."""
        return Listener(sock, partial(self._take, factory, refused))

    @property
    def under_way(self) -> int:
        """How many there are now."""
        return sum(map(len, self._under_way.values()))

    def close(self) -> None:
        """Break off those that are under way."""
        for shakes in list(self._under_way.values()):
            for shake in list(shakes):
                self._break(shake)

    def _take(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        refused: Callable[[str], None],
        sock: socket.socket,
        address: Any,
    ) -> None:
        host = endpoint_of("tls", address).host
        why = NOT_ALLOWED if not self.admits(host) else "" if self._has_room(host, refused) else TOO_MANY
        if why:
            self._refuse(host, why, refused)
            sock.close()
            return
        shake = _Shake(host)
        self._under_way.setdefault(host, {})[shake] = None
        task = asyncio.get_running_loop().create_task(self._shake(shake, sock, factory, refused))
        shake.task = task
        task.add_done_callback(lambda _: self._forget(shake))

    def _has_room(self, host: str, refused: Callable[[str], None]) -> bool:
        """Whether there is room for one more; if need be that of the oldest of whoever has most."""
        own = len(self._under_way.get(host, ()))
        if own >= self.bounds.from_host:
            return False
        if self.under_way < self.bounds.under_way:
            return True
        most = max(self._under_way, key=lambda other: len(self._under_way[other]))
        if len(self._under_way[most]) <= own + 1:
            return False
        self._refuse(most, TOO_MANY, refused)
        self._break(next(iter(self._under_way[most])))
        return True

    async def _shake(
        self,
        shake: _Shake,
        sock: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        refused: Callable[[str], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.bounds.seconds):
                # Its own limit only logs differently from loop to loop: it is never reached.
                await loop.connect_accepted_socket(
                    factory, sock, ssl=self.context, ssl_handshake_timeout=2 * self.bounds.seconds
                )
        except TimeoutError:
            self._refuse(shake.host, TOO_SLOW, refused)
        except OSError as error:
            log.debug("a TLS handshake with %s failed: %s", shake.host, error)
            self.failed(shake.host, error)
            refused(FAILED)

    def _refuse(self, host: str, why: str, refused: Callable[[str], None]) -> None:
        refused(why)
        if why != NOT_ALLOWED and self._complaints.may(host, asyncio.get_running_loop().time()):
            log.warning(
                "a TLS handshake with %s is broken off, %s: %d are under way from there, %d in all",
                host, why, len(self._under_way.get(host, ())), self.under_way,
            )  # fmt: skip

    def _break(self, shake: _Shake) -> None:
        self._forget(shake)
        if shake.task is not None:
            shake.task.cancel()

    def _forget(self, shake: _Shake) -> None:
        shakes = self._under_way.get(shake.host, {})
        shakes.pop(shake, None)
        if not shakes:
            self._under_way.pop(shake.host, None)


class Listener:
    """One socket that connections are accepted from."""

    def __init__(self, sock: socket.socket, take: Callable[[socket.socket, Any], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._take = take
        self._timer: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(socket.SOMAXCONN)
        self._watch()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket, as a server of asyncio shows it."""
        return (self._sock,)

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    async def wait_closed(self) -> None:
        """As a server of asyncio has it: there is nothing to wait for."""

    def _watch(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                taken, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_FILES:
                    raise
                log.error("no connection can be accepted: %s; again in %g s", error.strerror, PAUSE_S)
                self._loop.remove_reader(self._sock.fileno())
                self._timer = self._loop.call_later(PAUSE_S, self._watch)
                return
            taken.setblocking(False)
            self._take(taken, address)
