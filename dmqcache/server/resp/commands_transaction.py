"""MULTI, EXEC, DISCARD, WATCH. All commands run one after the other on one loop, so a transaction is only a
list of commands that is run without a pause, and WATCH a look at versions: what another node has written and
this one has heard of counts too. What another node does at the same moment is not held back by it."""

from __future__ import annotations

from typing import Final

from dmqcache.server.resp.command import ALL_KEYS, Command
from dmqcache.server.resp.reply import NULL_3, NULL_ARRAY, OK, QUEUED, CommandError, Rejected
from dmqcache.server.resp.session import Session, Transaction
from dmqcache.store.table.table import Table

#: Commands that may wait for EXEC, and what they may take together: what a client could otherwise pile up.
MAX_QUEUED: Final = 100_000
MAX_QUEUED_BYTES: Final = 64 << 20
#: Keys that one client may watch at once.
MAX_WATCHED: Final = 10_000
#: What Python needs beside a watched key, about.
WATCHED_BYTES: Final = 300
#: What Python needs beside the words of a command, about.
WORD_BYTES: Final = 64


def queue(transaction: Transaction, args: list[str]) -> bytes:
    """Keep a command for EXEC."""
    if len(transaction.commands) >= MAX_QUEUED:
        raise Rejected(f"ERR a transaction has at most {MAX_QUEUED} commands")
    transaction.size += sum(map(len, args)) + WORD_BYTES * len(args)
    if transaction.size > MAX_QUEUED_BYTES:
        transaction.commands.clear()
        raise Rejected(f"ERR the commands of a transaction take at most {MAX_QUEUED_BYTES} bytes")
    transaction.commands.append(args)
    return QUEUED


def multi(session: Session, args: list[str]) -> bytes:
    if session.transaction is not None:
        raise CommandError("ERR MULTI calls can not be nested")
    session.transaction = Transaction()
    return OK


def discard(session: Session, args: list[str]) -> bytes:
    if session.transaction is None:
        raise CommandError("ERR DISCARD without MULTI")
    session.end_transaction()
    return OK


def watch(session: Session, args: list[str]) -> bytes:
    if session.transaction is not None:
        raise CommandError("ERR WATCH inside MULTI is not allowed")
    if len(session.watched) + len(args) > MAX_WATCHED:
        raise CommandError(f"ERR at most {MAX_WATCHED} keys are watched")
    for key in args[1:]:
        session.watched.setdefault((session.table_name, key), _seen(session.table, key))
        session.watched_bytes += len(key) + WATCHED_BYTES
    return OK


def unwatch(session: Session, args: list[str]) -> bytes:
    session.forget_watched()
    return OK


def _seen(table: Table, key: str) -> tuple[bool, int]:
    """What no write of a key leaves as it is: whether there is a value, and its version (of a counter its
    shares too)."""
    cell = table.live_cell(key)
    if cell is not None:
        return True, cell.digest
    dead = table.cells.get(key)
    return False, 0 if dead is None else dead.last_modified()


def _is_touched(session: Session) -> bool:
    tables = session.shared.tables
    return any(_seen(tables[name], key) != seen for (name, key), seen in session.watched.items())


def execute_all(session: Session, args: list[str]) -> bytes:
    transaction = session.transaction
    if transaction is None:
        raise CommandError("ERR EXEC without MULTI")
    touched = _is_touched(session)
    session.end_transaction()
    if transaction.failed:
        raise CommandError("EXECABORT Transaction discarded because of previous errors.")
    if touched:
        return NULL_3 if session.resp3 else NULL_ARRAY
    session.executing = True
    try:
        replies = [session.shared.execute(session, command) for command in transaction.commands]
    finally:
        session.executing = False
    return b"*%d\r\n" % len(replies) + b"".join(reply for reply in replies if isinstance(reply, bytes))


COMMANDS = (
    Command("MULTI", multi, 1, "fast", "Begins a transaction.", immediate=True),
    Command("EXEC", execute_all, 1, "", "Runs the transaction's commands.", immediate=True),
    Command("DISCARD", discard, 1, "fast", "Forgets the transaction's commands.", immediate=True),
    Command("WATCH", watch, -2, "fast", "EXEC does nothing if one of the keys changes.", ALL_KEYS, True),
    Command("UNWATCH", unwatch, 1, "fast", "Watches no key any more."),
)
