"""OBJECT: how Redis would keep a value, and for how long it was not used. To ask counts as no use."""

from __future__ import annotations

from typing import Final

from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.reply import CommandError, bulk, integer, null, to_bytes
from dmqcache.server.resp.session import Session
from dmqcache.store.table.use import idle_s, peek

#: Bytes of a text that Redis keeps in one piece with its head.
EMBEDDED_BYTES: Final = 44
#: Integers from 0 on that Redis shares, and how many references it says that they have.
SHARED_INTEGERS: Final = 10_000
MAX_REFERENCES: Final = (1 << 31) - 1
_NOT_COUNTED: Final = (
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
    "switching between policies at runtime LRU and LFU data will take some time to adjust."
)


def _encoding(session: Session, args: list[str]) -> bytes:
    cell = peek(session.table, args[2])
    if cell is None:
        return null(session.resp3)
    text = str(session.table.as_shown(cell).value)
    try:
        parse_integer(text)
    except CommandError:
        return bulk("embstr" if len(to_bytes(text)) <= EMBEDDED_BYTES else "raw")
    return bulk("int")


def _references(session: Session, args: list[str]) -> bytes:
    """Redis keeps each of the first integers once, for all keys."""
    cell = peek(session.table, args[2])
    if cell is None:
        return null(session.resp3)
    try:
        shared = 0 <= parse_integer(str(cell.value)) < SHARED_INTEGERS
    except CommandError:
        shared = False
    return integer(MAX_REFERENCES if shared else 1)


def _idle(session: Session, args: list[str]) -> bytes:
    cell = peek(session.table, args[2])
    return null(session.resp3) if cell is None else integer(idle_s(session.table, cell))


def _frequency(session: Session, args: list[str]) -> bytes:
    """There is no policy for which it would be counted."""
    if peek(session.table, args[2]) is None:
        return null(session.resp3)
    raise CommandError(_NOT_COUNTED)


COMMANDS = (
    container(
        "OBJECT",
        "Tells how Redis would keep a value.",
        (
            Command("OBJECT|ENCODING", _encoding, 3, "readonly", "int, embstr or raw.", (2, 2, 1)),
            Command("OBJECT|FREQ", _frequency, 3, "readonly", "Is not counted.", (2, 2, 1)),
            Command("OBJECT|IDLETIME", _idle, 3, "readonly", "Returns the seconds without use.", (2, 2, 1)),
            Command("OBJECT|REFCOUNT", _references, 3, "readonly", "How often it is kept.", (2, 2, 1)),
        ),
    ),
)
