"""CLIENT PAUSE, UNPAUSE and UNBLOCK: clients that wait, and clients that wait no longer."""

from __future__ import annotations

from typing import Final

from dmqcache.server.resp.command import MAX_INTEGER, Command, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, error, integer
from dmqcache.server.resp.session import Session

_UNBLOCKED: Final = "UNBLOCKED client unblocked via CLIENT UNBLOCK"


def _third(args: list[str], words: tuple[str, str], otherwise: str) -> str:
    """The word after the number, in upper case; the first one if there is none."""
    if len(args) > 4:
        raise CommandError(
            f"ERR unknown subcommand or wrong number of arguments for '{args[1][:128]}'. Try CLIENT HELP."
        )
    word = args[3].upper() if len(args) == 4 else words[0]
    if word not in words:
        raise CommandError(f"ERR {otherwise}")
    return word


def _pause(session: Session, args: list[str]) -> bytes:
    """CLIENT PAUSE MILLISECONDS [WRITE|ALL]."""
    mode = _third(args, ("ALL", "WRITE"), "CLIENT PAUSE mode must be WRITE or ALL")
    milliseconds = parse_integer(args[2], "timeout")
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    # Beyond 64 bits of Unix time Redis pauses nobody.
    if milliseconds + int(session.shared.wall() * 1000) <= MAX_INTEGER:
        session.shared.pause.begin(milliseconds / 1000, mode == "WRITE")
    return OK


def _unpause(session: Session, args: list[str]) -> bytes:
    session.shared.pause.end()
    return OK


def _unblock(session: Session, args: list[str]) -> bytes:
    """CLIENT UNBLOCK ID [TIMEOUT|ERROR]: whether that client was waiting by WAIT or WAITAOF."""
    reason = _third(args, ("TIMEOUT", "ERROR"), "CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    target = session.shared.sessions.get(parse_integer(args[2]))
    if target is None or target.timed_out is None:
        return integer(0)
    reply = target.timed_out() if reason == "TIMEOUT" else error(_UNBLOCKED)
    target.timed_out = None
    target.answer(reply)
    return integer(1)


SUBCOMMANDS = (
    Command("CLIENT|PAUSE", _pause, -3, "admin", "Lets clients, or their writes, wait a while."),
    Command("CLIENT|UNPAUSE", _unpause, 2, "admin", "Ends a pause."),
    Command("CLIENT|UNBLOCK", _unblock, -3, "admin", "Ends another client's WAIT."),
)
