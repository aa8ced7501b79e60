"""MULTI, EXEC, DISCARD. All commands run one after the other on one loop, so a transaction is only a list
of commands that is run without a pause; WATCH is not offered, as a key may change on another node."""

from __future__ import annotations

from typing import Final

from dmqcache.server.resp.command import Command
from dmqcache.server.resp.reply import OK, QUEUED, CommandError
from dmqcache.server.resp.session import Session

#: Commands that may wait for EXEC: what a client could otherwise pile up without bound.
MAX_QUEUED: Final = 100_000


def queue(session: Session, command: Command, args: list[str]) -> bytes:
    """Keep a command for EXEC."""
    assert session.transaction is not None
    if "blocking" in command.flags:
        raise CommandError(f"ERR {command.name} is not allowed in transactions")
    if len(session.transaction) >= MAX_QUEUED:
        raise CommandError(f"ERR a transaction has at most {MAX_QUEUED} commands")
    session.transaction.append(args)
    return QUEUED


def multi(session: Session, args: list[str]) -> bytes:
    if session.transaction is not None:
        raise CommandError("ERR MULTI calls can not be nested")
    session.transaction, session.transaction_failed = [], False
    return OK


def discard(session: Session, args: list[str]) -> bytes:
    if session.transaction is None:
        raise CommandError("ERR DISCARD without MULTI")
    session.transaction = None
    return OK


def execute_all(session: Session, args: list[str]) -> bytes:
    commands, failed = session.transaction, session.transaction_failed
    if commands is None:
        raise CommandError("ERR EXEC without MULTI")
    session.transaction = None
    if failed:
        raise CommandError("EXECABORT Transaction discarded because of previous errors.")
    replies = [session.shared.execute(session, command) for command in commands]
    return b"*%d\r\n" % len(replies) + b"".join(reply for reply in replies if isinstance(reply, bytes))


COMMANDS = (
    Command("MULTI", multi, 1, "fast", "Begins a transaction.", immediate=True),
    Command("EXEC", execute_all, 1, "", "Runs the transaction's commands.", immediate=True),
    Command("DISCARD", discard, 1, "fast", "Forgets the transaction's commands.", immediate=True),
)
