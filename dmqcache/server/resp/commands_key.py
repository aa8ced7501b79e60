"""Commands about single keys, whatever they hold: delete, exist, type."""

from __future__ import annotations

from dmqcache.server.resp.command import ALL_KEYS, ONE_KEY, Command, Options, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, integer, simple, syntax_error
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import for_each
from dmqcache.store.table.table import Table


def delete(session: Session, args: list[str]) -> Answer:
    return for_each(session, args[1:], session.table.delete)


def exists(session: Session, args: list[str]) -> Answer:
    return for_each(session, args[1:], session.table.__contains__)


def touch(session: Session, args: list[str]) -> Answer:
    """As EXISTS, and it counts as a use of the keys."""
    table = session.table
    return for_each(session, args[1:], lambda key: table.live_cell(key) is not None)


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
    tables = session.shared.tables
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


COMMANDS = (
    Command("DEL", delete, -2, "write", "Deletes keys.", ALL_KEYS),
    Command("UNLINK", delete, -2, "write fast", "Deletes keys.", ALL_KEYS),
    Command("EXISTS", exists, -2, "readonly fast", "Counts which keys exist.", ALL_KEYS),
    Command("TYPE", type_, 2, "readonly fast", "Returns the type: string or none.", ONE_KEY),
    Command("TOUCH", touch, -2, "readonly fast", "Counts which keys exist, and uses them.", ALL_KEYS),
    Command("COPY", copy, -3, "write", "Copies a value, also to another table.", (1, 2, 1)),
    Command("MOVE", move, 3, "write fast", "Moves a key to another table.", ONE_KEY),
    Command("RENAME", rename, 3, "write", "Gives a value another key.", (1, 2, 1)),
    Command("RENAMENX", renamenx, 3, "write fast", "The same, if that key is free.", (1, 2, 1)),
)
