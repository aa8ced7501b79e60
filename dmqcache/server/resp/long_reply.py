"""A reply that is too long for one write: it grows in parts, and ``connection.py`` writes one in each turn.

Owns how large a part is. Joined to one and written at once, a million keys would hold the loop for tens of
milliseconds, and stand in memory three times.
"""

from __future__ import annotations

from typing import Final

#: Bytes of a part, but for what made it so large: written in a fraction of a millisecond.
PART_BYTES: Final = 128 << 10

#: What a command replies in the end: the bytes, or parts of them to be written one after another.
Reply = bytes | list[bytes]


class Parts:
    """A reply while it grows."""

    def __init__(self) -> None:
        #: What was added, as its head may tell.
        self.count = 0
        self._whole: list[bytes] = []
        self._last: list[bytes] = []
        self._room = PART_BYTES

    def add(self, data: bytes, count: int = 1) -> None:
        """So many more elements."""
        self.count += count
        self._last.append(data)
        self._room -= len(data)
        if self._room <= 0:
            self._whole.append(b"".join(self._last))
            self._last, self._room = [], PART_BYTES

    def reply(self, head: bytes) -> Reply:
        """All of it behind a head."""
        last = b"".join(self._last)
        return [head, *self._whole, last] if self._whole else head + last


def joined(reply: Reply) -> bytes:
    """The whole, for who takes no parts."""
    return reply if isinstance(reply, bytes) else b"".join(reply)
