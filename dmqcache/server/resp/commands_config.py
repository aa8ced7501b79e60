"""CONFIG: the settings that clients and benchmarks ask for. An operator's are in ``dmqcache.config``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from dmqcache.server.resp.command import MAX_INTEGER, Command, container, parse_integer
from dmqcache.server.resp.globs import compile_glob
from dmqcache.server.resp.info import reset_stats
from dmqcache.server.resp.key_events import parse_letters
from dmqcache.server.resp.reply import OK, CommandError, encode, wrong_arity
from dmqcache.server.resp.session import Session, Shared
from dmqcache.store.table.evicting import Policy, parse_size

#: Patterns that one command may bring.
MAX_NAMES: Final = 1000
#: Entries that the slow log keeps at most, whatever is asked: 40 MB if their words are as long as can be.
MAX_SLOW_ENTRIES: Final = 10_000
#: How this server always is.
_FIXED: Final = {
    "client-output-buffer-limit": "normal 0 0 0 slave 0 0 0 pubsub 33554432 8388608 60",
    "save": "",
    "proto-max-bulk-len": "536870912",
    "timeout": "0",
}
#: Redis' words for how much is logged, to Python's.
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "verbose": logging.DEBUG,
    "notice": logging.INFO,
    "warning": logging.WARNING,
}


def _settings(shared: Shared) -> dict[str, str]:
    level = logging.getLogger("dmqcache").getEffectiveLevel()
    return _FIXED | {
        # As INFO's aof_enabled: WAITAOF has something to say.
        "appendonly": "no" if shared.node.disk is None else "yes",
        "databases": str(len(shared.tables)),
        "port": str(shared.port),
        "maxclients": str(shared.max_clients),
        "maxmemory": str(shared.node.memory.limit),
        "maxmemory-policy": str(shared.node.memory.policy),
        "notify-keyspace-events": shared.key_events.letters,
        "slowlog-log-slower-than": str(shared.slow_log.slower_than),
        "slowlog-max-len": str(shared.slow_log.most),
        "latency-monitor-threshold": str(shared.latency.threshold),
        "loglevel": next((word for word, number in _LEVELS.items() if number == level), "notice"),
    }


def _get(session: Session, args: list[str]) -> bytes:
    if len(args) > MAX_NAMES:
        raise CommandError(f"ERR at most {MAX_NAMES} patterns at once")
    known = _settings(session.shared)
    found: dict[str, str] = {}
    for asked in args[2:]:
        if asked.lower() in known:
            found[asked] = known[asked.lower()]  # in the asked case, as Redis does
        else:
            matches = compile_glob(asked.lower())
            found |= {name: known[name] for name in known if matches(name)}
    return encode(found, session.resp3)


def _set(session: Session, args: list[str]) -> bytes:
    """All or nothing, until the node stops."""
    if len(args) % 2:
        raise wrong_arity("config|set")
    changes = []
    names = set()
    for name, value in zip(args[2::2], args[3::2], strict=True):
        change = _CHANGES.get(name.lower())
        if change is None and name.lower() not in _settings(session.shared):
            raise CommandError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        if change is None:
            raise _refused(name, "can't set immutable config")
        if name.lower() in names:
            raise _refused(name, "duplicate parameter")
        names.add(name.lower())
        changes.append(change(session.shared, name, value))
    for make in changes:
        make()
    return OK


def _refused(name: str, reason: str) -> CommandError:
    return CommandError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")


def _number(name: str, value: str, least: int, most: int) -> int:
    try:
        number = parse_integer(value)
    except CommandError:
        raise _refused(name, "argument couldn't be parsed into an integer") from None
    if not least <= number <= most:
        raise _refused(name, f"argument must be between {least} and {most} inclusive")
    return number


def _slower_than(shared: Shared, name: str, value: str) -> Callable[[], None]:
    microseconds = _number(name, value, -1, MAX_INTEGER)
    return lambda: shared.slow_log.note_from(microseconds)


def _latency(shared: Shared, name: str, value: str) -> Callable[[], None]:
    milliseconds = _number(name, value, 0, MAX_INTEGER)
    return lambda: shared.latency.note_from(milliseconds)


def _slow_entries(shared: Shared, name: str, value: str) -> Callable[[], None]:
    most = min(_number(name, value, 0, MAX_INTEGER), MAX_SLOW_ENTRIES)
    return lambda: shared.slow_log.keep(most)


def _max_clients(shared: Shared, name: str, value: str) -> Callable[[], None]:
    number = _number(name, value, 1, shared.room)

    def change() -> None:
        shared.max_clients = number

    return change


def _log_level(shared: Shared, name: str, value: str) -> Callable[[], None]:
    level = _LEVELS.get(value.lower())
    if level is None:
        raise _refused(name, f"argument(s) must be one of the following: {', '.join(_LEVELS)}")
    return lambda: logging.getLogger("dmqcache").setLevel(level)


def _key_events(shared: Shared, name: str, value: str) -> Callable[[], None]:
    try:
        letters = parse_letters(value)
    except ValueError as problem:
        raise _refused(name, str(problem)) from None
    return lambda: shared.key_events.tell(letters)


def _max_memory(shared: Shared, name: str, value: str) -> Callable[[], None]:
    try:
        limit = parse_size(value)
    except ValueError:
        raise _refused(name, "argument must be a memory value") from None
    return lambda: shared.node.memory.bound(limit, shared.node.memory.policy)


def _policy(shared: Shared, name: str, value: str) -> Callable[[], None]:
    if value.lower() not in list(Policy):
        raise _refused(name, f"argument(s) must be one of the following: {', '.join(Policy)}")
    return lambda: shared.node.memory.bound(shared.node.memory.limit, Policy(value.lower()))


_CHANGES: Final = {
    "maxclients": _max_clients,
    "maxmemory": _max_memory,
    "maxmemory-policy": _policy,
    "loglevel": _log_level,
    "notify-keyspace-events": _key_events,
    "slowlog-log-slower-than": _slower_than,
    "slowlog-max-len": _slow_entries,
    "latency-monitor-threshold": _latency,
}


def _reset_stats(session: Session, args: list[str]) -> bytes:
    """What INFO counts begins at 0 again; the metrics go on."""
    reset_stats(session.shared)
    return OK


COMMANDS = (
    container(
        "CONFIG",
        "Reads and changes settings.",
        (
            Command("CONFIG|GET", _get, -3, "admin", "Returns settings by name or pattern."),
            Command("CONFIG|RESETSTAT", _reset_stats, 2, "admin", "Lets INFO's counts begin at 0."),
            Command("CONFIG|SET", _set, -4, "admin", "Changes a setting until the node stops."),
        ),
    ),
)
