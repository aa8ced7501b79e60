"""The file with the bus's keys: read, watched, and never shown.

Owns the file system's side: permissions, and whether it has changed. What stands in it is ``trust/keys.py``'s
business; when it is read again, ``refresh.py``'s.
"""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from dmqcache.bus.trust.keys import KeyFileError, KeyRing, read_keys

log = logging.getLogger(__name__)


class KeyFileUnusable(OSError):
    """A file that gives no keys; one line for the operator that names it and what to do."""


class KeyFile:
    """One node's key file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._warned = False

    def read(self) -> KeyRing:
        """The keys in it now. KeyFileUnusable if it cannot be read, or holds none."""
        try:
            text = self.path.read_text("utf-8")
            self._seen = self._stamp()
            self._warn_if_readable()
            return read_keys(text)
        except OSError as error:
            raise KeyFileUnusable(f"bus_key_file {self.path}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise KeyFileUnusable(f"bus_key_file {self.path}: it is not text") from None
        except KeyFileError as error:
            raise KeyFileUnusable(f"bus_key_file {self.path}: {error}") from None

    def changed(self) -> bool:
        """Whether it is another file, or has been written to, since it was last read."""
        try:
            return self._stamp() != self._seen
        except OSError:
            return self._seen is not None

    def _stamp(self) -> tuple[int, int]:
        found = self.path.stat()
        return (found.st_mtime_ns, found.st_ino)

    def _warn_if_readable(self) -> None:
        """Once until it is mended."""
        open_to_all = bool(self.path.stat().st_mode & stat.S_IROTH)
        if open_to_all and not self._warned:
            log.warning("bus_key_file %s can be read by everybody on this machine: chmod o= it", self.path)
        self._warned = open_to_all
