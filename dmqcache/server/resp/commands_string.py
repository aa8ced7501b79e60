"""Commands that read and write values: GET, SET and their kin, counters."""

from __future__ import annotations

from dmqcache.server.resp.command import ALL_KEYS, ONE_KEY, Command, Options, parse_integer, seconds_from_now
from dmqcache.server.resp.reply import (
    NULL_2,
    NULL_3,
    OK,
    ONE,
    ZERO,
    CommandError,
    bulk,
    encode,
    integer,
    not_an_integer,
    null,
    syntax_error,
    to_bytes,
    wrong_arity,
)
from dmqcache.server.resp.session import Session

_TIMES = frozenset({"EX", "PX", "EXAT", "PXAT"})


def get(session: Session, args: list[str]) -> bytes:
    value = session.table.get(args[1])
    if value is None:
        return NULL_3 if session.resp3 else NULL_2
    return bulk(value)


def set_(session: Session, args: list[str]) -> bytes:
    if len(args) == 3:
        session.table.set(args[1], args[2])
        return OK
    return _set_with_options(session, args)


def _set_with_options(session: Session, args: list[str]) -> bytes:
    _, key, text, *_ = args
    value: str | int = text
    condition = ttl = None
    keep = old_wanted = False
    options = Options(args, 3)
    for word in options:
        if word in ("NX", "XX") and condition in (None, word):
            condition = word
        elif word == "KEEPTTL" and ttl is None:
            keep = True
        elif word == "GET":
            old_wanted = True
        elif word == "INT":
            value = parse_integer(text)
        elif word in _TIMES and ttl is None and not keep:
            ttl = _life(session, options.value(), word, "set")
        else:
            raise syntax_error()
    table = session.table
    old = table.get(key) if old_wanted else None
    nothing = null(session.resp3)
    if condition is not None and (key in table) != (condition == "XX"):
        return nothing if old is None else bulk(old)
    _store(session, key, value, ttl, keep)
    if old_wanted:
        return nothing if old is None else bulk(old)
    return OK


def _life(session: Session, text: str, unit: str, command: str) -> float:
    """Seconds to live. A time to live must be positive; a point in time may have passed."""
    if parse_integer(text) <= 0:
        raise CommandError(f"ERR invalid expire time in '{command}' command")
    return seconds_from_now(text, unit, session.shared.wall(), command)


def _store(session: Session, key: str, value: str | int, ttl: float | None, keep: bool = False) -> None:
    if ttl is not None and ttl <= 0:
        # Set to live until a moment that has passed: Redis leaves nothing behind.
        session.table.delete(key)
    else:
        session.table.set(key, value, ttl, keep)


def setex(session: Session, args: list[str]) -> bytes:
    _store(session, args[1], args[3], _life(session, args[2], "EX", "setex"))
    return OK


def psetex(session: Session, args: list[str]) -> bytes:
    _store(session, args[1], args[3], _life(session, args[2], "PX", "psetex"))
    return OK


def setnx(session: Session, args: list[str]) -> bytes:
    if args[1] in session.table:
        return ZERO
    session.table.set(args[1], args[2])
    return ONE


def getset(session: Session, args: list[str]) -> bytes:
    old = get(session, args)
    session.table.set(args[1], args[2])
    return old


def getdel(session: Session, args: list[str]) -> bytes:
    old = get(session, args)
    session.table.delete(args[1])
    return old


def getex(session: Session, args: list[str]) -> bytes:
    ttl: float | None = None
    options = Options(args, 2)
    for word in options:
        if ttl is not None:
            raise syntax_error()
        if word in _TIMES:
            ttl = _life(session, options.value(), word, "getex")
            if ttl <= 0:
                return getdel(session, args)
        elif word == "PERSIST":
            ttl = 0.0
        else:
            raise syntax_error()
    value = get(session, args)
    if ttl is not None:
        session.table.expire(args[1], ttl)
    return value


def mget(session: Session, args: list[str]) -> bytes:
    return encode([_as_text(session.table.get(key)) for key in args[1:]], session.resp3)


def _as_text(value: str | int | None) -> str | None:
    return str(value) if isinstance(value, int) else value


def mset(session: Session, args: list[str]) -> bytes:
    if len(args) % 2 == 0:
        raise wrong_arity(args[0])
    for position in range(1, len(args), 2):
        session.table.set(args[position], args[position + 1])
    return OK


def msetnx(session: Session, args: list[str]) -> bytes:
    if len(args) % 2 == 0:
        raise wrong_arity(args[0])
    if any(key in session.table for key in args[1::2]):
        return ZERO
    mset(session, args)
    return ONE


def incr(session: Session, args: list[str]) -> bytes:
    return integer(session.table.incr(args[1], 1))


def decr(session: Session, args: list[str]) -> bytes:
    return integer(session.table.incr(args[1], -1))


def incrby(session: Session, args: list[str]) -> bytes:
    return integer(session.table.incr(args[1], parse_integer(args[2])))


def decrby(session: Session, args: list[str]) -> bytes:
    number = parse_integer(args[2])
    if -number > (1 << 63) - 1:
        raise CommandError("ERR decrement would overflow")
    return integer(session.table.incr(args[1], -number))


def append(session: Session, args: list[str]) -> bytes:
    old = session.table.get(args[1])
    value = args[2] if old is None else f"{old}{args[2]}"
    session.table.set(args[1], value, keep_ttl=True)
    return integer(len(to_bytes(value)))


def strlen(session: Session, args: list[str]) -> bytes:
    value = session.table.get(args[1])
    return ZERO if value is None else integer(len(to_bytes(str(value))))


def getrange(session: Session, args: list[str]) -> bytes:
    try:
        start, end = parse_integer(args[2]), parse_integer(args[3])
    except CommandError:
        raise not_an_integer() from None
    value = session.table.get(args[1])
    data = b"" if value is None else to_bytes(str(value))
    start = max(0, start + len(data)) if start < 0 else start
    end = end + len(data) if end < 0 else end
    part = data[start : end + 1] if end >= 0 else b""
    return b"$%d\r\n%b\r\n" % (len(part), part)


COMMANDS = (
    Command("GET", get, 2, "readonly fast", "Returns the value of a key.", ONE_KEY),
    Command("SET", set_, -3, "write", "Sets a key. INT makes the value an integer.", ONE_KEY),
    Command("SETEX", setex, 4, "write", "Sets a key that lives for some seconds.", ONE_KEY),
    Command("PSETEX", psetex, 4, "write", "Sets a key that lives for some milliseconds.", ONE_KEY),
    Command("SETNX", setnx, 3, "write fast", "Sets a key that does not exist.", ONE_KEY),
    Command("GETSET", getset, 3, "write fast", "Sets a key and returns its old value.", ONE_KEY),
    Command("GETDEL", getdel, 2, "write fast", "Deletes a key and returns its value.", ONE_KEY),
    Command("GETEX", getex, -2, "write fast", "Returns a value and sets its time to live.", ONE_KEY),
    Command("MGET", mget, -2, "readonly fast", "Returns the values of several keys.", ALL_KEYS),
    Command("MSET", mset, -3, "write", "Sets several keys.", (1, -1, 2)),
    Command("MSETNX", msetnx, -3, "write", "Sets several keys if none of them exists.", (1, -1, 2)),
    Command("INCR", incr, 2, "write fast", "Adds one.", ONE_KEY),
    Command("DECR", decr, 2, "write fast", "Takes one away.", ONE_KEY),
    Command("INCRBY", incrby, 3, "write fast", "Adds a number.", ONE_KEY),
    Command("DECRBY", decrby, 3, "write fast", "Takes a number away.", ONE_KEY),
    Command("APPEND", append, 3, "write fast", "Appends to a value.", ONE_KEY),
    Command("STRLEN", strlen, 2, "readonly fast", "Returns a value's length in bytes.", ONE_KEY),
    Command("GETRANGE", getrange, 4, "readonly", "Returns a part of a value.", ONE_KEY),
)
