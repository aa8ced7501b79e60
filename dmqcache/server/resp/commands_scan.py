"""Commands about all keys of a table: list, count, flush."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dmqcache.server.resp.command import Command, Options, parse_integer
from dmqcache.server.resp.globs import compile_glob, literal_prefix
from dmqcache.server.resp.long_reply import Parts
from dmqcache.server.resp.reply import OK, CommandError, bulk, integer, null, syntax_error
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import STEP_KEYS, Steps, in_steps, key_steps
from dmqcache.store.table.listing import sorting
from dmqcache.store.table.table import Table

#: Keys that one SCAN looks at when the client names no COUNT (Redis'), and at most.
SCAN_COUNT = 10
MAX_SCAN_COUNT = 100_000


def keys(session: Session, args: list[str]) -> Answer:
    return in_steps(session, _keys(session.table, args[1]))


def _keys(table: Table, pattern: str) -> Steps:
    prefix, is_all = literal_prefix(pattern)
    matches = None if is_all else compile_glob(pattern)
    parts = Parts()
    for some in key_steps(table, prefix):
        found = some if matches is None else [key for key in some if matches(key)]
        parts.add(b"".join(map(bulk, found)), len(found))
        yield
    return parts.reply(b"*%d\r\n" % parts.count)


def scan(session: Session, args: list[str]) -> Answer:
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
    matches = None if is_all else compile_glob(pattern)
    return in_steps(session, _scan(Walk(session, args[1], prefix, count), matches, wanted))


def _scan(walk: Walk, matches: Callable[[str], bool] | None, wanted: bool) -> Steps:
    parts = Parts()
    for some in walk:
        found = some if matches is None else [key for key in some if matches(key)]
        if wanted:
            parts.add(b"".join(map(bulk, found)), len(found))
        yield
    return parts.reply(b"*2\r\n%b*%d\r\n" % (bulk(walk.cursor), parts.count))


class Walk:
    """A part of a scan: the keys in pieces, and then the cursor to go on with (0: the end)."""

    def __init__(
        self, session: Session, cursor: str, prefix: str, count: int, begin: str | None = None
    ) -> None:
        """From ``cursor`` on, up to ``count`` keys that begin with ``prefix``. ``begin``: the key after which
        a new scan begins. CommandError."""
        self._cursors, self._table, self._name = session.shared.cursors, session.table, session.table_name
        self._prefix = prefix
        self._left = min(count, MAX_SCAN_COUNT)
        self._after = begin
        self.cursor = 0
        try:
            self._asked = parse_integer(cursor or "0")
            if self._asked < 0:
                self._left = 0  # to Redis a very large number, behind all keys
            elif self._asked:
                self._after = self._cursors.find(self._asked, self._name)
        except (CommandError, KeyError):
            raise CommandError("ERR invalid cursor") from None

    def __iter__(self) -> Iterator[list[str]]:
        if not self._left:
            return
        yield from sorting(self._table)
        while self._left:
            wanted = min(self._left, STEP_KEYS)
            some = self._table.scan(self._after, self._prefix, wanted)
            yield some
            if len(some) < wanted:
                self._cursors.finish(self._asked)
                return
            self._left -= wanted
            self._after = some[-1]
        assert self._after is not None
        self.cursor = self._cursors.advance(self._asked, self._name, self._after)


def randomkey(session: Session, args: list[str]) -> Answer:
    """Any key. Chosen by the clock's last digits over the first thousand: no draw from all keys."""
    return in_steps(session, _random_key(session))


def _random_key(session: Session) -> Steps:
    for _ in sorting(session.table):
        yield
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
