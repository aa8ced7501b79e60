"""Commands that read and write whole values: GET, SET and related commands."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from dmqcache.server.resp.command import ALL_KEYS, ONE_KEY, Command, Options, parse_integer, seconds_from_now
from dmqcache.server.resp.long_reply import PART_BYTES, Parts
from dmqcache.server.resp.reply import (
    NULL_2,
    NULL_3,
    OK,
    ONE,
    ZERO,
    CommandError,
    bulk,
    encode,
    null,
    syntax_error,
    wrong_arity,
)
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import MANY, STEP_CHANGES, STEP_KEYS, Steps, in_steps, to_the_end
from dmqcache.store.table.table import Table

#: Characters of a value that is a piece of work by itself.
LONG: Final = 8 << 10

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
    condition = time = None
    integer = keep = old_wanted = forever = False
    options = Options(args, 3)
    for word in options:
        if word in ("NX", "XX") and condition in (None, word):
            condition = word
        elif word == "KEEPTTL" and time is None and not forever:
            keep = True
        elif word == "GET":
            old_wanted = True
        elif word == "INT":
            integer = True
        elif word == "FOREVER" and time is None and not keep:
            forever = True
        elif word in _TIMES and (time is None or time[0] == word) and not keep and not forever:
            time = (word, options.value())
        else:
            raise syntax_error()
    value = parse_integer(text) if integer else text
    ttl = None if time is None else _life(session, *time, "set")
    table = session.table
    old = table.get(key) if old_wanted else None
    nothing = null(session.resp3)
    if condition is not None and (key in table) != (condition == "XX"):
        return nothing if old is None else bulk(old)
    if forever:
        table.set(key, value, 0)
    else:
        _store(session, key, value, ttl, keep)
    if old_wanted:
        return nothing if old is None else bulk(old)
    return OK


def _life(session: Session, unit: str, text: str, command: str) -> float:
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
    _store(session, args[1], args[3], _life(session, "EX", args[2], "setex"))
    return OK


def psetex(session: Session, args: list[str]) -> bytes:
    _store(session, args[1], args[3], _life(session, "PX", args[2], "psetex"))
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
    time: tuple[str, str] | None = None
    persist = False
    options = Options(args, 2)
    for word in options:
        if word in _TIMES and (time is None or time[0] == word) and not persist:
            time = (word, options.value())
        elif word == "PERSIST" and time is None:
            persist = True
        else:
            raise syntax_error()
    if args[1] not in session.table:
        return get(session, args)
    ttl = _life(session, *time, "getex") if time is not None else 0.0
    if time is not None and ttl <= 0:
        return getdel(session, args)
    value = get(session, args)
    if time is not None or (persist and session.table.ttl(args[1]) is not None):
        session.table.expire(args[1], ttl)
    return value


def mget(session: Session, args: list[str]) -> Answer:
    if len(args) > MANY:
        return in_steps(session, _mget(session.table, args[1:], session.resp3))
    texts = [_as_text(session.table.get(key)) for key in args[1:]]
    if _is_large(texts):
        return in_steps(session, _told([texts], len(texts), session.resp3))
    return encode(texts, session.resp3)


def _mget(table: Table, keys: list[str], resp3: bool) -> Steps:
    found = (
        [_as_text(table.get(key)) for key in keys[start : start + STEP_KEYS]]
        for start in range(0, len(keys), STEP_KEYS)
    )
    return _told(found, len(keys), resp3)


def _told(found: Iterable[list[str | None]], count: int, resp3: bool) -> Steps:
    parts = Parts()
    # A long value that is asked for many times is encoded once.
    once = cache(bulk)
    for texts in found:
        if not _is_large(texts):
            parts.add(b"".join([encode(text, resp3) for text in texts]))
            yield
            continue
        for text in texts:
            parts.add(encode(text, resp3) if text is None or len(text) < LONG else once(text))
            if text is not None and len(text) >= LONG:
                yield
    return parts.reply(b"*%d\r\n" % count)


def _is_large(texts: list[str | None]) -> bool:
    """Whether to write them takes longer than a piece of work may."""
    return sum(map(len, filter(None, texts))) > PART_BYTES


def _as_text(value: str | int | None) -> str | None:
    return str(value) if isinstance(value, int) else value


def mset(session: Session, args: list[str]) -> Answer:
    if len(args) % 2 == 0:
        raise wrong_arity(args[0])
    if len(args) > MANY:
        return in_steps(session, to_the_end(_mset(session.table, args)))
    for _ in _mset(session.table, args):
        pass
    return OK


def _mset(table: Table, args: list[str]) -> Steps:
    # All or nothing: what the table does not hold is refused before anything is written.
    for start in range(1, len(args), STEP_KEYS):
        for position in range(start, min(start + STEP_KEYS, len(args)), 2):
            table.check(args[position], args[position + 1])
        yield
    for start in range(1, len(args), 2 * STEP_CHANGES):
        for position in range(start, min(start + 2 * STEP_CHANGES, len(args)), 2):
            table.set(args[position], args[position + 1])
        yield
    return OK


def msetnx(session: Session, args: list[str]) -> bytes:
    """In one moment, however many there are: nothing may come between the look and the writes."""
    if len(args) % 2 == 0:
        raise wrong_arity(args[0])
    if any(key in session.table for key in args[1::2]):
        return ZERO
    for _ in _mset(session.table, args):
        pass
    return ONE


COMMANDS = (
    Command("GET", get, 2, "readonly fast", "Returns the value of a key.", ONE_KEY),
    Command("SET", set_, -3, "write", "Sets a key. INT: an integer; FOREVER: no time to live.", ONE_KEY),
    Command("SETEX", setex, 4, "write", "Sets a key that lives for some seconds.", ONE_KEY),
    Command("PSETEX", psetex, 4, "write", "Sets a key that lives for some milliseconds.", ONE_KEY),
    Command("SETNX", setnx, 3, "write fast", "Sets a key that does not exist.", ONE_KEY),
    Command("GETSET", getset, 3, "write fast", "Sets a key and returns its old value.", ONE_KEY),
    Command("GETDEL", getdel, 2, "write fast", "Deletes a key and returns its value.", ONE_KEY),
    Command("GETEX", getex, -2, "write fast", "Returns a value and sets its time to live.", ONE_KEY),
    Command("MGET", mget, -2, "readonly fast", "Returns the values of several keys.", ALL_KEYS),
    Command("MSET", mset, -3, "write", "Sets several keys.", (1, -1, 2)),
    Command("MSETNX", msetnx, -3, "write", "Sets several keys if none of them exists.", (1, -1, 2)),
)
