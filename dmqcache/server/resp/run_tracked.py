"""One command of a client that tracks (CLIENT TRACKING): what it reads is noted, and what it is told of its
own changes comes after the reply, as in Redis. Who is told what, is ``tracking.py``'s.
"""

from __future__ import annotations

from dmqcache.server.resp.access import keys_of
from dmqcache.server.resp.command import Command, Handler
from dmqcache.server.resp.session import Answer, Session


def run_tracked(session: Session, command: Command, args: list[str], run: Handler) -> Answer:
    """Run a command by its handler."""
    answer: Answer = b""
    with session.shared.tracking.acting(session) as own:
        try:
            answer = run(session, args)
            # After it ran: where the time to live of a key was over, that was told while it was read.
            _note(session, command, args)
        finally:
            if own and not session.executing:
                told = b"".join(own)
                own.clear()
                if answer and isinstance(answer, bytes) and not session.skipped:
                    answer += told
                else:
                    session.push(told)
    spend(session, command)
    return answer


def _note(session: Session, command: Command, args: list[str]) -> None:
    """Remember what was read. In a script that is what it reads, not the keys that it declares."""
    how = session.tracked
    if how is not None and how.remembers and "readonly" in command.flags:
        for key, _ in keys_of(command, args):
            session.shared.tracking.read(session, key)


def spend(session: Session, command: Command | None) -> None:
    """What CLIENT CACHING said was said of this command (None: of one that is not known). It still holds
    within a transaction or a script, and after another CLIENT."""
    how = session.tracked
    if how is None or not how.named or session.executing or session.transaction is not None:
        return
    if command is None or not command.name.startswith("CLIENT|"):
        how.named = False
