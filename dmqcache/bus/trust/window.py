"""Which messages of one sender were seen already: a sliding window over their numbers, as in RFC 4303 3.4.3.

No clocks: a number counts once, and one that is far behind the newest counts never.
"""

from __future__ import annotations

from typing import Final

#: Numbers behind the newest that may still come. A sender numbers what it sends to one node in one row, and
#: repeats for up to 32 s what is not answered; it never has a thousand requests under way to one node.
WINDOW: Final = 8192


class Window:
    """The numbers that one sender has used.

    They nearly always come in their row. Then they are only counted, and written into the bits together,
    when one comes that is out of it.
    """

    __slots__ = ("_newest", "_row", "_seen")

    def __init__(self) -> None:
        self._newest = -1
        #: How many numbers up to the newest came in a row since the bits were written.
        self._row = 0
        #: Bit n: the number ``newest - row - n`` was seen.
        self._seen = 0

    def take(self, number: int) -> bool:
        """Whether this number comes for the first time; then it is used."""
        ahead = number - self._newest
        if ahead == 1:
            self._newest = number
            self._row += 1
            return True
        self._write()
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self._newest = number
            return True
        if -ahead >= WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True

    def give_back(self, number: int) -> None:
        """A number that was taken counts once more: its message was not handled, so a copy of it may be."""
        self._write()
        behind = self._newest - number
        if 0 <= behind < WINDOW:
            self._seen &= ~(1 << behind)

    def _write(self) -> None:
        """Write the row into the bits."""
        row = min(self._row, WINDOW)
        if row:
            self._seen = (self._seen << row | (1 << row) - 1) & ((1 << WINDOW) - 1)
            self._row = 0
