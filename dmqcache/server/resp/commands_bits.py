"""Commands on the bits of a value: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. The first bit is the highest one
of the first byte. BITFIELD: ``commands_bitfield.py``."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_, xor
from typing import Final

from dmqcache.server.resp.command import ONE_KEY, Command, parse_integer
from dmqcache.server.resp.commands_bytes import bounds, bytes_of, check_length, store_bytes
from dmqcache.server.resp.reply import CommandError, integer, syntax_error
from dmqcache.server.resp.session import Session

#: Bits that Redis lets a value have: 512 MiB.
MAX_BITS: Final = 1 << 32

_OPERATIONS: Final = {"AND": and_, "OR": or_, "XOR": xor, "NOT": xor}


def bit_offset(text: str) -> int:
    """A bit's place."""
    try:
        offset = parse_integer(text)
    except CommandError:
        offset = -1
    if not 0 <= offset < MAX_BITS:
        raise CommandError("ERR bit offset is not an integer or out of range")
    return offset


def _bit(text: str) -> int:
    if text not in ("0", "1"):
        raise CommandError("ERR bit is not an integer or out of range")
    return int(text)


def setbit(session: Session, args: list[str]) -> bytes:
    offset, bit = bit_offset(args[2]), _bit(args[3])
    place, mask = offset >> 3, 0x80 >> (offset & 7)
    check_length(session, place + 1)
    before = bytes_of(session, args[1])
    data = bytearray(before)
    data.extend(bytes(max(0, place + 1 - len(data))))
    old = bool(data[place] & mask)
    data[place] = data[place] | mask if bit else data[place] & ~mask
    if data != before:  # else nobody is told of anything, as in Redis
        store_bytes(session, args[1], bytes(data))
    return integer(old)


def getbit(session: Session, args: list[str]) -> bytes:
    offset = bit_offset(args[2])
    data = bytes_of(session, args[1], counted=True)
    place = offset >> 3
    return integer(bool(place < len(data) and data[place] & (0x80 >> (offset & 7))))


def bitcount(session: Session, args: list[str]) -> bytes:
    if len(args) == 3 or len(args) > 5:
        raise syntax_error()
    start, end = (parse_integer(args[2]), parse_integer(args[3])) if len(args) > 3 else (0, -1)
    by_bits = _unit(args, 4)
    data = bytes_of(session, args[1], counted=True)
    return integer(_cut(data, start, end, by_bits).bit_count())


def _unit(args: list[str], place: int) -> bool:
    """Whether a range counts bits."""
    unit = args[place].upper() if len(args) > place else "BYTE"
    if unit not in ("BYTE", "BIT"):
        raise syntax_error()
    return unit == "BIT"


def _cut(data: bytes, start: int, end: int, by_bits: bool) -> int:
    """The bits of a range as a number."""
    if not by_bits:
        first, last = bounds(len(data), start, end)
        return int.from_bytes(data[first : last + 1], "big")
    first, last = bounds(8 * len(data), start, end)
    if first > last:
        return 0
    part = int.from_bytes(data[first >> 3 : (last >> 3) + 1], "big") >> (7 - (last & 7))
    return part & ((1 << (last - first + 1)) - 1)


def bitpos(session: Session, args: list[str]) -> bytes:
    if len(args) > 6:
        raise syntax_error()
    try:
        bit = parse_integer(args[2])
    except CommandError:
        raise CommandError("ERR value is not an integer or out of range") from None
    if bit not in (0, 1):
        raise CommandError("ERR The bit argument must be 1 or 0.")
    start = parse_integer(args[3]) if len(args) > 3 else 0
    end = parse_integer(args[4]) if len(args) > 4 else -1
    by_bits = _unit(args, 5)
    if args[1] not in session.table:
        session.table.get(args[1])  # counts the miss
        return integer(-1 if bit else 0)
    data = bytes_of(session, args[1], counted=True)
    unit = 1 if by_bits else 8
    first, last = bounds(8 * len(data) // unit, start, end)
    if first > last:
        return integer(-1)
    first, last = first * unit, last * unit + unit - 1
    width = last - first + 1
    number = _cut(data, first, last, True)
    if not bit:
        number = ~number & ((1 << width) - 1)
    if number:
        return integer(first + width - number.bit_length())
    # Without an end the value goes on with zeros for ever.
    return integer(last + 1 if not bit and len(args) < 5 else -1)


def bitop(session: Session, args: list[str]) -> bytes:
    name, target, sources = args[1].upper(), args[2], args[3:]
    if name not in _OPERATIONS:
        raise syntax_error()
    if name == "NOT" and len(sources) != 1:
        raise CommandError("ERR BITOP NOT must be called with a single source key.")
    values = [bytes_of(session, key, counted=True) for key in sources]
    size = max(map(len, values))
    if not size:
        session.table.delete(target)
        return integer(0)
    numbers = [int.from_bytes(value.ljust(size, b"\0"), "big") for value in values]
    if name == "NOT":
        numbers = [numbers[0], (1 << 8 * size) - 1]
    result = reduce(_OPERATIONS[name], numbers)
    store_bytes(session, target, result.to_bytes(size, "big"), keep_ttl=False)
    return integer(size)


COMMANDS = (
    Command("SETBIT", setbit, 4, "write", "Sets a bit and returns what it was.", ONE_KEY),
    Command("GETBIT", getbit, 3, "readonly fast", "Returns a bit.", ONE_KEY),
    Command("BITCOUNT", bitcount, -2, "readonly", "Counts the bits that are set.", ONE_KEY),
    Command("BITPOS", bitpos, -3, "readonly", "Finds the first bit that is 0 or 1.", ONE_KEY),
    Command("BITOP", bitop, -4, "write", "Combines values bit by bit.", (2, -1, 1)),
)
