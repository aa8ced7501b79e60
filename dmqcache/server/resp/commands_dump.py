"""DUMP and RESTORE: a value is taken out and put in, also from a Redis and into one. What the bytes are:
``rdb_string.py``."""

from __future__ import annotations

from typing import Final, NamedTuple

from dmqcache.server.resp.command import ONE_KEY, Command, Options, parse_integer
from dmqcache.server.resp.rdb_string import dump, is_whole, load
from dmqcache.server.resp.reply import OK, CommandError, error, null, syntax_error, to_bytes
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import Steps, in_steps
from dmqcache.store.table.use import set_idle

_BUSY: Final = "BUSYKEY Target key name already exists."
_DAMAGED: Final = "ERR DUMP payload version or checksum are wrong"


class _Wanted(NamedTuple):
    replace: bool = False
    absolute: bool = False
    #: Seconds for which the key was not used.
    idle: int = 0


def dump_(session: Session, args: list[str]) -> Answer:
    value = session.table.get(args[1])
    if value is None:
        return null(session.resp3)
    return in_steps(session, _dump(to_bytes(str(value))))


def _dump(value: bytes) -> Steps:
    data = yield from dump(value)
    return b"$%d\r\n%b\r\n" % (len(data), data)


def restore(session: Session, args: list[str]) -> Answer:
    wanted = _options(args)
    if not wanted.replace and args[1] in session.table:
        raise CommandError(_BUSY)
    milliseconds = parse_integer(args[2])
    if milliseconds < 0:
        raise CommandError("ERR Invalid TTL value, must be >= 0")
    seconds = milliseconds / 1000
    if wanted.absolute and milliseconds:
        # Never 0, which would mean for ever.
        seconds = (seconds - session.shared.wall()) or -1.0
    return in_steps(session, _restore(session, args[1], to_bytes(args[3]), seconds, wanted))


def _options(args: list[str]) -> _Wanted:
    """How often a key was used is not kept here."""
    wanted, about = _Wanted(), ""
    for word in (options := Options(args, 4)):
        if word == "REPLACE":
            wanted = wanted._replace(replace=True)
        elif word == "ABSTTL":
            wanted = wanted._replace(absolute=True)
        elif word in ("IDLETIME", "FREQ") and options.has_more() and about in ("", word):
            about = word
            number = options.integer()
            if word == "IDLETIME":
                if number < 0:
                    raise CommandError("ERR Invalid IDLETIME value, must be >= 0")
                wanted = wanted._replace(idle=number)
            if word == "FREQ" and not 0 <= number <= 255:
                raise CommandError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise syntax_error()
    return wanted


def _restore(session: Session, key: str, payload: bytes, seconds: float, wanted: _Wanted) -> Steps:
    table = session.table
    if not (yield from is_whole(payload)):
        return _failed(session, _DAMAGED)
    value = yield from load(payload, table.max_value_bytes)
    if not wanted.replace and key in table:
        return _failed(session, _BUSY)
    if seconds < 0:
        table.delete(key)
    else:
        table.set(key, value.decode("utf-8", "surrogateescape"), seconds)
        set_idle(table, table.cells[key], wanted.idle)
    return OK


def _failed(session: Session, text: str) -> bytes:
    """An error of which this is heard only when others have had their turn."""
    session.shared.counters.errors += 1
    return error(text)


COMMANDS = (
    Command("DUMP", dump_, 2, "readonly", "Returns a value in Redis' form for RESTORE.", ONE_KEY),
    Command("RESTORE", restore, -4, "write", "Sets a key to what DUMP returned.", ONE_KEY),
)
