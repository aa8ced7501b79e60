"""Counters: INCR and its kin. What is counted on several nodes at once adds up."""

from __future__ import annotations

from fractions import Fraction

from dmqcache.server.resp import long_double
from dmqcache.server.resp.command import ONE_KEY, Command, parse_integer
from dmqcache.server.resp.reply import CommandError, bulk, integer
from dmqcache.server.resp.session import Session


def _add(session: Session, key: str, by: int) -> bytes:
    cell = session.table.live_cell(key)
    if cell is not None and isinstance(cell.value, str):
        parse_integer(cell.value)  # a table reads "01" as a number, Redis does not
    return integer(session.table.incr(key, by))


def incr(session: Session, args: list[str]) -> bytes:
    return _add(session, args[1], 1)


def decr(session: Session, args: list[str]) -> bytes:
    return _add(session, args[1], -1)


def incrby(session: Session, args: list[str]) -> bytes:
    return _add(session, args[1], parse_integer(args[2]))


def decrby(session: Session, args: list[str]) -> bytes:
    number = parse_integer(args[2])
    if -number > (1 << 63) - 1:
        raise CommandError("ERR decrement would overflow")
    return _add(session, args[1], -number)


def incrbyfloat(session: Session, args: list[str]) -> bytes:
    """A read and a write: other than what INCR adds, it does not add up with what other nodes add."""
    by = long_double.parse(args[2])
    cell = session.table.live_cell(args[1])
    held = long_double.parse(str(cell.value)) if cell is not None else Fraction(0)
    if by is None or held is None:
        raise CommandError("ERR increment would produce NaN or Infinity")
    text = long_double.written(long_double.rounded(held + by))
    session.table.set(args[1], text, keep_ttl=True)
    return bulk(text)


COMMANDS = (
    Command("INCR", incr, 2, "write fast", "Adds one.", ONE_KEY),
    Command("DECR", decr, 2, "write fast", "Takes one away.", ONE_KEY),
    Command("INCRBY", incrby, 3, "write fast", "Adds a number.", ONE_KEY),
    Command("DECRBY", decrby, 3, "write fast", "Takes a number away.", ONE_KEY),
    Command("INCRBYFLOAT", incrbyfloat, 3, "write fast", "Adds a number with a fraction.", ONE_KEY),
)
