"""Commands that write what follows from a key's absence are refused on a key that this node has evicted.

Others may hold the key. To begin a counter at 1, to append to nothing, to take a lock that is taken: that
would be acknowledged and wrong. What only says that there is no such key is a miss, as for any reader, and
what writes a value whatever was there is a write: neither is refused. Which keys are remembered:
``table/evicting.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from dmqcache.server.resp.command import Command
from dmqcache.server.resp.reply import CommandError
from dmqcache.server.resp.session import Answer, Session
from dmqcache.store.table.evicting import was_evicted

EVICTED: Final = (
    "EVICTED this node has evicted the key, and others may hold it: "
    "write it by SET or delete it, or ask a node that holds it"
)
#: Those that do so, with the first of the keys that count: the others are overwritten or only read.
_FROM_ABSENCE: Final = {
    **dict.fromkeys(("APPEND", "BITFIELD", "DECR", "DECRBY", "INCR", "INCRBY", "INCRBYFLOAT"), 0),
    **dict.fromkeys(("MSETNX", "RESTORE", "SET", "SETBIT", "SETNX", "SETRANGE"), 0),
    **dict.fromkeys(("BITOP", "COPY", "RENAMENX"), 1),
}


def guarded(command: Command) -> Command:
    """The same command; what it would write because a key is absent is refused where that was evicted."""
    begins = _FROM_ABSENCE.get(command.name)
    if begins is None:
        return command
    handler, (first, last, step), name = command.handler, command.keys, command.name
    end = None if last < 0 else last + 1

    def run(session: Session, args: list[str]) -> Answer:
        if session.table.evicted and _counts(name, args):
            _refuse(session, args[first + begins : end : step])
        return handler(session, args)

    return replace(command, handler=run)


def _refuse(session: Session, keys: Iterable[str]) -> None:
    if any(was_evicted(session.table, key) for key in keys):
        raise CommandError(EVICTED)


def _counts(name: str, args: list[str]) -> bool:
    """Whether it looks at what was there, with these words."""
    words = {word.upper() for word in args[3:]}
    if name == "SET":
        return bool(words & {"NX", "KEEPTTL"})
    if name == "BITFIELD":
        return any(word.upper() in ("SET", "INCRBY") for word in args[2:])
    return name not in ("COPY", "RESTORE") or not words & {"REPLACE", "DB"}
