"""How much memory a text takes, and how not to make it take more.

CPython keeps a character of a text in one, two or four bytes, as its widest one needs: ASCII and Latin-1 in
one, most other scripts (and bytes that are no UTF-8, as surrogateescape writes them) in two, emoji in four.
What makes UTF-8 of a text in C (SQLite, msgspec) leaves that in the text for as long as it lives, so it is
given a copy.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Final

#: An integer's place in the books.
INTEGER_BYTES: Final = 8
_ASCII_HEAD: Final = getsizeof("")
#: The head of any other text, without the null character at its end. Made here, as one that is a constant may
#: have its UTF-8 with it.
_HEAD: Final = getsizeof("".join(("\xe9", "\xe9"))) - 3


def size_of(value: str | int) -> int:
    """The bytes of a value beside the head of an ASCII text, which ``CELL_BYTES`` has: the same each time for
    the same text, whoever holds it."""
    if isinstance(value, int):
        return INTEGER_BYTES
    return len(value) if value.isascii() else wide_size(value)


def wide_size(text: str) -> int:
    """The same of a text that is not ASCII; of a copy, as the text itself may have its UTF-8 with it."""
    length = len(text) + 1
    width = (getsizeof(f"{text}a") - _HEAD) // (length + 1)
    return _HEAD - _ASCII_HEAD + length * width


def apart(text: str) -> str:
    """For who makes UTF-8 of it in C: the text, or a copy where that would stay."""
    return text if text.isascii() else f"{text}a"[:-1]
