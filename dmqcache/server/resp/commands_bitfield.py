"""BITFIELD: integers of any width within a value, read, written, counted; signed (``i5``) or not (``u8``)."""

from __future__ import annotations

from dataclasses import dataclass

from dmqcache.server.resp.command import ONE_KEY, Command, Options, parse_integer
from dmqcache.server.resp.commands_bits import bit_offset
from dmqcache.server.resp.commands_bytes import bytes_of, check_length, store_bytes
from dmqcache.server.resp.reply import CommandError, encode, syntax_error
from dmqcache.server.resp.session import Session

_NO_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."


@dataclass(frozen=True, slots=True)
class _Field:
    """One operation on one integer."""

    operation: str
    signed: bool
    width: int
    offset: int
    value: int
    overflow: str


def _fields(args: list[str], readonly: bool) -> list[_Field]:
    fields = []
    overflow = "WRAP"
    options = Options(args, 2)
    for word in options:
        if word == "OVERFLOW" and options.has_more():
            overflow = options.value().upper()
            if overflow not in ("WRAP", "SAT", "FAIL"):
                raise CommandError("ERR Invalid OVERFLOW type specified")
            continue
        if not (word == "GET" and options.has_more(2)) and not (
            word in ("SET", "INCRBY") and options.has_more(3)
        ):
            raise syntax_error()
        signed, width = _type(options.value())
        place = options.value()
        scale = width if place.startswith("#") else 1
        offset = bit_offset(str(bit_offset(place.removeprefix("#")) * scale))
        value = 0 if word == "GET" else options.integer()
        if readonly and word != "GET":
            raise CommandError("ERR BITFIELD_RO only supports the GET subcommand")
        fields.append(_Field(word, signed, width, offset, value, overflow))
    return fields


def _type(text: str) -> tuple[bool, int]:
    try:
        width = parse_integer(text[1:])
    except CommandError:
        raise CommandError(_NO_TYPE) from None
    if text[:1] not in ("i", "u") or not 1 <= width <= (64 if text[0] == "i" else 63):
        raise CommandError(_NO_TYPE)
    return text[0] == "i", width


class _Bits:
    """A value's bytes, which read as zeros behind their end."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def read(self, field: _Field) -> int:
        first, last = field.offset >> 3, (field.offset + field.width - 1) >> 3
        part = bytes(self.data[first : last + 1]).ljust(last - first + 1, b"\0")
        shift = 7 - ((field.offset + field.width - 1) & 7)
        number = (int.from_bytes(part, "big") >> shift) & ((1 << field.width) - 1)
        return number - (1 << field.width) if field.signed and number >> (field.width - 1) else number

    def write(self, field: _Field, value: int) -> None:
        first, last = field.offset >> 3, (field.offset + field.width - 1) >> 3
        self.data.extend(bytes(max(0, last + 1 - len(self.data))))
        shift = 7 - ((field.offset + field.width - 1) & 7)
        mask = (1 << field.width) - 1
        number = int.from_bytes(self.data[first : last + 1], "big")
        number = number & ~(mask << shift) | (value & mask) << shift
        self.data[first : last + 1] = number.to_bytes(last - first + 1, "big")


def _fitted(field: _Field, value: int) -> int | None:
    """What is written of a value that may not fit; None: nothing (FAIL)."""
    low = -(1 << (field.width - 1)) if field.signed else 0
    high = low + (1 << field.width) - 1
    if low <= value <= high:
        return value
    if field.overflow == "FAIL":
        return None
    if field.overflow == "SAT":
        return low if value < low else high
    return (value - low) % (1 << field.width) + low


def _run(session: Session, args: list[str], readonly: bool) -> bytes:
    fields = _fields(args, readonly)
    writes = [field for field in fields if field.operation != "GET"]
    if writes:
        check_length(session, max(field.offset + field.width + 7 for field in writes) >> 3)
    before = bytes_of(session, args[1], counted=not writes)
    bits = _Bits(before)
    if writes:
        # Room for all of them first, as Redis makes it, also where FAIL writes nothing.
        end = max(field.offset + field.width + 7 for field in writes) >> 3
        bits.data.extend(bytes(max(0, end - len(bits.data))))
    replies: list[int | None] = []
    for field in fields:
        old = bits.read(field)
        if field.operation == "GET":
            replies.append(old)
            continue
        new = _fitted(field, field.value if field.operation == "SET" else old + field.value)
        if new is not None:
            bits.write(field, new)
        replies.append(None if new is None else old if field.operation == "SET" else new)
    if bits.data != before:  # else nobody is told of anything, as in Redis
        store_bytes(session, args[1], bytes(bits.data))
    return encode(replies, session.resp3)


def bitfield(session: Session, args: list[str]) -> bytes:
    return _run(session, args, False)


def bitfield_ro(session: Session, args: list[str]) -> bytes:
    return _run(session, args, True)


COMMANDS = (
    Command("BITFIELD", bitfield, -2, "write", "Reads and writes integers within a value.", ONE_KEY),
    Command("BITFIELD_RO", bitfield_ro, -2, "readonly fast", "Reads integers within a value.", ONE_KEY),
)
