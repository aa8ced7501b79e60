"""The commands that took long (SLOWLOG): which, how long, whose.

Commands that do little (Redis' flag ``fast``, and SET) are timed only while the limit is below
:data:`EVERYTHING_US`: two looks at the clock are a tenth of what a GET costs. See ``looking_on.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from dmqcache.server.resp.redacted import redacted

#: Microseconds from which on a command is slow, and entries that are kept (Redis' defaults).
SLOWER_THAN_US: Final = 10_000
MAX_ENTRIES: Final = 128
#: Below this every command is timed.
EVERYTHING_US: Final = 1_000
#: Words of a command that an entry has, and bytes of each (Redis').
MAX_WORDS: Final = 32
MAX_WORD_BYTES: Final = 128


class Entry(NamedTuple):
    number: int
    #: Unix seconds.
    time: int
    microseconds: int
    words: list[str]
    address: str
    name: str


class SlowLog:
    """The newest entries. ``changed`` is told whether every command is to be timed from now on."""

    def __init__(self, wall: Callable[[], float], changed: Callable[[bool], None]) -> None:
        self._wall = wall
        self._changed = changed
        #: Microseconds; below 0 nothing is noted.
        self.slower_than = SLOWER_THAN_US
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def most(self) -> int:
        """Entries that are kept."""
        return self._entries.maxlen or 0

    def note_from(self, microseconds: int) -> None:
        """Commands that take so long are noted; below 0 none."""
        self.slower_than = microseconds
        self._changed(0 <= microseconds < EVERYTHING_US)

    def keep(self, most: int) -> None:
        """So many entries from now on."""
        self._entries = deque(self.newest(most)[::-1], maxlen=most)

    def took(self, seconds: float, args: list[str], address: str, name: str) -> None:
        """A command ran so long."""
        microseconds = round(seconds * 1_000_000)
        if 0 <= self.slower_than <= microseconds:
            words = _shortened(redacted(args))
            entry = Entry(self._next, int(self._wall()), microseconds, words, address, name)
            self._entries.append(entry)
            self._next += 1

    def newest(self, most: int) -> list[Entry]:
        """The newest first."""
        return [entry for _, entry in zip(range(most), reversed(self._entries), strict=False)]

    def reset(self) -> None:
        """Forget all entries. Their numbers go on."""
        self._entries.clear()


def _shortened(args: Sequence[str]) -> list[str]:
    """As Redis shortens what it shows."""
    words = [_short(word) for word in args[:MAX_WORDS]]
    if len(args) > MAX_WORDS:
        words[-1] = f"... ({len(args) - MAX_WORDS + 1} more arguments)"
    return words


def _short(word: str) -> str:
    data = word.encode("utf-8", "surrogateescape")
    if len(data) <= MAX_WORD_BYTES:
        return word
    kept = data[:MAX_WORD_BYTES] + b"... (%d more bytes)" % (len(data) - MAX_WORD_BYTES)
    return kept.decode("utf-8", "surrogateescape")
