"""The rows in which dmqcache nodes tell each other of cells, and the messages of the ``dmqcache`` channel.

JSON, so that a trace can be read; rows are arrays, so that they are short: about 45 bytes beside key and
value. What may be missing at a row's end is missing. Nothing here knows of tables' contents or of nodes.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from dmqcache.store.table.cell import DEFAULT_TTL, EXPIRED, MAX_STAMP, NEVER, PROVISIONAL, Cell, Share
from dmqcache.store.table.digest import FANOUT_BITS, MAX_DEPTH, MIN_DEPTH

#: On the wire only: key and value are the bytes of texts that are not UTF-8, each as one character.
BYTES: Final = 8
KNOWN_FLAGS: Final = PROVISIONAL | DEFAULT_TTL | EXPIRED | BYTES


class RowError(ValueError):
    """A message that cannot be read; ``reason`` is its name for the counters."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


_Stamp = Annotated[int, msgspec.Meta(ge=0, le=MAX_STAMP)]
_Depth = Annotated[int, msgspec.Meta(ge=0, le=MAX_DEPTH)]
_Integer = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class Row(msgspec.Struct, array_like=True, gc=False):
    """One cell or tombstone on the wire."""

    key: str
    value: str | _Integer | None
    stamp: _Stamp
    #: Milliseconds to live as the writer set it; 0: for ever.
    ttl: _Stamp = 0
    #: Milliseconds that were left when the row was sent; clocks need not agree. Of a tombstone that a
    #: starting node is given: how old it was, so that all nodes forget it at the same time.
    left: _Stamp = 0
    flags: _Stamp = 0
    shares: dict[str, Share] | None = None


#: Tree parts in one question or want: those of ours have half as many. Each costs the other a sum or a look.
MAX_PARTS: Final = 64


class Part(msgspec.Struct, array_like=True, gc=False):
    """A node of a table's digest tree, with the numbers of the cells that the asker holds below it."""

    depth: _Depth
    index: _Stamp
    held: list[int] = []


class Summary(msgspec.Struct, gc=False):
    """What one node's table sums up to."""

    cells: _Stamp
    floor: _Stamp
    depth: Annotated[int, msgspec.Meta(ge=MIN_DEPTH, le=MAX_DEPTH)]
    #: Sums of the children asked for: 16 for each.
    sums: list[list[int]] = []
    root: int = 0


class Want(msgspec.Struct, gc=False, omit_defaults=True):
    """Please send what you have below these parts and I have not."""

    id: int
    table: str
    parts: list[Part]
    #: Send the tombstones too: without them a starting node could take a deleted key for a new one.
    graves: bool = False


class Done(msgspec.Struct, gc=False, omit_defaults=True):
    """All that a Want asked for was sent and acknowledged; ``lack`` are cells that the other would like."""

    id: int
    lack: list[int] = []


class Telegram(msgspec.Struct, gc=False, omit_defaults=True):
    """The body of every request and reply on the ``dmqcache`` channel."""

    #: The sender's wall clock, Unix ms.
    now: _Stamp
    #: Changed cells by table.
    rows: dict[str, list[Row]] = {}
    #: Flushes by table: everything up to this version is dead.
    floors: dict[str, _Stamp] = {}
    #: The rows repair what the receiver holds: it says what it has newer.
    repair: bool = False
    #: Digest tree nodes (depth, index) asked for by table; none: only the whole table's sum.
    ask: dict[str, list[tuple[_Depth, _Stamp]]] | None = None
    #: The answer to ``ask``.
    sums: dict[str, Summary] | None = None
    #: With ``sums``: how many changes the answerer has still to send to the asker.
    waiting: _Stamp = 0
    #: With ``sums``: whether the answerer has the whole state itself.
    ready: bool = True
    want: Want | None = None
    done: Done | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Telegram)


def encode(telegram: Telegram) -> bytes:
    return _encoder.encode(telegram)


def encode_rows(
    now: int, rows: dict[str, list[tuple[object, ...]]], floors: dict[str, int], repair: bool
) -> bytes:
    """The hot path of :func:`encode`: rows as :func:`row_of` makes them."""
    message: dict[str, object] = {"now": now, "rows": rows}
    if floors:
        message["floors"] = floors
    if repair:
        message["repair"] = True
    return _encoder.encode(message)


def decode(body: bytes) -> Telegram:
    """Read a message. RowError where it is none."""
    try:
        telegram = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RowError("bad_telegram", str(error)) from None
    for rows in telegram.rows.values():
        for row in rows:
            if row.flags:
                _unescape(row)
            if not row.key:
                raise RowError("bad_row", "an empty key")
            if row.shares is not None and not isinstance(row.value, int):
                raise RowError("bad_row", "a counter whose base is no integer")
    if telegram.ask is not None and sum(map(len, telegram.ask.values())) > MAX_PARTS:
        raise RowError("bad_part", "too many parts in one question")
    if telegram.want is not None:
        if len(telegram.want.parts) > MAX_PARTS:
            raise RowError("bad_part", "too many parts in one want")
        for part in telegram.want.parts:
            if part.index >> FANOUT_BITS * part.depth:
                raise RowError("bad_part", "an index beyond its depth")
    return telegram


def _unescape(row: Row) -> None:
    if row.flags & ~KNOWN_FLAGS:
        row.flags &= KNOWN_FLAGS
    if row.flags & EXPIRED and row.value is not None:
        row.flags &= ~EXPIRED
    if row.flags & BYTES:
        row.flags &= ~BYTES
        try:
            row.key = row.key.encode("latin-1").decode("utf-8", "surrogateescape")
            if isinstance(row.value, str):
                row.value = row.value.encode("latin-1").decode("utf-8", "surrogateescape")
        except UnicodeError:
            raise RowError("bad_row", "characters that are no bytes") from None


def grave_row(cell: Cell, age: float) -> tuple[object, ...]:
    """A tombstone of so many seconds."""
    return (cell.key, None, cell.stamp, cell.ttl, max(0, round(age * 1000)), cell.flags)


def row_of(cell: Cell, now: float) -> tuple[object, ...]:
    """A cell as the encoder takes it, its time left counted from ``now`` (monotonic seconds)."""
    value = cell.value if cell.counts is None or cell.value is None else cell.counts.base
    if cell.flags == 0 and cell.ttl == 0 and cell.counts is None:
        return (cell.key, value, cell.stamp)
    left = max(0, round((cell.expires - now) * 1000)) if cell.expires != NEVER else 0
    if cell.counts is not None and cell.value is not None:
        return (cell.key, value, cell.stamp, cell.ttl, left, cell.flags, cell.counts.shares)
    return (cell.key, value, cell.stamp, cell.ttl, left, cell.flags)


def escaped(row: tuple[object, ...]) -> tuple[object, ...]:
    """The same row with texts that are not UTF-8 spelt byte by byte."""
    key, value, stamp, *rest = row
    ttl, left, flags, *shares = rest if rest else (0, 0, 0)
    return (_spelt(key), _spelt(value), stamp, ttl, left, int(flags) | BYTES, *shares)  # type: ignore[call-overload]


def _spelt(text: object) -> object:
    return text.encode("utf-8", "surrogateescape").decode("latin-1") if isinstance(text, str) else text
