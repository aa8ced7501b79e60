"""The certificate that a node's servers for clients and HTTP show: read at the start, and again when its
files change or somebody asks (SIGHUP). Connections that stand are not cut, and files that are wrong change
nothing.

How files become contexts is ``bus/net/tls.py``'s. The bus' own certificate: ``bus/net/refresh.py``.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dmqcache.bus.net import refresh, tls

log = logging.getLogger("dmqcache.server")


@dataclass(frozen=True, slots=True)
class ServedFiles:
    """Where the files are (PEM)."""

    certificate: Path
    key: Path
    #: Clients of Redis must show a certificate that is signed by one of these; None: they need none.
    client_ca: Path | None = None


class ServedTls:
    """The contexts of one node's servers. TlsError where the files make none."""

    def __init__(self, files: ServedFiles, changed: Callable[[float], None] = lambda expires: None) -> None:
        """``changed`` is told when the certificate expires (Unix time), at once and with each other one."""
        self._files = files
        self._changed = changed
        self.clients: ssl.SSLContext = tls.serving(files.certificate, files.key, files.client_ca)
        self.http: ssl.SSLContext = tls.serving(files.certificate, files.key)
        self._seen = self._stamps()
        self._said = ""
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        changed(tls.expiry(files.certificate))

    def start(self) -> None:
        """Look at the files now and then."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="served certificate")

    def ask(self) -> None:
        """Read them now."""
        self._asked.set()

    async def close(self) -> None:
        """No more looks."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(refresh.INTERVAL_SECONDS):
                    await self._asked.wait()
            stamps = self._stamps()
            if self._asked.is_set() or stamps != self._seen:
                self._seen = stamps
                self._read()
            self._asked.clear()

    def _read(self) -> None:
        files = self._files
        try:
            # First into a context of its own: the ones in use never hold a certificate without its key.
            tls.serving(files.certificate, files.key, files.client_ca)
            tls.read_files(self.clients, files.certificate, files.key, files.client_ca)
            tls.read_files(self.http, files.certificate, files.key, None)
            self._changed(tls.expiry(files.certificate))
        except tls.TlsError as error:
            if str(error) != self._said:
                log.warning("the former certificate goes on: %s", error)
            self._said = str(error)
            return
        self._said = ""
        log.info("certificates read again from %s", files.certificate)

    def _stamps(self) -> list[tuple[int, int]]:
        files = self._files
        return [refresh.stamp(path) for path in (files.certificate, files.key, files.client_ca) if path]
