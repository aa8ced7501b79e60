"""Commands about keys: delete, exist, time to live, listing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from dmqcache.server.resp.command import ALL_KEYS, ONE_KEY, Command, Options, parse_integer, seconds_from_now
from dmqcache.server.resp.globs import compile_glob, literal_prefix
from dmqcache.server.resp.reply import (
    OK,
    ONE,
    ZERO,
    CommandError,
    bulk,
    bulks,
    encode,
    integer,
    not_an_integer,
    null,
    simple,
    syntax_error,
)
from dmqcache.server.resp.session import Session

#: What TTL and its kin answer (Redis): no such key, and a key that never expires.
NO_KEY = -2
NO_EXPIRY = -1
#: Keys that one SCAN looks at when the client names no COUNT (Redis'), and at most.
SCAN_COUNT = 10
MAX_SCAN_COUNT = 100_000


def delete(session: Session, args: list[str]) -> bytes:
    remove = session.table.delete
    return integer(sum(remove(key) for key in args[1:]))


def exists(session: Session, args: list[str]) -> bytes:
    return integer(sum(key in session.table for key in args[1:]))


def type_(session: Session, args: list[str]) -> bytes:
    return simple("string" if args[1] in session.table else "none")


def _expire(session: Session, args: list[str], unit: str) -> bytes:
    left = seconds_from_now(args[2], unit, session.shared.wall(), args[0])
    key, conditions = args[1], {word.upper() for word in args[3:]}
    unknown = conditions - {"NX", "XX", "GT", "LT"}
    if unknown:
        raise CommandError(f"ERR Unsupported option {unknown.pop().lower()}")
    if "NX" in conditions and len(conditions) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {"GT", "LT"} <= conditions:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    try:
        now = session.table.ttl(key)
    except KeyError:
        return ZERO
    if conditions and not _may(conditions, now, left):
        return ZERO
    done = session.table.delete(key) if left <= 0 else session.table.expire(key, left)
    return ONE if done else ZERO


def _may(conditions: set[str], now: float | None, left: float) -> bool:
    """Whether a time to live may be replaced. None, never, is longer than any."""
    if now is None:
        return not conditions & {"XX", "GT"}
    if "NX" in conditions:
        return False
    return not ("GT" in conditions and left <= now) and not ("LT" in conditions and left >= now)


def expire(session: Session, args: list[str]) -> bytes:
    return _expire(session, args, "EX")


def pexpire(session: Session, args: list[str]) -> bytes:
    return _expire(session, args, "PX")


def expireat(session: Session, args: list[str]) -> bytes:
    return _expire(session, args, "EXAT")


def pexpireat(session: Session, args: list[str]) -> bytes:
    return _expire(session, args, "PXAT")


def persist(session: Session, args: list[str]) -> bytes:
    try:
        if session.table.ttl(args[1]) is None:
            return ZERO
    except KeyError:
        return ZERO
    return ONE if session.table.expire(args[1], 0) else ZERO


def _milliseconds_left(session: Session, key: str) -> int:
    try:
        left = session.table.ttl(key)
    except KeyError:
        return NO_KEY
    return NO_EXPIRY if left is None else max(0, round(left * 1000))


def ttl(session: Session, args: list[str]) -> bytes:
    left = _milliseconds_left(session, args[1])
    return integer(left if left < 0 else (left + 500) // 1000)


def pttl(session: Session, args: list[str]) -> bytes:
    return integer(_milliseconds_left(session, args[1]))


def expiretime(session: Session, args: list[str]) -> bytes:
    left = _milliseconds_left(session, args[1])
    return integer(left if left < 0 else round(session.shared.wall() + left / 1000))


def pexpiretime(session: Session, args: list[str]) -> bytes:
    left = _milliseconds_left(session, args[1])
    return integer(left if left < 0 else round(session.shared.wall() * 1000) + left)


def keys(session: Session, args: list[str]) -> bytes:
    prefix, is_all = literal_prefix(args[1])
    if is_all:
        return bulks(session.table.scan(prefix=prefix))
    matches = compile_glob(args[1])
    return bulks([key for key in session.table.scan(prefix=prefix) if matches(key)])


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


def next_keys(session: Session, cursor_text: str, prefix: str, count: int) -> tuple[int, list[str]]:
    """One step of a scan: the cursor to go on with (0: the end) and up to ``count`` keys."""
    try:
        cursor = parse_integer(cursor_text)
        cursors = session.shared.cursors
        after = cursors.find(cursor, session.table_name) if cursor else None
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


async def _wait(session: Session, nodes: int, timeout: float | None) -> bytes:
    return integer(await session.shared.node.wait_replicated(nodes, timeout))


def wait(session: Session, args: list[str]) -> Coroutine[Any, Any, bytes]:
    """WAIT NODES MILLISECONDS: how many other nodes have acknowledged all writes made here so far."""
    nodes, milliseconds = parse_integer(args[1]), parse_integer(args[2])
    if nodes < 0:
        raise not_an_integer()
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    return _wait(session, nodes, milliseconds / 1000 if milliseconds else None)


def touch(session: Session, args: list[str]) -> bytes:
    return exists(session, args)


def object_(session: Session, args: list[str]) -> bytes:
    if args[1].upper() != "ENCODING" or len(args) != 3:
        raise CommandError(f"ERR unknown subcommand '{args[1]}'. Try OBJECT ENCODING.")
    value = session.table.get(args[2])
    if value is None:
        return null(session.resp3)
    return encode("int" if isinstance(value, int) else "raw", session.resp3)


COMMANDS = (
    Command("DEL", delete, -2, "write", "Deletes keys.", ALL_KEYS),
    Command("UNLINK", delete, -2, "write fast", "Deletes keys.", ALL_KEYS),
    Command("EXISTS", exists, -2, "readonly fast", "Counts which keys exist.", ALL_KEYS),
    Command("TOUCH", touch, -2, "readonly fast", "Counts which keys exist.", ALL_KEYS),
    Command("TYPE", type_, 2, "readonly fast", "Returns the type: string or none.", ONE_KEY),
    Command("OBJECT", object_, -2, "readonly", "OBJECT ENCODING: int or raw.", (2, 2, 1)),
    Command("EXPIRE", expire, -3, "write fast", "Sets a time to live in seconds.", ONE_KEY),
    Command("PEXPIRE", pexpire, -3, "write fast", "Sets a time to live in milliseconds.", ONE_KEY),
    Command("EXPIREAT", expireat, -3, "write fast", "Sets the Unix time of expiry.", ONE_KEY),
    Command("PEXPIREAT", pexpireat, -3, "write fast", "Sets the time of expiry in milliseconds.", ONE_KEY),
    Command("PERSIST", persist, 2, "write fast", "Makes a key live for ever.", ONE_KEY),
    Command("TTL", ttl, 2, "readonly fast", "Returns the seconds left.", ONE_KEY),
    Command("PTTL", pttl, 2, "readonly fast", "Returns the milliseconds left.", ONE_KEY),
    Command("EXPIRETIME", expiretime, 2, "readonly fast", "Returns the Unix time of expiry.", ONE_KEY),
    Command("PEXPIRETIME", pexpiretime, 2, "readonly fast", "Returns it in milliseconds.", ONE_KEY),
    Command("KEYS", keys, 2, "readonly", "Lists the keys that match a glob pattern."),
    Command("SCAN", scan, -2, "readonly", "Lists the keys step by step."),
    Command("RANDOMKEY", randomkey, 1, "readonly", "Returns any key."),
    Command("DBSIZE", dbsize, 1, "readonly fast", "Counts the keys of the table."),
    Command("FLUSHDB", flushdb, -1, "write", "Deletes all keys of the table."),
    Command("FLUSHALL", flushall, -1, "write", "Deletes all keys of all tables."),
    Command("WAIT", wait, 3, "blocking", "Waits until other nodes have acknowledged the writes."),
)
