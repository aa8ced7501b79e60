"""The message of the ``dmqcache`` channel: what dmqcache nodes tell and ask each other, and its JSON.

Owns its fields and their bounds. How a row looks is ``table/row.py``'s; what follows from a message,
``replica.py``'s.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from dmqcache.store.table.digest import FANOUT_BITS, MAX_DEPTH, MIN_DEPTH
from dmqcache.store.table.row import Milliseconds, Row, RowError, Stamp, check_row

_Depth = Annotated[int, msgspec.Meta(ge=0, le=MAX_DEPTH)]

#: Tree parts in one question or want: those of ours have half as many. Each costs the other a sum or a look.
MAX_PARTS: Final = 64
#: Rows in one message: twice what a node of ours sends at once. Each costs the receiver some microseconds.
MAX_ROWS: Final = 4_000
#: Places in a tree, and numbers of cells.
Index = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62) - 1)]


class Part(msgspec.Struct, array_like=True, gc=False):
    """A node of a table's digest tree, with the numbers of the cells that the asker holds below it."""

    depth: _Depth
    index: Index
    held: list[int] = []


class Summary(msgspec.Struct, gc=False, omit_defaults=True):
    """What one node's table sums up to."""

    cells: Index
    floor: Stamp
    depth: Annotated[int, msgspec.Meta(ge=MIN_DEPTH, le=MAX_DEPTH)]
    #: Sums of the children asked for: 16 for each.
    sums: list[list[int]] = []
    root: int = 0
    #: See :class:`~dmqcache.store.table.cells.Cells`; what follows from them, ``absence.py`` says.
    forgot: Stamp = 0
    known: Stamp = 0
    #: Cells were evicted: what is missing says nothing.
    partial: bool = False


class Want(msgspec.Struct, gc=False, omit_defaults=True):
    """Please send what you have below these parts and I have not."""

    id: int
    table: str
    parts: list[Part]
    #: Send the tombstones too: without them a starting node could take a deleted key for a new one.
    tombstones: bool = False
    #: What the answer with the sums told: who has it can be sent to.
    token: str = ""


class Done(msgspec.Struct, gc=False, omit_defaults=True):
    """All that a Want asked for was sent and acknowledged; ``lack`` are cells that the other would like."""

    id: int
    lack: list[int] = []


class NativeMessage(msgspec.Struct, gc=False, omit_defaults=True):
    """The body of every request on the ``dmqcache`` channel."""

    #: Changed cells by table.
    rows: dict[str, list[Row]] = {}
    #: Flushes by table: everything up to this version is dead.
    floors: dict[str, Stamp] = {}
    #: The rows repair what the receiver holds: it says what it has newer.
    repair: bool = False
    #: Digest tree nodes (depth, index) asked for by table; none: only the whole table's sum.
    ask: dict[str, list[tuple[_Depth, Index]]] | None = None
    want: Want | None = None
    done: Done | None = None


class Answer(msgspec.Struct, gc=False, omit_defaults=True):
    """The body of a 200 that says more than that."""

    #: The answerer's wall clock, Unix ms.
    now: Milliseconds
    #: Something in the request was refused because its version is too far ahead.
    ahead: bool = False
    #: What was asked for, by table.
    sums: dict[str, Summary] | None = None
    #: With ``sums``: how many changes the answerer has still to send to the asker.
    waiting: Index = 0
    #: With ``sums``: whether the answerer has the whole state itself.
    ready: bool = True
    #: With ``sums``: what a want in the asker's name has to show.
    token: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(NativeMessage)
_answer_decoder = msgspec.json.Decoder(Answer)


def encode(message: NativeMessage | Answer) -> bytes:
    """The body."""
    return _encoder.encode(message)


def decode_answer(body: bytes) -> Answer:
    """Read an answer. RowError where it is none."""
    try:
        return _answer_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RowError("bad_answer", str(error)) from None


def encode_rows(rows: dict[str, list[tuple[object, ...]]], floors: dict[str, int], repair: bool) -> bytes:
    """The hot path of :func:`encode`: rows as :func:`~dmqcache.store.table.row.row_of` makes them."""
    fields: dict[str, object] = {"rows": rows}
    if floors:
        fields["floors"] = floors
    if repair:
        fields["repair"] = True
    return _encoder.encode(fields)


def decode(body: bytes) -> NativeMessage:
    """Read a message. RowError where it is none."""
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RowError("bad_message", str(error)) from None
    if sum(map(len, message.rows.values())) > MAX_ROWS:
        raise RowError("bad_message", f"more than {MAX_ROWS} rows")
    for rows in message.rows.values():
        for row in rows:
            # For speed: nearly all rows are plain.
            if row.flags or not row.key or row.shares is not None:
                check_row(row)
    if message.ask is not None and sum(map(len, message.ask.values())) > MAX_PARTS:
        raise RowError("bad_part", "too many parts in one question")
    if message.want is not None:
        if len(message.want.parts) > MAX_PARTS:
            raise RowError("bad_part", "too many parts in one want")
        for part in message.want.parts:
            if part.index >> FANOUT_BITS * part.depth:
                raise RowError("bad_part", "an index beyond its depth")
    return message
