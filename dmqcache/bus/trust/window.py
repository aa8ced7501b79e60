"""Which messages of one sender were seen already: a sliding window over their numbers, as in RFC 4303 3.4.3.

No clocks: a number counts once, and one that is far behind the newest counts never.
"""

from __future__ import annotations

from typing import Final

#: Numbers behind the newest that may still come. A sender numbers what it sends to one node in one row, and
#: repeats for up to 32 s what is not answered; it never has a thousand requests under way to one node.
WINDOW: Final = 8192


class Window:
    """The numbers that one sender has used."""

    __slots__ = ("_newest", "_seen")

    def __init__(self) -> None:
        self._newest = -1
        #: Bit n: the number ``newest - n`` was seen.
        self._seen = 0

    def take(self, number: int) -> bool:
        """Whether this number comes for the first time; then it is used."""
        ahead = number - self._newest
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
        behind = self._newest - number
        if 0 <= behind < WINDOW:
            self._seen &= ~(1 << behind)
