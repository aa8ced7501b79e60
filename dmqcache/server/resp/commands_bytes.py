"""Commands on the bytes within a value: append, length, parts."""

from __future__ import annotations

from dmqcache.server.resp.command import ONE_KEY, Command, parse_integer
from dmqcache.server.resp.reply import ZERO, integer, to_bytes
from dmqcache.server.resp.session import Session


def append(session: Session, args: list[str]) -> bytes:
    cell = session.table.live_cell(args[1])
    value = args[2] if cell is None else f"{cell.value}{args[2]}"
    session.table.set(args[1], value, keep_ttl=True)
    return integer(len(to_bytes(value)))


def strlen(session: Session, args: list[str]) -> bytes:
    value = session.table.get(args[1])
    return ZERO if value is None else integer(len(to_bytes(str(value))))


def getrange(session: Session, args: list[str]) -> bytes:
    start, end = parse_integer(args[2]), parse_integer(args[3])
    value = session.table.get(args[1])
    part = _part(b"" if value is None else to_bytes(str(value)), start, end)
    return b"$%d\r\n%b\r\n" % (len(part), part)


def _part(data: bytes, start: int, end: int) -> bytes:
    """From ``start`` to ``end``, both included; negative ones count from the end, as far as there is one."""
    if start < 0 and end < 0 and start > end:
        return b""
    start = max(0, start + len(data)) if start < 0 else start
    end = max(0, end + len(data)) if end < 0 else end
    return data[start : end + 1]


COMMANDS = (
    Command("APPEND", append, 3, "write fast", "Appends to a value.", ONE_KEY),
    Command("STRLEN", strlen, 2, "readonly fast", "Returns a value's length in bytes.", ONE_KEY),
    Command("GETRANGE", getrange, 4, "readonly", "Returns a part of a value.", ONE_KEY),
    Command("SUBSTR", getrange, 4, "readonly", "Returns a part of a value: the old name.", ONE_KEY),
)
