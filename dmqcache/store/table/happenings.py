"""What happens to keys, in Redis' words for keyspace notifications: told as it happens, one by one.

Nodes tell each other what a key holds, not what was done to it. So here a write is an event, and for what
comes from other nodes the difference is: the same value once more is none. Who listens, ``changes.py`` knows.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final

from dmqcache.store.table.cell import DEFAULT_TTL, NEVER, Cell, Value

#: Seconds by which the end of one and the same time to live differs between nodes, at most about.
SAME_END_S: Final = 1.0


class Event(StrEnum):
    """One thing that happened to one key, or to all of a table."""

    NEW = "new"
    SET = "set"
    DEL = "del"
    EXPIRE = "expire"
    PERSIST = "persist"
    EXPIRED = "expired"
    #: It had to go for want of memory, here and nowhere else.
    EVICTED = "evicted"
    #: All keys that were there are gone, here and on every node.
    FLUSH = "flushdb"


class Telling(Enum):
    """What a write that is under way is to those who listen."""

    #: Somebody writes a value.
    WRITE = 1
    #: Somebody gives a key a time to live, or takes it away.
    TIME = 2
    #: It may be told a second time: only what is different counts.
    DIFFERENCE = 3


Events = tuple[Event, ...]
#: A change that is none to those who listen.
NOTHING: Final[Events] = ()
GONE: Final[Events] = (Event.DEL,)
EVICTED: Final[Events] = (Event.EVICTED,)
OVER: Final[Events] = (Event.EXPIRED,)
FLUSHED: Final[Events] = (Event.FLUSH,)


def of_write(cell: Cell, value: Value, ttl: int, expires: float, flags: int, how: Telling) -> Events:
    """What it is that a cell is about to hold this."""
    before = cell.value
    timed = (Event.EXPIRE,) if expires != NEVER else NOTHING if cell.expires == NEVER else (Event.PERSIST,)
    if how is Telling.TIME:
        return timed
    is_other = before != value or before.__class__ is not value.__class__
    if how is Telling.WRITE or is_other:
        first = (Event.NEW,) if before is None else NOTHING
        own_time = expires != NEVER and not flags & DEFAULT_TTL and expires != cell.expires
        return (*first, Event.SET, Event.EXPIRE) if own_time else (*first, Event.SET)
    if ttl == cell.ttl and (expires == cell.expires or abs(expires - cell.expires) <= SAME_END_S):
        return NOTHING
    return timed
