"""Who is told every command that this node's clients say (MONITOR), and how a command is written there.

A user is told only what he might run himself: else the names and values of all keys would be his.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dmqcache.server.resp.redacted import redacted
from dmqcache.server.resp.reply import to_bytes

#: Bytes that have a letter of their own in a line.
_LETTERS: Final = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}


class Monitors:
    """By the numbers of their connections. ``changed`` is told whether there are any."""

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self.clients: set[int] = set()

    def add(self, client: int) -> None:
        """From now on it is told."""
        self.clients.add(client)
        self._changed(True)

    def remove(self, client: int) -> None:
        """It is told no more."""
        self.clients.discard(client)
        self._changed(bool(self.clients))


def line(wall: float, index: int, address: str, args: list[str]) -> bytes:
    """A command as MONITOR tells it: Unix time, number of the table, who said it, and its words."""
    words = b" ".join(map(_quoted, redacted(args)))
    return b"+%.6f [%d %b] %b\r\n" % (wall, index, to_bytes(address), words)


def _quoted(word: str) -> bytes:
    return b'"%b"' % b"".join(map(_shown, to_bytes(word)))


def _shown(byte: int) -> bytes:
    return _LETTERS.get(byte) or (b"%c" % byte if 32 <= byte < 127 else b"\\x%02x" % byte)
