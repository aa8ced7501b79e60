"""Commands about times to live: EXPIRE, TTL and related commands."""

from __future__ import annotations

from dmqcache.server.resp.command import ONE_KEY, Command, Options, seconds_from_now
from dmqcache.server.resp.reply import ONE, ZERO, CommandError, integer
from dmqcache.server.resp.session import Session

#: What TTL and its kin answer (Redis): no such key, and a key that never expires.
NO_KEY = -2
NO_EXPIRY = -1


def _expire(session: Session, args: list[str], unit: str) -> bytes:
    conditions = _conditions(args)
    left = seconds_from_now(args[2], unit, session.shared.wall(), args[0])
    key = args[1]
    try:
        now = session.table.ttl(key)
    except KeyError:
        return ZERO
    if conditions and not _may(conditions, now, left):
        return ZERO
    done = session.table.delete(key) if left <= 0 else session.table.expire(key, left)
    return ONE if done else ZERO


def _conditions(args: list[str]) -> set[str]:
    options = Options(args, 3)
    conditions = set()
    for word in options:
        if word not in ("NX", "XX", "GT", "LT"):
            raise CommandError(f"ERR Unsupported option {options.word}")
        conditions.add(word)
    if "NX" in conditions and len(conditions) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {"GT", "LT"} <= conditions:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return conditions


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


COMMANDS = (
    Command("EXPIRE", expire, -3, "write fast", "Sets a time to live in seconds.", ONE_KEY),
    Command("PEXPIRE", pexpire, -3, "write fast", "Sets a time to live in milliseconds.", ONE_KEY),
    Command("EXPIREAT", expireat, -3, "write fast", "Sets the Unix time of expiry.", ONE_KEY),
    Command("PEXPIREAT", pexpireat, -3, "write fast", "Sets the time of expiry in milliseconds.", ONE_KEY),
    Command("PERSIST", persist, 2, "write fast", "Makes a key live for ever.", ONE_KEY),
    Command("TTL", ttl, 2, "readonly fast", "Returns the seconds left.", ONE_KEY),
    Command("PTTL", pttl, 2, "readonly fast", "Returns the milliseconds left.", ONE_KEY),
    Command("EXPIRETIME", expiretime, 2, "readonly fast", "Returns the Unix time of expiry.", ONE_KEY),
    Command("PEXPIRETIME", pexpiretime, 2, "readonly fast", "Returns it in milliseconds.", ONE_KEY),
)
