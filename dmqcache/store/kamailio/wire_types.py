"""What can be said on the ``htable`` channel, as values. As JSON: ``wire_read``, ``wire_write``."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from dmqcache.store.table.patterns import MatchKind, MatchOn

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1

if TYPE_CHECKING:
    Integer: TypeAlias = int
    Stamp: TypeAlias = int | None
else:  # What msgspec checks: integers fit 64 bits; a stamp may be missing but not null.
    Integer = Annotated[int, Meta(ge=MIN_INTEGER, le=MAX_INTEGER)]
    Stamp = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]

_NO_STAMP: Any = None


class ActionNumber(IntEnum):
    """Values of ``action`` (Kamailio 5.5 and later)."""

    SYNC = 1
    SET = 2
    SET_EXPIRE = 3
    DELETE = 4
    REMOVE_REGEX = 5
    REMOVE_PREFIX = 6
    REMOVE_SUFFIX = 7
    REMOVE_CONTAINS = 8


#: Kamailio names 7 and 8 and does not act on them.
REMOVALS: Final = {
    ActionNumber.REMOVE_REGEX: MatchKind.REGEX,
    ActionNumber.REMOVE_PREFIX: MatchKind.PREFIX,
    ActionNumber.REMOVE_SUFFIX: MatchKind.SUFFIX,
    ActionNumber.REMOVE_CONTAINS: MatchKind.CONTAINS,
}
#: Values of ``mode`` in removals.
REMOVAL_MODES: Final = {0: MatchOn.NAME, 1: MatchOn.VALUE}

#: Values of ``type``: Kamailio's AVP_VAL_STR and its absence.
INTEGER_TYPE: Final = 0
TEXT_TYPE: Final = 2


class Reason(StrEnum):
    """Why a body or a cell cannot be used: names for the drop counters."""

    EMPTY_BODY = "empty_body"
    BODY_TOO_LONG = "body_too_long"
    MALFORMED_JSON = "malformed_json"
    NESTED_TOO_DEEP = "nested_too_deep"
    DUPLICATE_KEY = "duplicate_key"
    NOT_AN_OBJECT = "not_an_object"
    WRONG_TYPE = "wrong_type"
    INTEGER_OUT_OF_RANGE = "integer_out_of_range"
    MISSING_FIELD = "missing_field"
    MISSING_ACTION = "missing_action"
    UNKNOWN_ACTION = "unknown_action"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_MODE = "unknown_mode"
    TOO_MANY_BAD_CELLS = "too_many_bad_cells"
    TOO_MANY_CELLS = "too_many_cells"
    TOO_MANY_ESCAPES = "too_many_escapes"


class WireError(ValueError):
    """A body that cannot be read, all of it."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason: str = reason.value


class NoPattern(WireError):
    """A removal that says not of what: Kamailio 6's of keys that end with a text, or contain it."""

    def __init__(self, htname: str) -> None:
        super().__init__(Reason.MISSING_FIELD, "strval")
        self.htname = htname


class SyncRequest(msgspec.Struct, frozen=True, gc=False):
    """Send me all that you have: of one table, or of all (None)."""

    htname: str | None = None


class Set(msgspec.Struct, frozen=True, gc=False):
    """Set a cell; it gets the receiver's autoexpire."""

    htname: str
    cname: str
    value: str | int
    #: Unix ms, or None: the sender gives no version.
    last_modified: int | None = None
    #: To Kamailio: take the slot's lock. No meaning here.
    mode: int = 1


class SetExpire(msgspec.Struct, frozen=True, gc=False):
    """Give a cell a time to live in seconds from now; 0: for ever (so Kamailio reads negative ones too)."""

    htname: str
    cname: str
    seconds: int


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete a cell."""

    htname: str
    cname: str


class Remove(msgspec.Struct, frozen=True, gc=False):
    """Delete all cells that match."""

    htname: str
    kind: MatchKind
    on: MatchOn
    pattern: str


Action: TypeAlias = SyncRequest | Set | SetExpire | Delete | Remove


class TextCell(
    msgspec.Struct, tag_field="type", tag=TEXT_TYPE, rename={"value": "strval"}, frozen=True, gc=False
):
    """A cell of a batch that holds a string, as it stands on the wire."""

    htname: str
    cname: str
    value: str
    #: Unix seconds; 0 or past: no time given, the table's autoexpire applies.
    expire: Integer
    #: Unix ms, or None: the sender gives no version.
    last_modified: Stamp = _NO_STAMP


class NumberCell(
    msgspec.Struct, tag_field="type", tag=INTEGER_TYPE, rename={"value": "intval"}, frozen=True, gc=False
):
    """As :class:`TextCell`, with an integer."""

    htname: str
    cname: str
    value: Integer
    expire: Integer
    last_modified: Stamp = _NO_STAMP


Cell: TypeAlias = TextCell | NumberCell


class CellBatch(msgspec.Struct, frozen=True):
    """Cells, and a reason for each that could not be read (the others count)."""

    cells: list[Cell]
    bad: list[str] = []
