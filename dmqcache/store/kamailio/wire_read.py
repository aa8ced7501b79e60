"""Reading the ``htable`` channel: any bytes in, an action or a batch of cells out, or a WireError.

Nothing is trusted: types, ranges, sizes and depth are checked before a value leaves this file. Unknown fields
are ignored, as Kamailio 6.2 does: the next version may add one. Batches of well-formed cells are decoded by
msgspec in one go; only odd ones are looked at cell by cell.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from dmqcache.store.kamailio.wire_keys import check_action, check_batch, is_soon_looked_through
from dmqcache.store.kamailio.wire_types import (
    INTEGER_TYPE,
    REMOVAL_MODES,
    REMOVALS,
    TEXT_TYPE,
    Action,
    ActionNumber,
    Cell,
    CellBatch,
    Delete,
    Integer,
    NoPattern,
    Reason,
    Remove,
    Set,
    SetExpire,
    Stamp,
    SyncRequest,
    WireError,
)
from dmqcache.store.table.json_bytes import (
    DuplicateKey,
    TooManyEscapes,
    from_latin,
    refuse_duplicates,
    to_latin,
)

#: A datagram has at most 65,507 bytes; Kamailio's batches have about 60,000, and over a stream a value may be
#: longer. A body of 1 MiB is read in some 5 ms.
MAX_BODY_BYTES: Final = 1 << 20
#: Four times as many as Kamailio's batches can have. Each costs the receiver some microseconds more.
MAX_CELLS: Final = 4_000
#: Each bad cell costs some microseconds; a body with more of them is no batch.
MAX_BAD_CELLS: Final = 1000


class _Fields(msgspec.Struct, gc=False):
    """The fields of an action, all of them optional."""

    action: Integer | UnsetType = UNSET
    htname: str | UnsetType = UNSET
    cname: str | UnsetType = UNSET
    type: Integer | UnsetType = UNSET
    strval: str | UnsetType = UNSET
    intval: Integer | UnsetType = UNSET
    mode: Integer | UnsetType = UNSET
    last_modified: Stamp | UnsetType = UNSET
    #: Its presence makes the body a batch.
    cells: msgspec.Raw | UnsetType = UNSET


class _Batch(msgspec.Struct):
    cells: list[Cell]


class _RawBatch(msgspec.Struct):
    cells: list[msgspec.Raw]


_fields = msgspec.json.Decoder(_Fields)
_batch = msgspec.json.Decoder(_Batch)
_raw_batch = msgspec.json.Decoder(_RawBatch)
_cell = msgspec.json.Decoder(Cell)


def read(body: bytes) -> Action | CellBatch:
    """Read one body. Strings that are not UTF-8 come as surrogateescape. Raises WireError, nothing else."""
    if not body:
        raise WireError(Reason.EMPTY_BODY)
    if len(body) > MAX_BODY_BYTES:
        raise WireError(Reason.BODY_TOO_LONG, f"{len(body)} bytes, at most {MAX_BODY_BYTES}")
    try:
        return _read(body)
    except UnicodeDecodeError:
        try:
            return _restored(_read(to_latin(body)))
        except TooManyEscapes as error:
            raise WireError(Reason.TOO_MANY_ESCAPES, str(error)) from None


def _read(body: bytes) -> Action | CellBatch:
    try:
        if body.startswith(b'{"cells"'):
            return _read_batch(body)
        fields = _fields.decode(body)
        if fields.cells is not UNSET:
            return _read_batch(body)
        check_action(fields, body)
    except msgspec.DecodeError as error:
        raise _wire_error(error) from None
    except RecursionError:
        raise WireError(Reason.NESTED_TOO_DEEP) from None
    except DuplicateKey:
        raise WireError(Reason.DUPLICATE_KEY) from None
    except json.JSONDecodeError as error:  # where the second parser is stricter than msgspec
        raise WireError(Reason.MALFORMED_JSON, str(error)) from None
    return _action(fields)


# -- batches ---------------------------------------------------------------------------------------------


def _read_batch(body: bytes) -> CellBatch:
    batch = _read_cells(body)
    if len(batch.cells) > MAX_CELLS:
        raise WireError(Reason.TOO_MANY_CELLS, f"{len(batch.cells)}, at most {MAX_CELLS}")
    return batch


def _read_cells(body: bytes) -> CellBatch:
    try:
        batch = _batch.decode(body)
    except msgspec.ValidationError as error:
        if str(error).startswith("Expected `array`"):
            raise
        cells_and_bad = _read_cell_by_cell(body)
        refuse_duplicates(body)
        return cells_and_bad
    check_batch(batch.cells, body)
    return CellBatch(batch.cells)


def _read_cell_by_cell(body: bytes) -> CellBatch:
    """For a batch in which something is wrong: the good cells, and what is wrong with the others."""
    if not is_soon_looked_through(body):
        # A Kamailio's batch has a third of that at most. Is it JSON at all?
        _fields.decode(body)
        many = body.count(b'"htname"') > MAX_CELLS
        raise WireError(Reason.TOO_MANY_CELLS if many else Reason.TOO_MANY_BAD_CELLS)
    batch = CellBatch([], [])
    for raw in _raw_batch.decode(body).cells:
        try:
            batch.cells.append(_cell.decode(raw))
        except msgspec.DecodeError as error:
            batch.bad.append(_wire_error(error, Reason.WRONG_TYPE).reason)
            if len(batch.bad) > MAX_BAD_CELLS:
                raise WireError(Reason.TOO_MANY_BAD_CELLS, f"more than {MAX_BAD_CELLS}") from None
    return batch


# -- actions ---------------------------------------------------------------------------------------------


def _action(fields: _Fields) -> Action:
    number = fields.action
    if number is UNSET:
        raise WireError(Reason.MISSING_ACTION)
    if number == ActionNumber.SET:
        return _set(fields)
    if number == ActionNumber.SYNC:
        return SyncRequest(None if fields.htname is UNSET or not fields.htname else fields.htname)
    if number == ActionNumber.DELETE:
        return Delete(_text(fields.htname, "htname"), _text(fields.cname, "cname"))
    if number == ActionNumber.SET_EXPIRE:
        return _set_expire(fields)
    if number in REMOVALS:
        return _remove(fields, ActionNumber(number))
    raise WireError(Reason.UNKNOWN_ACTION, str(number))


def _set(fields: _Fields) -> Set:
    value: str | int
    if fields.type == TEXT_TYPE:
        value = _text(fields.strval, "strval")
    elif fields.type == INTEGER_TYPE:
        value = _integer(fields.intval, "intval")
    else:
        raise _wrong_type(fields)
    return Set(
        _text(fields.htname, "htname"),
        _text(fields.cname, "cname"),
        value,
        None if fields.last_modified is UNSET else fields.last_modified,
        1 if fields.mode is UNSET else fields.mode,
    )


def _set_expire(fields: _Fields) -> SetExpire:
    if fields.type is not UNSET and fields.type != INTEGER_TYPE:
        raise _wrong_type(fields)
    seconds = max(0, _integer(fields.intval, "intval"))
    return SetExpire(_text(fields.htname, "htname"), _text(fields.cname, "cname"), seconds)


def _remove(fields: _Fields, number: ActionNumber) -> Remove:
    if fields.type is not UNSET and fields.type != TEXT_TYPE:
        raise _wrong_type(fields)
    mode = 0 if fields.mode is UNSET else fields.mode
    if mode not in REMOVAL_MODES:
        raise WireError(Reason.UNKNOWN_MODE, str(mode))
    table = _text(fields.htname, "htname")
    if fields.strval is UNSET:
        raise NoPattern(table)
    return Remove(table, REMOVALS[number], REMOVAL_MODES[mode], fields.strval)


def _text(value: str | UnsetType, name: str) -> str:
    if value is UNSET:
        raise WireError(Reason.MISSING_FIELD, name)
    return value


def _integer(value: int | UnsetType, name: str) -> int:
    if value is UNSET:
        raise WireError(Reason.MISSING_FIELD, name)
    return value


def _wrong_type(fields: _Fields) -> WireError:
    if fields.type is UNSET:
        return WireError(Reason.MISSING_FIELD, "type")
    return WireError(Reason.UNKNOWN_TYPE, str(fields.type))


# -- what was wrong, and raw bytes -----------------------------------------------------------------------


def _wire_error(error: msgspec.DecodeError, not_an_object: Reason = Reason.NOT_AN_OBJECT) -> WireError:
    """Name what msgspec found. The texts are msgspec's; a test holds them."""
    text = str(error)
    reason = Reason.WRONG_TYPE
    if not isinstance(error, msgspec.ValidationError):
        reason = Reason.MALFORMED_JSON
    elif text.startswith("Object missing required field"):
        reason = Reason.MISSING_FIELD
    elif text.startswith(("Integer value out of range", "Expected `int` <=", "Expected `int` >=")):
        reason = Reason.INTEGER_OUT_OF_RANGE
    elif text.startswith("Invalid value"):
        reason = Reason.UNKNOWN_TYPE
    elif text.startswith("Expected `object`") and " - at " not in text:
        reason = not_an_object
    return WireError(reason, text)


def _restored(read: Action | CellBatch) -> Action | CellBatch:
    """Turn the Latin-1 characters of :func:`to_latin` back into what the bytes mean."""
    for item in read.cells if isinstance(read, CellBatch) else (read,):
        for name in item.__struct_fields__:
            value = getattr(item, name)
            if type(value) is str and not value.isascii():
                force_setattr(item, name, from_latin(value))
    return read
