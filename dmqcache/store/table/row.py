"""The rows in which dmqcache nodes tell each other of cells. In what messages: ``native_message.py``.

JSON, so that a trace can be read; rows are arrays, so that they are short: about 45 bytes beside key and
value. What may be missing at a row's end is missing. Nothing here knows of tables' contents or of nodes.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from dmqcache.store.table.cell import (
    DEFAULT_TTL,
    EXPIRED,
    MAX_TTL_S,
    NEVER,
    PROVISIONAL,
    UNDATED,
    UNTIMED,
    Cell,
)
from dmqcache.store.table.clock import MAX_MS, MAX_STAMP
from dmqcache.store.table.counts import DATED, MAX_NAME, MAX_SHARES_HEARD, Share
from dmqcache.store.table.text_size import apart

#: On the wire only: key and value are the bytes of texts that are not UTF-8, each as one character.
BYTES: Final = 8
KNOWN_FLAGS: Final = PROVISIONAL | DEFAULT_TTL | EXPIRED | BYTES | UNTIMED


class RowError(ValueError):
    """A row, or a message, that cannot be read; ``reason`` is its name for the counters."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


#: A version.
Stamp = Annotated[int, msgspec.Meta(ge=0, le=MAX_STAMP)]
#: Unix ms, or as many milliseconds.
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)]
_Flags = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
_Integer = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class Row(msgspec.Struct, array_like=True, gc=False):
    """One cell or tombstone on the wire."""

    key: str
    value: str | _Integer | None
    stamp: Stamp
    #: Milliseconds to live as the writer set it; 0: for ever.
    ttl: Milliseconds = 0
    #: Milliseconds that were left when the row was sent; clocks need not agree. Of a tombstone that a
    #: starting node is given: how old it was, so that all nodes forget it at the same time.
    left: Milliseconds = 0
    flags: _Flags = 0
    shares: dict[str, Share] | None = None


def check_row(row: Row) -> None:
    """Bring a row as it was read into the form in which it is used. RowError where it makes no sense."""
    if row.flags:
        _unescape(row)
    if not row.key:
        raise RowError("bad_row", "an empty key")
    if row.shares is not None and not isinstance(row.value, int):
        raise RowError("bad_row", "a counter whose base is no integer")


def fault(row: Row, limit: int) -> str | None:
    """Why a row is not believed, as a name for a counter; None if it is. ``limit``: the greatest version that
    may be right."""
    if row.stamp > limit:
        return "future"
    if row.ttl > 1000 * MAX_TTL_S or (row.left > row.ttl and row.value is not None):
        return "bad_ttl"
    if row.shares:
        if len(row.shares) > MAX_SHARES_HEARD or max(map(len, row.shares)) > MAX_NAME:
            return "bad_share"
        for name, share in row.shares.items():
            if share.stamp > limit:
                return "future"
            if share.line > share.stamp or (not name and share.line != share.stamp):
                return "bad_share"
            if name == DATED and (share.total or share.line):
                return "bad_share"
    return None


def _unescape(row: Row) -> None:
    if row.flags & ~KNOWN_FLAGS:
        row.flags &= KNOWN_FLAGS
    if row.flags & EXPIRED and row.value is not None:
        row.flags &= ~EXPIRED
    if row.flags & UNTIMED and (row.ttl or row.value is None or row.shares is not None):
        row.flags &= ~UNTIMED
    if row.flags & BYTES:
        row.flags &= ~BYTES
        try:
            row.key = row.key.encode("latin-1").decode("utf-8", "surrogateescape")
            if isinstance(row.value, str):
                row.value = row.value.encode("latin-1").decode("utf-8", "surrogateescape")
        except UnicodeError:
            raise RowError("bad_row", "characters that are no bytes") from None


def tombstone_row(cell: Cell, age: float) -> tuple[object, ...]:
    """A tombstone of so many seconds; of a counter, :func:`row_of`."""
    if cell.counts is not None:
        return row_of(cell, 0.0)
    return (apart(cell.key), None, cell.stamp, cell.ttl, max(0, round(age * 1000)), cell.flags)


def row_of(cell: Cell, now: float) -> tuple[object, ...]:
    """A cell as the encoder takes it, its time left counted from ``now`` (monotonic seconds).

    A counter that has expired is told like one that lives, with no time left: who counted on, not knowing
    of its time, learns which increments are in it."""
    flags = cell.flags & ~UNDATED
    key, value = cell.key, cell.value
    if not key.isascii():
        key = apart(key)
    if value.__class__ is str and not value.isascii():
        value = apart(value)
    if flags == 0 and cell.ttl == 0 and cell.counts is None:
        return (key, value, cell.stamp)
    left = max(0, round((cell.expires - now) * 1000)) if cell.expires != NEVER else 0
    if cell.counts is not None:
        flags &= ~EXPIRED
        return (key, cell.counts.base, cell.stamp, cell.ttl, left, flags, cell.counts.shares)
    return (key, value, cell.stamp, cell.ttl, left, flags)


def escaped(row: tuple[object, ...]) -> tuple[object, ...]:
    """The same row with texts that are not UTF-8 spelt byte by byte."""
    key, value, stamp, *rest = row
    ttl, left, flags, *shares = rest if rest else (0, 0, 0)
    return (_spelt(key), _spelt(value), stamp, ttl, left, int(flags) | BYTES, *shares)  # type: ignore[call-overload]


def _spelt(text: object) -> object:
    return text.encode("utf-8", "surrogateescape").decode("latin-1") if isinstance(text, str) else text
