"""Commands about all keys of a table: list, count, flush."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, Options, parse_integer
from dmqcache.server.resp.globs import compile_glob, literal_prefix
from dmqcache.server.resp.reply import OK, CommandError, bulk, bulks, integer, null, syntax_error
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import Steps, in_steps, key_steps
from dmqcache.store.table.table import Table

#: Keys that one SCAN looks at when the client names no COUNT (Redis'), and at most.
SCAN_COUNT = 10
MAX_SCAN_COUNT = 100_000


def keys(session: Session, args: list[str]) -> Answer:
    return in_steps(session, _keys(session.table, args[1]))


def _keys(table: Table, pattern: str) -> Steps:
    prefix, is_all = literal_prefix(pattern)
    matches = None if is_all else compile_glob(pattern)
    count, pieces = 0, []
    for some in key_steps(table, prefix):
        found = some if matches is None else [key for key in some if matches(key)]
        count += len(found)
        pieces.append(b"".join(map(bulk, found)))
        yield
    return b"*%d\r\n" % count + b"".join(pieces)


def scan(session: Session, args: list[str]) -> bytes:
    pattern, count, wanted = "*", SCAN_COUNT, True
    options = Options(args, 2)
    for word in options:
        if word == "MATCH":
            pattern = options.value()
        elif word == "COUNT":
            count = options.integer()
            if count < 1:
                raise syntax_error()
        elif word == "TYPE":
            wanted = options.value().lower() == "string"
        else:
            raise syntax_error()
    prefix, is_all = literal_prefix(pattern)
    cursor, found = next_keys(session, args[1], prefix, count)
    if not is_all:
        matches = compile_glob(pattern)
        found = [key for key in found if matches(key)]
    return b"*2\r\n" + bulk(cursor) + bulks(found if wanted else [])


def next_keys(
    session: Session, cursor_text: str, prefix: str, count: int, begin: str | None = None
) -> tuple[int, list[str]]:
    """One step of a scan: the cursor to go on with (0: the end) and up to ``count`` keys. ``begin``: the key
    after which a new scan begins."""
    cursors = session.shared.cursors
    try:
        cursor = parse_integer(cursor_text or "0")
        if cursor < 0:
            return 0, []  # to Redis a very large number, behind all keys
        after = cursors.find(cursor, session.table_name) if cursor else begin
    except (CommandError, KeyError):
        raise CommandError("ERR invalid cursor") from None
    count = min(count, MAX_SCAN_COUNT)
    found = session.table.scan(after, prefix, count)
    if len(found) < count:
        cursors.finish(cursor)
        return 0, found
    return cursors.advance(cursor, session.table_name, found[-1]), found


def randomkey(session: Session, args: list[str]) -> bytes:
    """Any key. Chosen by the clock's last digits over the first thousand: no draw from all keys."""
    some = session.table.scan(count=1000)
    if not some:
        return null(session.resp3)
    return bulk(some[int(session.shared.clock() * 1_000_000) % len(some)])


def dbsize(session: Session, args: list[str]) -> bytes:
    return integer(len(session.table))


def _check_flush(args: list[str]) -> None:
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in ("SYNC", "ASYNC")):
        raise syntax_error()


def flushdb(session: Session, args: list[str]) -> bytes:
    _check_flush(args)
    session.table.flush()
    return OK


def flushall(session: Session, args: list[str]) -> bytes:
    _check_flush(args)
    for table in session.shared.node.tables.values():
        table.flush()
    return OK


COMMANDS = (
    Command("KEYS", keys, 2, "readonly", "Lists the keys that match a glob pattern."),
    Command("SCAN", scan, -2, "readonly", "Lists the keys step by step."),
    Command("RANDOMKEY", randomkey, 1, "readonly", "Returns any key."),
    Command("DBSIZE", dbsize, 1, "readonly fast", "Counts the keys of the table."),
    Command("FLUSHDB", flushdb, -1, "write", "Deletes all keys of the table."),
    Command("FLUSHALL", flushall, -1, "write", "Deletes all keys of all tables."),
)
