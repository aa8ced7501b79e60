"""What a command is to the rules of a user: its categories, and what it does to which keys and tables.

Names and sorting are Redis 7's (its COMMAND INFO and ACL DRYRUN), held beside a real one by the tests. The
rules themselves are ``acl.py``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dmqcache.server.resp.command import Command
from dmqcache.server.resp.contact_keys import NAME as CONTACTS
from dmqcache.server.resp.contact_keys import PREFIX

#: Of groups whose commands are a category.
_OF_GROUP: Final[Mapping[str, str]] = {
    "bitmap": "bitmap",
    "connection": "connection",
    "generic": "keyspace",
    "pubsub": "pubsub",
    "scripting": "scripting",
    "string": "string",
    "transactions": "transaction",
}
#: Commands that are of no such category, as in Redis.
_WITHOUT: Final = frozenset({"PUBSUB|HELP", "TIME"})
#: What neither group nor flags say.
_MORE: Final[Mapping[str, frozenset[str]]] = {
    "COMMAND": frozenset({"connection"}),
    "DMQ.REMOVE": frozenset({"dangerous"}),
    "DMQ.STATS": frozenset({"dangerous"}),
    "FLUSHALL": frozenset({"dangerous"}),
    "FLUSHDB": frozenset({"dangerous"}),
    "INFO": frozenset({"dangerous"}),
    "KEYS": frozenset({"dangerous"}),
    "RESTORE": frozenset({"dangerous"}),
    "ROLE": frozenset({"admin", "dangerous"}),
    "WAIT": frozenset({"connection"}),
}

#: Commands that everybody may say, before AUTH too (Redis' CMD_NO_AUTH).
FREE: Final = frozenset({"AUTH", "HELLO", "QUIT", "RESET"})

#: What is done to a key: ``r``, its value is told; ``w``, it is written, deleted or given a time; nothing,
#: whether and what it is. Here stands what the command's flags do not say; of several keys the last one's
#: goes on.
_EFFECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "BITFIELD": ("rw",),
    "BITOP": ("w", "r"),
    "COPY": ("r", "w"),
    "DECR": ("rw",),
    "DECRBY": ("rw",),
    "EXISTS": ("",),
    "GETDEL": ("rw",),
    "GETEX": ("rw",),
    "GETSET": ("rw",),
    "INCR": ("rw",),
    "INCRBY": ("rw",),
    "INCRBYFLOAT": ("rw",),
    "MEMORY|USAGE": ("",),
    "MOVE": ("rw",),
    "OBJECT|ENCODING": ("",),
    "OBJECT|FREQ": ("",),
    "OBJECT|IDLETIME": ("",),
    "OBJECT|REFCOUNT": ("",),
    "RENAME": ("rw", "w"),
    "RENAMENX": ("rw", "w"),
    "SETBIT": ("rw",),
    "STRLEN": ("",),
    "TOUCH": ("",),
    "TYPE": ("",),
    "WATCH": ("",),
}
#: Where the channels of a command stand; of the bus's own ones the name that they are subscribed to by.
_CHANNELS: Final[Mapping[str, slice]] = {
    "DMQ.BROADCAST": slice(1, 2),
    "DMQ.CHANNEL": slice(1, 2),
    "DMQ.SEND": slice(1, 2),
    "PSUBSCRIBE": slice(1, None),
    "PUBLISH": slice(1, 2),
    "SUBSCRIBE": slice(1, None),
}
#: Commands over all keys of a table, and what they do to them: their users must be allowed all keys. Redis'
#: own KEYS, SCAN and FLUSHDB are ruled by their names alone, as in Redis.
_WHOLE: Final[Mapping[str, str]] = {"DMQ.MATCH": "r", "DMQ.REMOVE": "w", "DMQ.SCAN": "r", "DMQ.WATCH": "r"}
#: Commands that tell what mirrors keep, and the name of that: to the rules it is a table.
_RECORDS: Final[Mapping[str, str]] = {
    "DMQ.CALLS": "dialog",
    "DMQ.CONTACTS": CONTACTS,
    "DMQ.PRESENTITIES": "presence",
    "DMQ.WATCHERS": "presence",
}
#: Commands without keys that are about the table that is selected.
_OF_TABLE: Final = frozenset({*_WHOLE, "DBSIZE", "FLUSHDB", "KEYS", "RANDOMKEY", "SCAN"})


#: Commands that may need more memory: where there is none they are refused (Redis' flag ``denyoom``).
GROWING: Final = frozenset(
    {
        *("APPEND", "BITFIELD", "BITOP", "COPY", "DECR", "DECRBY", "GETSET", "INCR", "INCRBY", "INCRBYFLOAT"),
        *("MSET", "MSETNX", "PSETEX", "RESTORE", "SET", "SETBIT", "SETEX", "SETNX", "SETRANGE"),
    }
)


def categories(command: Command) -> frozenset[str]:
    """Without ``@``."""
    flags = command.flags.split()
    found = {"fast" if "fast" in flags else "slow"}
    if command.group in _OF_GROUP and not command.subcommands and command.name not in _WITHOUT:
        found.add(_OF_GROUP[command.group])
    if "readonly" in flags or "write" in flags:
        found.add("read" if "readonly" in flags else "write")
    if "admin" in flags:
        found |= {"admin", "dangerous"}
    if "blocking" in flags:
        found.add("blocking")
    return frozenset(found | _MORE.get(command.name.partition("|")[0], frozenset()))


def keys_of(command: Command, args: list[str]) -> list[tuple[str, str]]:
    """Each key with what is done to it."""
    if command.name in ("EVAL", "EVALSHA"):
        count = int(args[2]) if args[2].isascii() and args[2].isdigit() else 0
        return [(key, "rw") for key in args[3 : 3 + count]]
    if command.name == "DMQ.CONTACTS":
        return [(f"{PREFIX}{aor}", "r") for aor in args[1:2] if aor]
    first, last, step = command.keys
    if not first:
        return []
    effects = _EFFECTS.get(command.name) or ("w" if "write" in command.flags else "r",)
    if command.name == "SET" and any(word.upper() == "GET" for word in args[3:]):
        effects = ("rw",)
    elif command.name == "BITFIELD" and all(word.upper() not in ("SET", "INCRBY") for word in args[2:]):
        effects = ("r",)
    keys = args[first : None if last < 0 else last + 1 : step]
    return [(key, effects[min(place, len(effects) - 1)]) for place, key in enumerate(keys)]


def channels_of(command: Command, args: list[str]) -> list[str]:
    """The channels, or patterns of them, that it publishes or subscribes to."""
    place = _CHANNELS.get(command.name)
    if place is None:
        return []
    return [f"dmq:{name}" if command.name.startswith("DMQ.") else name for name in args[place]]


def on_all_keys(command: Command, args: list[str]) -> tuple[str, str] | None:
    """What is done to any key of the table, and what these keys begin with; None: to those that are named, if
    any."""
    if command.name not in _RECORDS:
        effects = _WHOLE.get(command.name)
        return None if effects is None else (effects, "")
    if command.name != "DMQ.CONTACTS":
        return "r", ""
    return None if keys_of(command, args) else ("r", PREFIX)


def records_of(command: Command) -> str | None:
    """The mirror whose records are told, which is to the rules a table; None: of none."""
    return _RECORDS.get(command.name)


def is_of_table(command: Command) -> bool:
    """Whether the command is about the selected table."""
    return command.keys[0] > 0 or command.name in _OF_TABLE
