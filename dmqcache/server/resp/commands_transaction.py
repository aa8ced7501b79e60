"""MULTI, EXEC, DISCARD. All commands run one after the other on one loop, so a transaction is only a list
of commands that is run without a pause. What another node does meanwhile is not held back by it."""

from __future__ import annotations

from typing import Final

from dmqcache.server.resp.command import Command
from dmqcache.server.resp.reply import OK, QUEUED, CommandError, Rejected
from dmqcache.server.resp.session import Session, Transaction

#: Commands that may wait for EXEC, and what they may take together: what a client could otherwise pile up.
MAX_QUEUED: Final = 100_000
MAX_QUEUED_BYTES: Final = 64 << 20
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
    session.transaction = None
    return OK


def execute_all(session: Session, args: list[str]) -> bytes:
    transaction = session.transaction
    if transaction is None:
        raise CommandError("ERR EXEC without MULTI")
    session.transaction = None
    if transaction.failed:
        raise CommandError("EXECABORT Transaction discarded because of previous errors.")
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
)
