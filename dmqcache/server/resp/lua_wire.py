"""What a node and the process that runs its scripts say to each other: lists of byte strings over a socket.

Written as RESP arrays and read with hiredis, as what clients say: nothing that comes from a script's process
is ever more than bytes.
"""

from __future__ import annotations

import socket

import hiredis

_READ_BYTES = 1 << 16


class Ended(Exception):
    """The other side has gone."""


class Wire:
    """One end of the socket, for one caller at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = hiredis.Reader()

    def send(self, *parts: bytes, seconds: float | None = None) -> None:
        """Send one list. Ended; TimeoutError after so many seconds."""
        written = [b"*%d\r\n" % len(parts)]
        for part in parts:
            written += (b"$%d\r\n" % len(part), part, b"\r\n")
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(b"".join(written))
        except TimeoutError:
            raise
        except OSError:
            raise Ended from None

    def receive(self, seconds: float | None = None) -> list[bytes]:
        """The next list. Ended; TimeoutError if nothing of it comes for so many seconds."""
        while True:
            try:
                self._socket.settimeout(seconds)
                found = self._reader.gets()
                if isinstance(found, list) and all(isinstance(part, bytes) for part in found):
                    return found
                if found is not False:
                    raise Ended
                data = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                raise
            except (OSError, hiredis.ProtocolError):
                raise Ended from None
            if not data:
                raise Ended
            self._reader.feed(data)

    def close(self) -> None:
        """The other side sees the end."""
        self._socket.close()
