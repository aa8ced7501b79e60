"""Commands about single keys, whatever they hold: delete, exist, type."""

from __future__ import annotations

from dmqcache.server.resp.command import ALL_KEYS, ONE_KEY, Command, Options, container, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, bulk, integer, null, simple, syntax_error, to_bytes
from dmqcache.server.resp.session import Session
from dmqcache.store.table.table import Table

#: Bytes of a text that Redis keeps in one piece with its head.
EMBEDDED_BYTES = 44
#: Integers from 0 on that Redis shares, and how many references it says that they have.
SHARED_INTEGERS = 10_000
MAX_REFERENCES = (1 << 31) - 1


def delete(session: Session, args: list[str]) -> bytes:
    remove = session.table.delete
    return integer(sum(remove(key) for key in args[1:]))


def exists(session: Session, args: list[str]) -> bytes:
    return integer(sum(key in session.table for key in args[1:]))


def type_(session: Session, args: list[str]) -> bytes:
    return simple("string" if args[1] in session.table else "none")


def copy(session: Session, args: list[str]) -> bytes:
    target, replace = session.table, False
    options = Options(args, 3)
    for word in options:
        if word == "REPLACE":
            replace = True
        elif word == "DB" and options.has_more():
            target = _table(session, options.value())
        else:
            raise syntax_error()
    if target is session.table and args[1] == args[2]:
        raise CommandError("ERR source and destination objects are the same")
    return integer(_copy(session.table, args[1], target, args[2], replace))


def _table(session: Session, text: str) -> Table:
    """Another table, by its name or its number."""
    tables = session.shared.node.tables
    if text in tables:
        return tables[text]
    number = parse_integer(text)
    if not 0 <= number < len(tables):
        raise CommandError("ERR DB index is out of range")
    return list(tables.values())[number]


def _copy(source: Table, key: str, target: Table, new_key: str, replace: bool) -> bool:
    """Whether the value was there, and is now there too, with its time to live."""
    cell = source.live_cell(key)
    if cell is None or cell.value is None or (new_key in target and not replace):
        return False
    target.set(new_key, cell.value, source.ttl(key) or 0)
    return True


def move(session: Session, args: list[str]) -> bytes:
    target = _table(session, args[2])
    if target is session.table:
        raise CommandError("ERR source and destination objects are the same")
    done = _copy(session.table, args[1], target, args[1], False)
    return integer(done and session.table.delete(args[1]))


def _rename(session: Session, args: list[str], replace: bool) -> bool:
    _, key, new_key = args
    if key not in session.table:
        raise CommandError("ERR no such key")
    if key == new_key:
        return replace
    done = _copy(session.table, key, session.table, new_key, replace)
    return done and session.table.delete(key)


def rename(session: Session, args: list[str]) -> bytes:
    _rename(session, args, True)
    return OK


def renamenx(session: Session, args: list[str]) -> bytes:
    return integer(_rename(session, args, False))


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


def _references(session: Session, args: list[str]) -> bytes:
    """Redis keeps each of the first integers once, for all keys."""
    cell = session.table.live_cell(args[2])
    if cell is None or cell.value is None:
        return null(session.resp3)
    try:
        shared = 0 <= parse_integer(str(cell.value)) < SHARED_INTEGERS
    except CommandError:
        shared = False
    return integer(MAX_REFERENCES if shared else 1)


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
    Command("COPY", copy, -3, "write", "Copies a value, also to another table.", (1, 2, 1)),
    Command("MOVE", move, 3, "write fast", "Moves a key to another table.", ONE_KEY),
    Command("RENAME", rename, 3, "write", "Gives a value another key.", (1, 2, 1)),
    Command("RENAMENX", renamenx, 3, "write fast", "The same, if that key is free.", (1, 2, 1)),
    container(
        "OBJECT",
        "Tells how Redis would keep a value.",
        (
            Command("OBJECT|ENCODING", _encoding, 3, "readonly", "int, embstr or raw.", (2, 2, 1)),
            Command("OBJECT|REFCOUNT", _references, 3, "readonly", "How often it is kept.", (2, 2, 1)),
            Command("OBJECT|FREQ", _frequency, 3, "readonly", "Is not counted.", (2, 2, 1)),
        ),
    ),
)
