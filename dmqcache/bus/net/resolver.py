"""Host names to addresses, without ever blocking the loop.

Owns the cache and the threads in which the system's resolver blocks. When to ask again, and what to do
with several addresses, is left to who asks. A node's port is known, but for the name of a service
(``srv.py``), behind which hosts and ports stand.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.net.log_limit import LogLimit
from dmqcache.bus.net.srv import is_srv, srv_lookup
from dmqcache.bus.runtime import Resolved
from dmqcache.bus.sip.uri import Endpoint, NodeURI

log = logging.getLogger(__name__)

#: Seconds that an answer is believed. The system's resolver does not tell the record's own time to live.
CACHE_SECONDS = 30.0
#: Seconds before a name that gave nothing is asked again.
NEGATIVE_CACHE_SECONDS = 5.0
#: Seconds until whoever asks gets an empty list. glibc's own default is 5 s for each try of each server.
TIMEOUT_SECONDS = 5.0
#: Names remembered. Node lists from the wire may name anything; the oldest are forgotten first.
CACHE_NAMES = 1024
#: Lookups that may block at once, each in a thread.
THREADS = 8
#: Names that may wait for a thread; one more gets an empty list.
WAITING_NAMES = 1024

#: An address, and its port where the DNS names one.
Found = tuple[str, int | None]
#: A blocking lookup of a service's name: to hosts and ports, best first. OSError if none.
SrvLookup = Callable[[str], Sequence[tuple[str, int]]]
#: A blocking lookup: a host name to the texts of its addresses, best first. OSError or UnicodeError if none.
Lookup = Callable[[str], Sequence[str]]


def system_lookup(host: str) -> list[str]:
    """Ask the system (hosts file, DNS). Blocks. Addresses in the order of RFC 6724, each once."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class AsyncResolver:
    """:class:`~dmqcache.bus.runtime.Resolver` over the system's blocking one.

    The threads are daemons of its own: a name server that is down must neither fill the loop's common pool
    nor keep the process from ending.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        lookup: Lookup = system_lookup,
        srv: SrvLookup = srv_lookup,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timeout``: seconds. ``lookup``, ``srv`` and ``now`` (monotonic seconds) are there for tests."""
        self._loop = loop if loop is not None else asyncio.get_running_loop()
        self._timeout = timeout
        self._lookup = lookup
        self._srv = srv
        self._now = now
        self._closed = False
        #: host -> (addresses, when they are too old)
        self._cache: Bounded[str, tuple[Sequence[Found], float]] = Bounded(CACHE_NAMES)
        #: host -> who waits for it
        self._asking: dict[str, list[tuple[NodeURI, Resolved]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._queue: deque[str] = deque()
        self._threads = 0
        #: Strangers may name hosts without end: one line a minute of each kind, whatever the name.
        self._complaints = LogLimit()

    def resolve(self, uri: NodeURI, callback: Resolved) -> None:
        """See :meth:`dmqcache.bus.runtime.Resolver.resolve`. Askers of one name share one lookup."""
        literal = uri.endpoint
        if literal is not None:
            self._answer(callback, [literal])
            return
        host = uri.host
        known = self._cache.get(host)
        if known is not None and self._now() < known[1]:
            self._answer(callback, _endpoints(uri, known[0]))
        elif host in self._asking:
            self._asking[host].append((uri, callback))
        elif self._closed or len(self._queue) >= WAITING_NAMES:
            if self._complaints.may("full", self._now()):
                log.warning("%s is not resolved: too many names wait for the resolver", host)
            self._answer(callback, [])
        else:
            self._ask(host, uri, callback)

    def close(self) -> None:
        """Resolved whoever waits with an empty list. Threads that hang in the system end by themselves."""
        self._closed = True
        self._queue.clear()
        for host in list(self._asking):
            self._finish(host, [])

    def _answer(self, callback: Resolved, endpoints: list[Endpoint]) -> None:
        # Always on a later turn, so that who asks meets one order of events only.
        self._loop.call_soon(callback, endpoints)

    def _ask(self, host: str, uri: NodeURI, callback: Resolved) -> None:
        self._asking[host] = [(uri, callback)]
        self._timers[host] = self._loop.call_later(self._timeout, self._timed_out, host)
        self._queue.append(host)
        self._start_threads()

    def _start_threads(self) -> None:
        while self._queue and self._threads < THREADS:
            host = self._queue.popleft()
            self._threads += 1
            threading.Thread(target=self._block, args=(host,), name=f"resolve {host}", daemon=True).start()

    def _block(self, host: str) -> None:
        """In a thread of its own."""
        addresses: Sequence[Found] = ()
        try:
            addresses = self._look_up(host)
        except (OSError, UnicodeError) as error:
            log.debug("%s does not resolve: %s", host, error)
        except Exception:
            log.exception("resolving %s failed", host)
        try:
            self._loop.call_soon_threadsafe(self._thread_ended, host, addresses)
        except RuntimeError:
            log.debug("the answer for %s came after the loop's end", host)

    def _look_up(self, host: str) -> list[Found]:
        if not is_srv(host):
            return [(address, None) for address in self._lookup(host)]
        found: dict[Found, None] = {}
        for target, port in self._srv(host):
            try:
                found |= dict.fromkeys((address, port) for address in self._lookup(target))
            except (OSError, UnicodeError) as error:
                log.debug("%s, of %s, does not resolve: %s", target, host, error)
        return list(found)

    def _thread_ended(self, host: str, addresses: Sequence[Found]) -> None:
        self._threads -= 1
        self._start_threads()
        self._finish(host, addresses)

    def _timed_out(self, host: str) -> None:
        if self._complaints.may("late", self._now()):
            log.warning("%s did not resolve within %g s", host, self._timeout)
        if host in self._queue:
            self._queue.remove(host)
        self._finish(host, ())

    def _finish(self, host: str, addresses: Sequence[Found]) -> None:
        timer = self._timers.pop(host, None)
        if timer is not None:
            timer.cancel()
        waiting = self._asking.pop(host, [])
        # An answer after its time is still worth keeping; nothing at all after its time is not.
        if addresses or waiting:
            self._remember(host, addresses)
        for uri, callback in waiting:
            self._answer(callback, _endpoints(uri, addresses))

    def _remember(self, host: str, addresses: Sequence[Found]) -> None:
        lifetime = CACHE_SECONDS if addresses else NEGATIVE_CACHE_SECONDS
        self._cache[host] = (addresses, self._now() + lifetime)


def _endpoints(uri: NodeURI, addresses: Sequence[Found]) -> list[Endpoint]:
    return [Endpoint(uri.transport, address, port or uri.port) for address, port in addresses]
