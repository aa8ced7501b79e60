"""A body of a Kamailio module's channel as fields: one JSON object of texts, integers and small objects.

Owns the limits of such a body and what is refused for which reason. What the fields mean is said by the
channel's own file (``dialog_wire.py``, ``presence_wire.py``). Fields that nobody knows are read and kept: the
next release may add one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeAlias

from dmqcache.store.table.json_bytes import quote

#: A datagram has at most 65,507 bytes; over a stream a Kamailio from 5.8 on reads no more than 32,767.
MAX_BODY_BYTES: Final = 65_507
#: Fields of one object. Kamailio's have at most thirty; a dialog's variables are an operator's.
MAX_FIELDS: Final = 256
MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1

Scalar: TypeAlias = str | int
#: What a field may hold: an object has only texts and integers in it.
Field: TypeAlias = str | int | Mapping[str, Scalar]
Fields: TypeAlias = Mapping[str, Field]


class Refusal(StrEnum):
    """Why a body cannot be used: names for counters."""

    EMPTY_BODY = "empty_body"
    BODY_TOO_LONG = "body_too_long"
    MALFORMED_JSON = "malformed_json"
    NESTED_TOO_DEEP = "nested_too_deep"
    DUPLICATE_KEY = "duplicate_key"
    NOT_AN_OBJECT = "not_an_object"
    TOO_MANY_FIELDS = "too_many_fields"
    WRONG_TYPE = "wrong_type"
    INTEGER_OUT_OF_RANGE = "integer_out_of_range"
    MISSING_FIELD = "missing_field"
    MISSING_ACTION = "missing_action"
    UNKNOWN_ACTION = "unknown_action"
    UNKNOWN_STATE = "unknown_state"


class BodyRefused(ValueError):
    """A body that cannot be used, all of it."""

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason


def read_fields(body: bytes) -> dict[str, Field]:
    """The fields of a body. Bytes that are no UTF-8 come as surrogateescape. BodyRefused, nothing else."""
    return read_object(body, 1)


def read_object(body: bytes, depth: int) -> dict[str, Any]:
    """As :func:`read_fields`, with objects that lie in one another, ``depth`` of them at most.

    A key may be there twice if it says the same both times: 5.6 writes ``tag1``, ``cseq1``, ``route_set1``
    and ``contact1`` twice into an update of a dialog that rings.
    """
    if not body:
        raise BodyRefused(Refusal.EMPTY_BODY)
    if len(body) > MAX_BODY_BYTES:
        raise BodyRefused(Refusal.BODY_TOO_LONG, f"{len(body)} bytes, at most {MAX_BODY_BYTES}")
    try:
        read = (_ANY if _LONG_NUMBER.search(body) else _SHORT).decode(body.decode("utf-8", "surrogateescape"))
    except BodyRefused:
        raise
    except RecursionError:
        raise BodyRefused(Refusal.NESTED_TOO_DEEP) from None
    except ValueError as error:
        raise BodyRefused(Refusal.MALFORMED_JSON, str(error)) from None
    if not isinstance(read, dict):
        raise BodyRefused(Refusal.NOT_AN_OBJECT)
    plain = body.isascii() and b"\\u" not in body  # So no text in it can be half of a pair.
    for name, value in read.items():
        if not (plain and (type(value) is str or type(value) is int)):
            _check(name, value, depth)
    return read


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs) <= MAX_FIELDS:
        return found
    found.clear()
    for name, value in pairs:
        if name in found and found[name] != value:
            raise BodyRefused(Refusal.DUPLICATE_KEY, name[:40])
        found[name] = value
    if len(found) > MAX_FIELDS:
        raise BodyRefused(Refusal.TOO_MANY_FIELDS, f"{len(found)}, at most {MAX_FIELDS}")
    return found


def _integer(digits: str) -> int:
    # int() itself refuses some thousand digits, with another error.
    number = int(digits) if len(digits) <= len(str(MIN_INTEGER)) else None
    if number is None or not MIN_INTEGER <= number <= MAX_INTEGER:
        raise BodyRefused(Refusal.INTEGER_OUT_OF_RANGE, digits[:24])
    return number


def _no_number(_text: str) -> NoReturn:
    raise BodyRefused(Refusal.WRONG_TYPE, "a number that is no integer")


#: A number that may be out of range. Calling back for each number costs more than looking for such.
_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")
_SHORT: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_no_number, parse_constant=_no_number)
_ANY: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number
)


def _check(name: str, value: object, depth: int) -> None:
    """Of a field, in which so many objects may lie in one another: its name and value stand for bytes, and
    are of a known type."""
    _check_text(name)
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict) and depth:
        for inner, one in value.items():
            _check(inner, one, depth - 1)
    elif isinstance(value, dict):
        raise BodyRefused(Refusal.NESTED_TOO_DEEP, name[:40])
    elif isinstance(value, bool) or not isinstance(value, int):
        raise BodyRefused(Refusal.WRONG_TYPE, name[:40])


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BodyRefused(Refusal.MALFORMED_JSON, "half of a surrogate pair") from None


def write_fields(fields: Fields) -> bytes:
    """The body that says these fields, in their order, in Kamailio's manner: bytes above 127 raw."""
    return b"{" + b",".join(quote(name) + b":" + _written(value) for name, value in fields.items()) + b"}"


def _written(value: Field) -> bytes:
    if isinstance(value, str):
        return quote(value)
    return str(value).encode() if isinstance(value, int) else write_fields(value)


def text_of(fields: Fields, name: str) -> str:
    """A text that must be there. BodyRefused."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise _missing(fields, name)
    return value


def integer_of(fields: Fields, name: str, least: int, most: int) -> int:
    """An integer that must be there, within a range. BodyRefused."""
    value = fields.get(name)
    if not isinstance(value, int):
        raise _missing(fields, name)
    if not least <= value <= most:
        raise BodyRefused(Refusal.INTEGER_OUT_OF_RANGE, f"{name} {value}")
    return value


def text_in(fields: Fields, name: str) -> str:
    """A text; empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def integer_in(fields: Fields, name: str) -> int:
    """An integer; 0 where there is none."""
    value = fields.get(name)
    return value if isinstance(value, int) else 0


def check_types(fields: Fields, kinds: Mapping[str, type]) -> None:
    """Each known field that is there has its type: ``str``, ``int`` or ``dict``. BodyRefused."""
    for name, kind in kinds.items():
        if name in fields and not isinstance(fields[name], kind):
            raise BodyRefused(Refusal.WRONG_TYPE, name)


def action_of(fields: Fields, known: Callable[[int], Any]) -> Any:
    """The action as ``known`` names it. BodyRefused where there is none, or ``known`` raises ValueError."""
    value = fields.get("action")
    if value is None:
        raise BodyRefused(Refusal.MISSING_ACTION)
    if not isinstance(value, int):
        raise BodyRefused(Refusal.WRONG_TYPE, "action")
    try:
        return known(value)
    except ValueError:
        raise BodyRefused(Refusal.UNKNOWN_ACTION, str(value)) from None


def _missing(fields: Fields, name: str) -> BodyRefused:
    return BodyRefused(Refusal.WRONG_TYPE if name in fields else Refusal.MISSING_FIELD, name)
