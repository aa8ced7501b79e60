"""Whether a client may run a command: who it is (AUTH, HELLO), and what its user's rules say (``acl.py``).

Asked for each command of a client that is not free to do everything; the words are Redis' 7.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from dmqcache.server.resp.access import (
    FREE,
    GROWING,
    categories,
    channels_of,
    is_of_table,
    keys_of,
    on_all_keys,
    records_of,
)
from dmqcache.server.resp.acl import DEFAULT, Refusal, User, Users, Wanted
from dmqcache.server.resp.acl_log import Entry
from dmqcache.server.resp.command import Command
from dmqcache.server.resp.contact_keys import READ_ONLY
from dmqcache.server.resp.pause import changes
from dmqcache.server.resp.reply import CommandError, Rejected
from dmqcache.server.resp.session import Session, Shared

NO_AUTH: Final = "NOAUTH Authentication required."
OUT_OF_MEMORY: Final = "OOM command not allowed when used memory > 'maxmemory'."
WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."
_NO_PASSWORD: Final = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
_WORDS: Final[Mapping[str, str]] = {
    "command": "this user has no permissions to run the '{}' command",
    "key": "this user has no permissions to access one of the keys used as arguments",
    "table": "this user has no permissions to access the table '{}'",
    "channel": "this user has no permissions to access one of the channels used as arguments",
}
_DRY_WORDS: Final[Mapping[str, str]] = {
    "command": "This user has no permissions to run the '{}' command",
    "key": "This user has no permissions to access the '{}' key",
    "table": "This user has no permissions to access the '{}' table",
    "channel": "This user has no permissions to access the '{}' channel",
}
#: At EXEC, where it was allowed when it was queued.
_CHANGED: Final = (
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
    "This command is no longer allowed for the following reason: "
)
_CHANGED_WORDS: Final[Mapping[str, str]] = {
    "command": "no permission to execute the command or subcommand",
    "key": "no permission to touch the specified keys",
    "table": "no permission to touch the table",
    "channel": "no permission to publish to the specified channel",
}
#: What a client of RESP2 that subscribes may still say.
_LISTENING: Final = frozenset(
    {"SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING", "QUIT", "RESET"}
)
_ONLY_LISTENS: Final = (
    "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)

#: Redis' words: to it, a monitor is a kind of replica.
_MONITORS: Final = "ERR Replica can't interact with the keyspace"


def check(session: Session, command: Command, args: list[str]) -> None:
    """Rejected, in Redis' words, if the client may not."""
    if not session.authenticated and command.name not in FREE:
        raise Rejected(NO_AUTH)
    refusal = None if session.is_free else refused(session, session.user, command, args)
    if refusal is None:
        if session.only_reads and _writes_here(command):
            raise Rejected(READ_ONLY)
        if session.id in session.shared.monitors.clients and _is_about_keys(command):
            raise Rejected(_MONITORS)
        if command.name in GROWING and session.shared.node.memory.full:
            raise Rejected(OUT_OF_MEMORY)
        if session.only_listens and command.name not in _LISTENING:
            raise Rejected(f"ERR Can't execute '{command.name.lower()}': {_ONLY_LISTENS}")
        return
    in_transaction = session.executing or session.transaction is not None
    _note(session, refusal, "multi" if in_transaction else "toplevel", session.user.name)
    if session.executing:
        raise Rejected(_CHANGED + _CHANGED_WORDS[refusal.reason])
    raise Rejected(f"NOPERM {_WORDS[refusal.reason].format(refusal.object)}")


def _writes_here(command: Command) -> bool:
    """Whether a command writes to the table that is selected. COPY may write to another one; that which can
    only be read refuses by itself."""
    return "write" in command.flags and is_of_table(command) and command.name != "COPY"


def _is_about_keys(command: Command) -> bool:
    return "readonly" in command.flags or changes(command.name, command.flags)


def refused(session: Session, user: User, command: Command, args: list[str]) -> Refusal | None:
    """Why a user may not run a command on the table of this session; None: it may."""
    if command.name in FREE:
        return None
    wanted = Wanted(
        command.name.lower(),
        categories(command),
        keys_of(command, args),
        _tables(session, command, args),
        on_all_keys(command, args),
        channels_of(command, args),
        command.name == "PSUBSCRIBE",
    )
    return user.refusal(wanted)


def in_words(refusal: Refusal) -> str:
    """As ACL DRYRUN tells it."""
    return _DRY_WORDS[refusal.reason].format(refusal.object)


def _tables(session: Session, command: Command, args: list[str]) -> list[str]:
    """The tables that a command is about."""
    if command.name == "FLUSHALL":
        return list(session.shared.node.tables)
    if command.name == "SELECT":
        return _named(session, args[1])
    records = records_of(command)
    if records is not None:
        return [records]
    if not is_of_table(command):
        return []
    tables = [session.table_name]
    if command.name == "MOVE":
        tables += _named(session, args[2])
    elif command.name == "COPY":
        for word, value in pairwise(args[3:]):
            tables += _named(session, value) if word.upper() == "DB" else []
    return tables


def _named(session: Session, text: str) -> list[str]:
    name = session.find_table(text)
    return [] if name is None else [name]


def log_in(session: Session, name: str, password: str, command: str) -> None:
    """Who the client is from now on. CommandError, which is noted, where the pair is none."""
    user = session.shared.users.log_in(name, password)
    if user is None:
        _note(session, Refusal("auth", command), "multi" if session.executing else "toplevel", name)
        raise CommandError(WRONG_PASSWORD)
    session.become(user)


def authenticate(session: Session, args: list[str]) -> None:
    """AUTH [name] password."""
    if len(args) == 2 and session.shared.users.default.nopass:
        raise CommandError(_NO_PASSWORD)
    name, password = args[1:] if len(args) == 3 else (DEFAULT, args[1])
    log_in(session, name, password, args[0])


def use(shared: Shared, users: Users) -> list[Session]:
    """Let other users and rules count. Returns the connections of users that are gone, or have other rules or
    passwords now: nothing more is done for them, and they are to be closed."""
    shared.users = users
    held = users.by_name.get
    # For speed: nearly all users are the same objects as before.
    other = [one for one in shared.sessions.values() if held(one.user.name) is not one.user]
    changed = [one for one in other if held(one.user.name) != one.user]
    for session in changed:
        session.closing = True
    return changed


def _note(session: Session, refusal: Refusal, context: str, name: str) -> None:
    shared = session.shared
    entry = Entry(refusal.reason, context, refusal.object, name, session.describe(), shared.clock())
    shared.acl_log.add(entry)
    shared.node.bus.counters.refused_clients[refusal.reason] += 1
