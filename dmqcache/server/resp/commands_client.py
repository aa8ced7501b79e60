"""CLIENT: the connections, this one and all others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dmqcache.server.resp import commands_pause, commands_tracking
from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, bulk, integer, null, syntax_error, verbatim
from dmqcache.server.resp.session import Session

#: More replies than any connection gets.
FOR_EVER: Final = 1 << 62


def checked_name(name: str) -> str:
    if any(not "!" <= char <= "~" for char in name):
        raise CommandError("ERR Client names cannot contain spaces, newlines or special characters.")
    return name


def _set_name(session: Session, args: list[str]) -> bytes:
    session.name = checked_name(args[2])
    return OK


def _get_name(session: Session, args: list[str]) -> bytes:
    return bulk(session.name) if session.name else null(session.resp3)


def _id(session: Session, args: list[str]) -> bytes:
    return integer(session.id)


def _set_info(session: Session, args: list[str]) -> bytes:
    what, value = args[2].upper(), checked_name(args[3])
    if what == "LIB-NAME":
        session.lib_name = value
    elif what == "LIB-VER":
        session.lib_version = value
    else:
        raise CommandError(f"ERR Unrecognized option '{args[2]}'")
    return OK


def _lines(sessions: Iterable[Session]) -> str:
    return "".join(one.describe() + "\n" for one in sessions)


def _info(session: Session, args: list[str]) -> bytes:
    return verbatim(_lines([session]), session.resp3)


def _list(session: Session, args: list[str]) -> bytes:
    sessions = session.shared.sessions
    chosen: Iterable[Session] = sessions.values()
    if len(args) > 2:
        what = args[2].upper()
        if what == "TYPE" and len(args) == 4:
            chosen = _of_kind(chosen, args[3])
        elif what == "ID" and len(args) > 3:
            chosen = [sessions[one] for one in map(_client_id, args[3:]) if one in sessions]
        else:
            raise syntax_error()
    return verbatim(_lines(chosen), session.resp3)


def _of_kind(sessions: Iterable[Session], kind: str) -> list[Session]:
    """Those of one type. Of some that Redis has there are none here."""
    if kind.lower() not in ("normal", "master", "replica", "slave", "pubsub"):
        raise CommandError(f"ERR Unknown client type '{kind}'")
    return [
        one for one in sessions if kind.lower() == ("pubsub" if one.channels or one.patterns else "normal")
    ]


def _client_id(text: str) -> int:
    try:
        return parse_integer(text)
    except CommandError:
        raise CommandError("ERR Invalid client ID") from None


def _accept(session: Session, args: list[str]) -> bytes:
    """NO-EVICT and NO-TOUCH: there is nothing here that they would change."""
    if args[2].upper() not in ("ON", "OFF"):
        raise syntax_error()
    return OK


def _reply(session: Session, args: list[str]) -> bytes:
    """OFF: no replies from this one on; SKIP: none to this one and the next."""
    mode = args[2].upper()
    if mode not in ("ON", "OFF", "SKIP"):
        raise syntax_error()
    if mode == "ON" or not session.skipped:
        session.skipped = {"ON": 0, "OFF": FOR_EVER, "SKIP": 2}[mode]
    return OK


def _kill(session: Session, args: list[str]) -> bytes:
    """By address alone (the old form), or by any filters."""
    if len(args) == 3:
        victims = [one for one in session.shared.sessions.values() if one.address == args[2]]
        if not victims:
            raise CommandError("ERR No such client")
    else:
        victims = _filtered(session, args)
    for victim in victims:
        victim.closing = True
        if victim is not session:
            victim.end()
    return OK if len(args) == 3 else integer(len(victims))


def _filtered(session: Session, args: list[str]) -> list[Session]:
    if len(args) % 2:
        raise syntax_error()
    found: Iterable[Session] = session.shared.sessions.values()
    skips_me = True
    for name, value in zip(args[2::2], args[3::2], strict=True):
        match name.upper():
            case "ID":
                number = int(value) if value.isascii() and value.isdigit() else 0
                if number <= 0:
                    raise CommandError("ERR client-id should be greater than 0")
                found = [one for one in found if one.id == number]
            case "ADDR":
                found = [one for one in found if one.address == value]
            case "TYPE":
                found = _of_kind(found, value)
            case "USER":
                if value not in session.shared.users.by_name:
                    raise CommandError(f"ERR No such user '{value}'")
                found = [one for one in found if one.user.name == value]
            case "SKIPME" if value.lower() in ("yes", "no"):
                skips_me = value.lower() == "yes"
            case _:
                raise syntax_error()
    return [one for one in found if not (skips_me and one is session)]


COMMANDS = (
    container(
        "CLIENT",
        "Names, lists and ends connections.",
        (
            Command("CLIENT|SETNAME", _set_name, 3, "", "Names this connection."),
            Command("CLIENT|GETNAME", _get_name, 2, "", "Returns the name."),
            Command("CLIENT|ID", _id, 2, "", "Returns the number of this connection."),
            Command("CLIENT|SETINFO", _set_info, 4, "", "Tells which library the client is."),
            Command("CLIENT|INFO", _info, 2, "", "Describes this connection."),
            Command("CLIENT|LIST", _list, -2, "admin", "Describes connections, all or by ID or TYPE."),
            Command("CLIENT|NO-EVICT", _accept, 3, "admin", "There is nothing that it would change."),
            Command("CLIENT|NO-TOUCH", _accept, 3, "", "There is nothing that it would change."),
            Command("CLIENT|REPLY", _reply, 3, "", "ON, OFF or SKIP: which replies are sent."),
            Command("CLIENT|KILL", _kill, -3, "admin", "Ends connections by address, ID, TYPE, USER."),
            *commands_pause.SUBCOMMANDS,
            *commands_tracking.SUBCOMMANDS,
        ),
    ),
)
