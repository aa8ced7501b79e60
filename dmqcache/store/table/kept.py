"""Cells as they are kept outside of a process, and brought back into a table.

Times are Unix ms of a clock that the keeper keeps: it never jumps, and goes on from one process to the next.
Where rows are kept, and when, is ``disk``'s business. What comes back is taken as it was written, with its
version: it is this node's own word, so no version of it lies too far ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import msgspec

from dmqcache.store.table.cell import (
    DEFAULT_TTL,
    EXPIRED,
    MASK,
    NEVER,
    PROVISIONAL,
    SPREAD,
    UNDATED,
    UNTIMED,
    Cell,
    Value,
)
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import MAX_STAMP
from dmqcache.store.table.counts import Counts, fits
from dmqcache.store.table.digest import UPPER_SHIFT
from dmqcache.store.table.text_size import apart, size_of

#: All flags that a cell may have.
_FLAGS = PROVISIONAL | DEFAULT_TTL | EXPIRED | UNDATED | UNTIMED
#: Places of a cell in :attr:`KeptPart.plain`.
PLAIN = 3


class KeptRow(NamedTuple):
    """A cell or a tombstone. Texts that are not UTF-8 are bytes."""

    key: str | bytes
    value: str | int | bytes | None
    version: int
    #: Milliseconds to live as the writer set it; 0: for ever.
    ttl: int
    #: Unix ms at which it is over, 0: never; of a tombstone: when it was buried.
    at: int
    flags: int
    #: Of a counter: its base and shares, as JSON.
    counts: bytes | None


@dataclass(slots=True)
class KeptPart:
    """Cells of one table on their way out."""

    #: Key, value and version of cells that have nothing else, one after the other without a row of their own:
    #: most cells of most tables, and a row each would hold the loop three times as long.
    plain: list[Value] = field(default_factory=list)
    rows: list[KeptRow] = field(default_factory=list)
    #: Keys of which nothing is there any more.
    gone: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.plain) // PLAIN + len(self.rows) + len(self.gone)

    def add(self, table: Cells, keys: Iterable[str], now: float, time_ms: int) -> None:
        """The cells of these keys as they are now; times as of :func:`kept_row`."""
        find, plain, died_at = table.cells.get, self.plain, table.tombstones.died_at
        for key in keys:
            cell = find(key)
            if cell is None:
                self.gone.append(key)
            elif cell.value is None:
                if died_at(key) is not None:
                    self.rows.append(kept_row(table, cell, now, time_ms))
            elif cell.flags or cell.ttl or cell.counts is not None or cell.expires != NEVER:
                self.rows.append(kept_row(table, cell, now, time_ms))
            else:
                value = cell.value
                if not key.isascii():
                    key = apart(key)
                if value.__class__ is str and not value.isascii():
                    value = apart(value)
                plain += (key, value, cell.stamp)


def rows_of(plain: Sequence[Value]) -> list[KeptRow]:
    """The rows of cells of :attr:`KeptPart.plain`."""
    places = iter(plain)
    triples = zip(places, places, places, strict=True)
    return [KeptRow(key, value, version, 0, 0, 0, None) for key, value, version in triples]  # type: ignore[arg-type]


def kept_row(table: Cells, cell: Cell, now: float, time_ms: int) -> KeptRow:
    """A cell as it is now: ``now`` in monotonic seconds, ``time_ms`` the same on the keeper's clock."""
    if cell.value is None:
        buried = table.tombstones.died_at(cell.key)
        at = time_ms - int((now - (now if buried is None else buried)) * 1000)
    else:
        # Rounded down: nothing ever lives longer for having been kept.
        at = 0 if cell.expires == NEVER else time_ms + int((cell.expires - now) * 1000)
    counts = None if cell.counts is None else msgspec.json.encode(cell.counts)
    value = apart(cell.value) if isinstance(cell.value, str) else cell.value
    return KeptRow(apart(cell.key), value, cell.stamp, cell.ttl, at, cell.flags, counts)


def spelt(row: KeptRow) -> KeptRow:
    """The same row with texts that are not UTF-8 as bytes."""
    value = _spelt(row.value) if isinstance(row.value, str) else row.value
    return row._replace(key=_spelt(row.key) if isinstance(row.key, str) else row.key, value=value)


def _spelt(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def restore(table: Cells, rows: Sequence[KeptRow], now: float, time_ms: int, saved_ms: int) -> None:
    """Bring rows back. ``time_ms``: the keeper's clock now; ``saved_ms``: the same when it wrote last.
    Tombstones are no older than then: while this node was off, it could tell nobody of them.

    ValueError for a row that this software cannot have written."""
    while len(table.cells) + len(rows) > table._roomy:
        table._deepen()
    others = rows if table.is_watched or table.touched is not None else _enter_plain(table, rows)
    cells, floor, watched = table.cells, table.floor, table.is_watched
    for key, value, version, ttl, at, flags, kept in others:
        if key.__class__ is bytes:
            key = key.decode("utf-8", "surrogateescape")
        if value.__class__ is bytes:
            value = value.decode("utf-8", "surrogateescape")
        if not key or not 0 <= version <= MAX_STAMP or ttl < 0 or flags & ~_FLAGS:
            raise ValueError(f"the row of {key!r:.80} makes no sense")
        if version <= floor or key in cells:
            continue
        if kept is None and value is not None and not watched:
            expires = now + (at - time_ms) / 1000 if at else NEVER
            if expires > now:
                table.enter(key, value, version, ttl, expires, flags)  # type: ignore[arg-type]
                continue
        cell = table._new_cell(key)  # type: ignore[arg-type]
        if kept is not None:
            cell.counts = _counts(kept)
        if value is None:
            cell.stamp, cell.ttl, cell.flags = version, ttl, flags
            table.note(cell.key, version)
            table.tombstones.add(cell.key, now - max(0, saved_ms - at) / 1000, bool(flags & EXPIRED))
            continue
        expires = now + (at - time_ms) / 1000 if at else NEVER
        if expires <= now:
            cell.stamp, cell.ttl, cell.flags = version, ttl, EXPIRED
            table.note(cell.key, version)
            table.tombstones.add(cell.key, now, True)
            continue
        table._enliven(cell, value, version, ttl, expires, flags)  # type: ignore[arg-type]


def _enter_plain(table: Cells, rows: Iterable[KeptRow]) -> list[KeptRow]:
    """Enter the cells that are texts and nothing else, and return the other rows. What :meth:`Cells.enter`
    does for one cell is done here in line: a million of them shall take seconds. The digest has room for
    all."""
    cells, floor = table.cells, table.floor
    shift, leaves, upper = table._shift, table._leaves, table._upper
    horizon, tick = table._horizon, table.tick
    born: list[str] = []
    others: list[KeptRow] = []
    text_bytes = 0
    for row in rows:
        key, value, version, ttl, at, flags, kept = row
        if (
            at
            or flags
            or ttl
            or kept is not None
            or value.__class__ is not str
            or key.__class__ is not str
            or not (key and floor < version <= MAX_STAMP)
            or key in cells
        ):
            others.append(row)
            continue
        try:
            hashed = crc32(key.encode()) * SPREAD & MASK | 1
            digest = hashed * (crc32(value.encode()) + 1 + (version << 5)) & MASK
        except UnicodeEncodeError:
            others.append(row)
            continue
        cells[key] = Cell(key, hashed, value, version, 0, NEVER, 0, None, "", digest, tick)
        leaves[hashed >> shift] += digest
        upper[hashed >> UPPER_SHIFT] += digest
        born.append(key)
        if version > horizon:
            table.note(key, version)
        if key.isascii() and value.isascii():
            text_bytes += len(key) + len(value)
        else:
            text_bytes += size_of(key) + size_of(value)
    table.live += len(born)
    table.text_bytes += text_bytes
    table.order.add_all(born)
    return others


def _counts(kept: bytes) -> Counts:
    """A counter's parts. ValueError where they are none."""
    counts = msgspec.json.decode(kept, type=Counts)
    if not fits(counts.base):
        raise ValueError("a counter begins beyond 64 bits")
    return counts
