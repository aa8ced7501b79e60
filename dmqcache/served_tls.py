"""The certificate that a node's servers for clients and HTTP show: read at the start, and again when its
files change or somebody asks (SIGHUP). Connections that stand are not cut, and files that are wrong change
nothing.

How files become contexts is ``bus/net/tls.py``'s. The bus' own certificate: ``bus/net/refresh.py``.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dmqcache.bus.net import tls
from dmqcache.bus.net.lookout import Lookout, stamp

log = logging.getLogger("dmqcache.server")


@dataclass(frozen=True, slots=True)
class ServedFiles:
    """Where the files are (PEM)."""

    certificate: Path
    key: Path
    #: Clients of Redis must show a certificate that is signed by one of these; None: they need none.
    client_ca: Path | None = None
    named: tls.FileOptions = tls.BUS_OPTIONS


class ServedTls:
    """The contexts of one node's servers. TlsError where the files make none."""

    def __init__(self, files: ServedFiles, changed: Callable[[float], None] = lambda expires: None) -> None:
        """``changed`` is told when the certificate expires (Unix time), at once and with each other one."""
        self._files = files
        self._changed = changed
        self.clients: ssl.SSLContext = tls.serving(files.certificate, files.key, files.client_ca, files.named)
        self.http: ssl.SSLContext = tls.serving(files.certificate, files.key, named=files.named)
        self._seen = self._stamps()
        self._said = ""
        self._lookout = Lookout(self._look, "served certificate")
        changed(tls.expiry(files.certificate))

    def start(self) -> None:
        """Look at the files now and then."""
        self._lookout.start()

    def ask(self) -> None:
        """Read them now."""
        self._lookout.ask()

    async def close(self) -> None:
        """No more looks."""
        await self._lookout.close()

    async def _look(self, asked: bool) -> None:
        stamps = self._stamps()
        if asked or stamps != self._seen:
            self._seen = stamps
            self._read()

    def _read(self) -> None:
        files = self._files
        try:
            # First into a context of its own: the ones in use never hold a certificate without its key.
            tls.serving(files.certificate, files.key, files.client_ca, files.named)
            tls.read_files(self.clients, files.certificate, files.key, files.client_ca, files.named)
            tls.read_files(self.http, files.certificate, files.key, None, files.named)
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
        return [stamp(path) for path in (files.certificate, files.key, files.client_ca) if path]
