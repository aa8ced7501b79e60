"""A bus on real sockets: the asyncio shell around the sans-I/O :class:`~dmqcache.bus.bus.Bus`.

``dmqcache.open_bus`` is all that a program needs which wants the bus and no cache; ``CacheNode`` stands on
:class:`OpenBus` too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dmqcache.bus.admission import Admission
from dmqcache.bus.allow import AllowList
from dmqcache.bus.bus import Bus
from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.net.aio import AsyncioRuntime
from dmqcache.bus.net.key_file import KeyFile
from dmqcache.bus.net.refresh import Refresher
from dmqcache.bus.net.resolver import AsyncResolver
from dmqcache.bus.net.tcp import TcpOptions
from dmqcache.bus.net.tls import TlsContexts, TlsOptions, load
from dmqcache.bus.net.transport import TransportOptions, Transports
from dmqcache.bus.net.udp import UdpOptions
from dmqcache.bus.node import Node, Trouble
from dmqcache.bus.peer import Peer
from dmqcache.bus.runtime import Resolved, Resolver
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.trust.guard import KeyPolicy

log = logging.getLogger("dmqcache.bus")

#: Seconds that a leaving node waits at most until the others have taken note.
LEAVE_S = 2.0
#: Connections remembered as told of to the transports; each is told of once.
MAX_SOURCES = 1_000


class SeedResolver:
    """A resolver that says, once until it changes, of which notification address nothing comes: a misspelt
    name would look like a bus on which nobody is."""

    def __init__(self, resolver: Resolver, seeds: Iterable[NodeURI]) -> None:
        self._resolver = resolver
        self._seeds = frozenset(seeds)
        self._lost: set[NodeURI] = set()

    def resolve(self, uri: NodeURI, callback: Resolved) -> None:
        """See :meth:`dmqcache.bus.runtime.Resolver.resolve`."""
        if uri not in self._seeds:
            self._resolver.resolve(uri, callback)
            return

        def found(endpoints: list[Endpoint]) -> None:
            if endpoints:
                self._lost.discard(uri)
            elif uri not in self._lost:
                self._lost.add(uri)
                log.warning("notification address %s: %s does not resolve, it is asked again", uri, uri.host)
            callback(endpoints)

        self._resolver.resolve(uri, found)


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The bus's key: see :class:`~dmqcache.bus.trust.guard.KeyPolicy`."""

    file: Path
    required: bool = True
    #: Hosts of Kamailio nodes, which hold no key.
    kamailio: AllowList = field(default_factory=AllowList)


@dataclass(frozen=True, slots=True)
class Security:
    """Who may speak at all, and how who speaks shows who it is."""

    allow: AllowList = field(default_factory=AllowList)
    #: None: no TLS.
    tls: TlsOptions | None = None
    #: None: the bus has no key.
    key: KeyOptions | None = None


class OpenBus:
    """A bus with its sockets. ``prepare`` registers peers after the bus is built and before it starts; then
    ``before`` does what must be done, or must have failed, before any other node hears of this one."""

    def __init__(
        self,
        settings: BusSettings,
        prepare: Callable[[Bus, AsyncioRuntime], None] = lambda bus, runtime: None,
        listen: Sequence[NodeURI] = (),
        before: Callable[[], Awaitable[None]] | None = None,
        security: Security | None = None,
    ) -> None:
        self._security = security or Security()
        self._refresher: Refresher | None = None
        self._settings = settings
        self._listen = tuple(listen) or (settings.server_address,)
        self._prepare = prepare
        self._before = before
        self._transports: Transports | None = None
        self._runtime: AsyncioRuntime | None = None
        self._resolver: AsyncResolver | None = None
        self._known_sources: set[Endpoint] = set()
        self.bus: Bus | None = None

    async def start(self) -> Bus:
        """Bind the sockets and join. OSError with a clear text where the address cannot be had."""
        key = self._security.key
        key_file = KeyFile(key.file) if key is not None else None
        policy = None
        if key is not None and key_file is not None:
            policy = KeyPolicy(key_file.read(), key.required, key.kamailio)
            needed = "required" if key.required else "not required yet"
            log.info("bus key %s signs, %s count, %s", policy.ring.signing.name, policy.ring.names, needed)
        runtime = self._runtime = AsyncioRuntime()
        loop = asyncio.get_running_loop()
        settings = replace(
            self._settings,
            server_address=await _numeric(self._settings.server_address),
            listens=self._listen,
        )
        resolver = self._resolver = AsyncResolver(loop)
        bus = self.bus = Bus(
            settings,
            runtime,
            lambda data, to: transports.send(data, to),
            SeedResolver(resolver, settings.notification_addresses),
            lambda endpoint: transports.connected(endpoint),
            Admission(self._security.allow.allows, lambda source, host: transports.covers(source, host)),
            policy,
        )
        transports = self._transports = Transports(
            self._listen,
            self._receive,
            bus.transport_failed,
            bus.counters,
            self._transport_options(bus),
        )
        self._refresher = Refresher(
            transports,
            self._security.allow,
            self._security.tls,
            self._certificate_read,
            key_file,
            bus.guard.use,
            () if key is None else (key.kamailio,),
        )
        self._prepare(bus, runtime)
        if self._before is not None:
            await self._before()
        await transports.start()
        await self._refresher.start()
        bus.start()
        return bus

    def _transport_options(self, bus: Bus) -> TransportOptions:
        allow, files = self._security.allow, self._security.tls
        contexts = None if files is None else load(files)
        if contexts is not None:
            self._certificate_read(contexts)
        return TransportOptions(
            udp=UdpOptions(allow=allow, was_sent=bus.was_sent),
            tcp=TcpOptions(
                is_node=bus.is_from_node,
                names=bus.names_at,
                has_left=bus.has_left,
                tls_failed=bus.tls_failed,
                allow=allow,
            ),
            tls=contexts,
        )

    def _certificate_read(self, contexts: TlsContexts) -> None:
        assert self.bus is not None
        self.bus.counters.certificate_expires = contexts.expires
        local = self.bus.local
        faults = contexts.faults(local.uri.host, time.time())
        if faults:
            local.trouble[Trouble.TLS_FAILS] = faults
            log.warning("%s", faults)
        else:
            local.trouble.pop(Trouble.TLS_FAILS, None)

    def refresh(self) -> None:
        """Read certificate and key files and resolve the names of lists now."""
        if self._refresher is not None:
            self._refresher.ask()

    def _receive(self, data: bytes, source: Endpoint) -> None:
        assert self.bus is not None
        self.bus.receive(data, source)
        if source.transport != "udp" and source not in self._known_sources:
            self._use_both_ways(source)

    def _use_both_ways(self, source: Endpoint) -> None:
        """Send to the one node of that host over the connection that it has opened to us."""
        assert self.bus is not None and self._transports is not None
        there = [
            node.endpoint
            for node in self.bus.active_nodes()
            if node.endpoint is not None and node.endpoint[:2] == source[:2]
        ]
        if there:
            if len(self._known_sources) >= MAX_SOURCES:
                self._known_sources.clear()
            self._known_sources.add(source)
        if len(there) == 1:
            self._transports.alias(there[0], source)

    async def close(self, leave: bool = True) -> None:
        """Say goodbye (unless ``leave`` is false) and close the sockets."""
        if self.bus is not None and leave:
            left = asyncio.Event()
            self.bus.leave(left.set)
            with suppress(TimeoutError):
                await asyncio.wait_for(left.wait(), LEAVE_S)
        if self.bus is not None:
            # Before the handlers that still run are cancelled: nobody is told of that.
            self.bus.close()
        if self._refresher is not None:
            await self._refresher.close()
        if self._resolver is not None:
            self._resolver.close()
        if self._runtime is not None:
            await self._runtime.close()
        if self._transports is not None:
            await self._transports.close()


async def _numeric(address: NodeURI) -> NodeURI:
    """The same address with an IP instead of a name: what the other nodes are told must mean one node."""
    if address.endpoint is not None:
        return address
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise OSError(f"server_address {address}: {address.host} does not resolve ({error})") from error
    return NodeURI(str(found[0][4][0]), address.port, address.transport)


@asynccontextmanager
async def open_bus(
    server_address: str,
    *notification_addresses: str,
    prepare: Callable[[Bus], None] = lambda bus: None,
    key: KeyOptions | None = None,
    wait: float = 0.0,
) -> AsyncIterator[Bus]:
    """Join a DMQ bus as ``server_address`` (``sip:127.0.0.11:5060``) through any of the nodes named.

    ``prepare`` may register peers before the first message; ``bus.register_peer`` later does as well.
    ``wait``: seconds until another node must have answered; TimeoutError if none has. Without it the block
    begins at once, and what is sent to all may reach nobody yet. ``key``: that of the bus, if it has one.
    Leaves the bus at the end of the block.
    """
    settings = BusSettings(
        server_address=NodeURI.parse(server_address),
        notification_addresses=tuple(NodeURI.parse(address) for address in notification_addresses),
    )
    arrival = _Arrival()

    def register(bus: Bus, runtime: AsyncioRuntime) -> None:
        if wait > 0:
            bus.register_peer(arrival)
        prepare(bus)

    shell = OpenBus(settings, register, security=Security(key=key))
    bus = await shell.start()
    try:
        if wait > 0:
            await arrival.within(wait, settings.others())
        yield bus
    finally:
        await shell.close()


class _Arrival(Peer):
    """Notices when the first other node is there. Takes no messages."""

    def __init__(self) -> None:
        super().__init__("dmqcache_arrival")
        self._came = asyncio.Event()

    def on_node_up(self, node: Node) -> None:
        self._came.set()

    async def within(self, seconds: float, asked: Sequence[NodeURI]) -> None:
        """TimeoutError if nobody comes in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            named = ", ".join(map(str, asked)) or "none"
            raise TimeoutError(f"no other node answers within {seconds:g} s; asked were {named}") from None


__all__ = ["KeyOptions", "OpenBus", "open_bus"]
