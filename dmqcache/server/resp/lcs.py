"""The longest common subsequence of two values, and of several the one that Redis' LCS finds.

A row of the usual table is one number: its bits say where the length grows by one, and the next row is an
addition (Hyyro, "Bit-parallel LCS-length computation revisited", 2004). The way back needs every row again;
only each n-th is kept, and those between are made once more. What it means to a client: ``commands_lcs.py``.
"""

from __future__ import annotations

from collections.abc import Generator
from math import isqrt
from typing import Final, NamedTuple

#: Steps of the way back between two moments at which others may get their turn.
PIECE: Final = 500
#: Places of a mask that are found at once; a multiple of 8.
MASK_PIECE: Final = 1 << 15
#: Bytes of masks that are kept: what is beyond is made anew for each row.
KEPT_MASKS: Final = 1 << 20


class Run(NamedTuple):
    """Bytes that stand one after the other in both values: where they begin, and how many they are."""

    in_a: int
    in_b: int
    size: int


class _Masks:
    """For each byte, where it stands in a value: bit k for its place k."""

    def __init__(self, data: bytes) -> None:
        self._backwards = data[::-1]
        self._kept: dict[int, int] = {}

    def of(self, byte: int) -> Generator[None, None, int]:
        mask = self._kept.get(byte)
        if mask is None:
            mask = yield from self._made(byte)
            if (len(self._kept) + 1) * len(self._backwards) <= 8 * KEPT_MASKS:
                self._kept[byte] = mask
        return mask

    def _made(self, byte: int) -> Generator[None, None, int]:
        digits = bytearray(b"0" * 256)
        digits[byte] = ord("1")
        written, parts = self._backwards.translate(digits), []
        for end in range(len(written), 0, -MASK_PIECE):
            part = int(written[max(0, end - MASK_PIECE) : end], 2)
            parts.append(part.to_bytes(MASK_PIECE // 8, "little"))
            yield
        return int.from_bytes(b"".join(parts), "little")


class Search:
    """Two values, neither of them empty. Its generators yield after each small piece of work."""

    def __init__(self, a: bytes, b: bytes) -> None:
        #: The rows are the bytes of the shorter one, so that there are few.
        self._turned = len(b) < len(a)
        self._rows, self._bits = (b, a) if self._turned else (a, b)
        self._masks = _Masks(self._bits)
        self._full = (1 << len(self._bits)) - 1
        self._stride = isqrt(len(self._rows)) + 1
        #: Every so many rows.
        self._kept: list[int] = []

    def length(self) -> Generator[None, None, int]:
        """How long the longest is."""
        row, self._kept = self._full, []
        for place, byte in enumerate(self._rows):
            if not place % self._stride:
                self._kept.append(row)
            match = row & (yield from self._masks.of(byte))
            row = ((row + match) | (row - match)) & self._full
            yield
        return len(self._bits) - row.bit_count()

    def runs(self) -> Generator[Run | None]:
        """After :meth:`length`: the runs of it, from the last to the first."""
        rows, bits = self._rows, self._bits
        i, j = len(rows), len(bits)
        base, ups = i, [b""]
        steps = 0
        while i and j:
            if rows[i - 1] == bits[j - 1]:
                end = i
                while i and j and rows[i - 1] == bits[j - 1]:
                    i, j = i - 1, j - 1
                yield Run(j, i, end - i) if self._turned else Run(i, j, end - i)
                continue
            if i <= base:
                base = (i - 1) // self._stride * self._stride
                ups = yield from self._ups(base, i)
            if ups[i - 1 - base][(j - 1) >> 3] >> ((j - 1) & 7) & 1:
                i -= 1
            else:
                j -= 1
            steps += 1
            if not steps % PIECE:
                yield None

    def _ups(self, start: int, end: int) -> Generator[None, None, list[bytes]]:
        """Of some rows the places from which the way back goes to the row before; elsewhere it goes to the
        place before. Where both are as long, Redis goes back in the second value."""
        row, size = self._kept[start // self._stride], (len(self._bits) + 7) // 8
        found = []
        for byte in self._rows[start:end]:
            match = row & (yield from self._masks.of(byte))
            total = row + match
            # Where the length is greater than in the row before.
            grown = (row ^ match ^ total) >> 1
            row = (total | (row - match)) & self._full
            stays = row & grown if self._turned else row
            found.append((self._full ^ stays).to_bytes(size, "little"))
            yield
        return found
