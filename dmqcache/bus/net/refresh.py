"""What changes while a node runs: certificate and key files, and the addresses of names on its lists.

Owns what follows from a change. A file that cannot be read, or a name without an answer, changes nothing and
is said once; what counted before goes on counting. When it is looked at again: ``lookout.py``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from dmqcache.bus.allow import AllowList
from dmqcache.bus.net.key_file import KeyFile, KeyFileUnusable
from dmqcache.bus.net.lookout import Lookout, stamp
from dmqcache.bus.net.tls import TlsContexts, TlsError, TlsOptions, load
from dmqcache.bus.net.transport import Transports
from dmqcache.bus.trust.keys import KeyRing

log = logging.getLogger(__name__)


class Refresher:
    """Keeps one node's transports up to date."""

    def __init__(
        self,
        transports: Transports,
        allow: AllowList,
        tls: TlsOptions | None,
        changed: Callable[[TlsContexts], None] = lambda contexts: None,
        key_file: KeyFile | None = None,
        use_keys: Callable[[KeyRing], None] = lambda ring: None,
        further: Sequence[AllowList] = (),
    ) -> None:
        """``changed`` is told of new TLS files, ``use_keys`` of new bus keys; ``further``: lists whose names
        are to be resolved too, and that no transport asks."""
        self._key_file = key_file
        self._use_keys = use_keys
        self._lists = (allow, *further)
        self._transports = transports
        self._allow = allow
        self._tls = tls
        self._changed = changed
        self._seen = self._stamps()
        self._said: dict[str, str] = {}
        self._lookout = Lookout(self._look, "refresh")

    async def start(self) -> None:
        """Look once, then in the background, where there is anything to look at."""
        await self._look(False)
        if self._tls is not None or self._key_file is not None or any(one.names for one in self._lists):
            self._lookout.start()

    def ask(self) -> None:
        """Look now."""
        self._lookout.ask()

    async def close(self) -> None:
        """No more looks."""
        await self._lookout.close()

    async def _look(self, asked: bool) -> None:
        await self._resolve()
        stamps = self._stamps()
        if self._tls is not None and (asked or stamps != self._seen):
            self._seen = stamps
            await self._read(self._tls)
        if self._key_file is not None and (asked or self._key_file.changed()):
            self._read_keys(self._key_file)

    def _read_keys(self, file: KeyFile) -> None:
        try:
            ring = file.read()
        except KeyFileUnusable as error:
            self._say("key", f"the former bus key goes on: {error}")
            return
        self._said.pop("key", None)
        self._use_keys(ring)
        log.info("bus key read again from %s: %s signs, %s count", file.path, ring.signing.name, ring.names)

    async def _read(self, options: TlsOptions) -> None:
        try:
            contexts = load(options)
        except TlsError as error:
            self._say("tls", f"the former certificate goes on: {error}")
            return
        self._said.pop("tls", None)
        await self._transports.use_tls(contexts)
        self._changed(contexts)
        log.info("certificates read again from %s", options.certificate)

    async def _resolve(self) -> None:
        loop = asyncio.get_running_loop()
        found: dict[str, list[str]] = {}
        for name in dict.fromkeys(name for one in self._lists for name in one.names):
            try:
                answers = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:
                self._say(name, f"{name}, which may speak on the bus, does not resolve ({error})")
                continue
            self._said.pop(name, None)
            found[name] = [str(answer[4][0]) for answer in answers]
        if self._allow.resolved(found):
            self._transports.apply_allow_list()
        for further in self._lists[1:]:
            further.resolved(found)

    def _say(self, what: str, text: str) -> None:
        if self._said.get(what) != text:
            self._said[what] = text
            log.warning("%s", text)

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        if self._tls is None:
            return ()
        return tuple(map(stamp, (self._tls.certificate, self._tls.key, self._tls.ca)))
