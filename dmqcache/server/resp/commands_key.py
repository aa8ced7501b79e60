"""Commands about single keys, whatever they hold: delete, exist, type."""

from __future__ import annotations

from dmqcache.server.resp.command import ALL_KEYS, ONE_KEY, Command, container, parse_integer
from dmqcache.server.resp.reply import CommandError, bulk, integer, null, simple, to_bytes
from dmqcache.server.resp.session import Session

#: Bytes of a text that Redis keeps in one piece with its head.
EMBEDDED_BYTES = 44


def delete(session: Session, args: list[str]) -> bytes:
    remove = session.table.delete
    return integer(sum(remove(key) for key in args[1:]))


def exists(session: Session, args: list[str]) -> bytes:
    return integer(sum(key in session.table for key in args[1:]))


def type_(session: Session, args: list[str]) -> bytes:
    return simple("string" if args[1] in session.table else "none")


def _encoding(session: Session, args: list[str]) -> bytes:
    cell = session.table.live_cell(args[2])
    if cell is None or cell.value is None:
        return null(session.resp3)
    text = str(cell.value)
    try:
        parse_integer(text)
    except CommandError:
        return bulk("embstr" if len(to_bytes(text)) <= EMBEDDED_BYTES else "raw")
    return bulk("int")


def _frequency(session: Session, args: list[str]) -> bytes:
    raise CommandError(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
        "switching between policies at runtime LRU and LFU data will take some time to adjust."
    )


COMMANDS = (
    Command("DEL", delete, -2, "write", "Deletes keys.", ALL_KEYS),
    Command("UNLINK", delete, -2, "write fast", "Deletes keys.", ALL_KEYS),
    Command("EXISTS", exists, -2, "readonly fast", "Counts which keys exist.", ALL_KEYS),
    Command("TYPE", type_, 2, "readonly fast", "Returns the type: string or none.", ONE_KEY),
    Command("TOUCH", exists, -2, "readonly fast", "Counts which keys exist.", ALL_KEYS),
    container(
        "OBJECT",
        "Tells how Redis would keep a value.",
        (
            Command("OBJECT|ENCODING", _encoding, 3, "readonly", "int, embstr or raw.", (2, 2, 1)),
            Command("OBJECT|FREQ", _frequency, 3, "readonly", "Is not counted.", (2, 2, 1)),
        ),
    ),
)
