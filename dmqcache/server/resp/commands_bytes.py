"""Commands on the bytes within a value: append, length, parts."""

from __future__ import annotations

from typing import Final

from dmqcache.server.resp.command import ONE_KEY, Command, parse_integer
from dmqcache.server.resp.reply import CommandError, integer, to_bytes
from dmqcache.server.resp.session import Session

#: Bytes that Redis lets a value have; a table takes fewer, in its own words.
MAX_BYTES: Final = 512 << 20


def bytes_of(session: Session, key: str, counted: bool = False) -> bytes:
    """A value's bytes; none where there is no key. ``counted``: as a read of the client's."""
    if counted:
        value = session.table.get(key)
    else:
        cell = session.table.live_cell(key)
        value = None if cell is None else cell.value
    return b"" if value is None else to_bytes(str(value))


def store_bytes(session: Session, key: str, data: bytes, keep_ttl: bool = True) -> None:
    """Write a value; a key that was there keeps its time to live."""
    session.table.set(key, data.decode("utf-8", "surrogateescape"), keep_ttl=keep_ttl)


def check_length(session: Session, size: int) -> None:
    """An error for a value that would be too long, before it is made."""
    if size > MAX_BYTES:
        raise CommandError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    most = session.table.max_value_bytes
    if size > most:
        raise CommandError(f"ERR a value takes at most {most} bytes in a message, this {size}")


def append(session: Session, args: list[str]) -> bytes:
    data = bytes_of(session, args[1]) + to_bytes(args[2])
    store_bytes(session, args[1], data)
    return integer(len(data))


def strlen(session: Session, args: list[str]) -> bytes:
    return integer(len(bytes_of(session, args[1], counted=True)))


def getrange(session: Session, args: list[str]) -> bytes:
    start, end = parse_integer(args[2]), parse_integer(args[3])
    data = bytes_of(session, args[1], counted=True)
    first, last = bounds(len(data), start, end)
    part = data[first : last + 1]
    return b"$%d\r\n%b\r\n" % (len(part), part)


def bounds(size: int, start: int, end: int) -> tuple[int, int]:
    """The first and the last place of a range, both included, as Redis reads one: negative numbers count from
    the end, and what lies before the beginning means the beginning. The last below the first: nothing."""
    if start < 0 and end < 0 and start > end:
        return 0, -1
    first = max(0, start + size) if start < 0 else start
    last = max(0, end + size) if end < 0 else end
    return first, min(last, size - 1)


def setrange(session: Session, args: list[str]) -> bytes:
    offset, part = parse_integer(args[2]), to_bytes(args[3])
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    data = bytes_of(session, args[1])
    if not part:
        return integer(len(data))
    check_length(session, offset + len(part))
    data = data.ljust(offset, b"\0")
    data = data[:offset] + part + data[offset + len(part) :]
    store_bytes(session, args[1], data)
    return integer(len(data))


COMMANDS = (
    Command("APPEND", append, 3, "write fast", "Appends to a value.", ONE_KEY),
    Command("STRLEN", strlen, 2, "readonly fast", "Returns a value's length in bytes.", ONE_KEY),
    Command("GETRANGE", getrange, 4, "readonly", "Returns a part of a value.", ONE_KEY),
    Command("SUBSTR", getrange, 4, "readonly", "Returns a part of a value: the old name.", ONE_KEY),
    Command("SETRANGE", setrange, 4, "write", "Overwrites a part of a value.", ONE_KEY),
)
