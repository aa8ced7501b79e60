"""CLIENT: the connections, this one and all others."""

from __future__ import annotations

from collections.abc import Iterable

from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, bulk, integer, null, syntax_error, verbatim
from dmqcache.server.resp.session import Session


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
        session.library = value
    elif what == "LIB-VER":
        session.library_version = value
    else:
        raise CommandError(f"ERR Unrecognized option '{args[2]}'")
    return OK


def _line(session: Session) -> str:
    age = int(session.shared.clock() - session.connected)
    return (
        f"id={session.id} addr={session.address} name={session.name} age={age} db={session.index} "
        f"table={session.table_name} resp={3 if session.resp3 else 2} "
        f"lib-name={session.library} lib-ver={session.library_version}"
    )


def _lines(sessions: Iterable[Session]) -> str:
    return "".join(_line(one) + "\n" for one in sessions)


def _info(session: Session, args: list[str]) -> bytes:
    return verbatim(_lines([session]), session.resp3)


def _list(session: Session, args: list[str]) -> bytes:
    sessions = session.shared.sessions
    chosen: Iterable[Session] = sessions.values()
    if len(args) > 2:
        what = args[2].upper()
        if what == "TYPE" and len(args) == 4:
            chosen = chosen if _is_normal(args[3]) else ()
        elif what == "ID" and len(args) > 3:
            chosen = [sessions[one] for one in map(_client_id, args[3:]) if one in sessions]
        else:
            raise syntax_error()
    return verbatim(_lines(chosen), session.resp3)


def _is_normal(kind: str) -> bool:
    """Whether clients of a type are such as there are here."""
    if kind.lower() not in ("normal", "master", "replica", "slave", "pubsub"):
        raise CommandError(f"ERR Unknown client type '{kind}'")
    return kind.lower() == "normal"


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
    """CLIENT REPLY ON is how it is anyway; without replies nobody could tell what failed."""
    if args[2].upper() not in ("ON", "OFF", "SKIP"):
        raise syntax_error()
    if args[2].upper() != "ON":
        raise CommandError("ERR only CLIENT REPLY ON is supported")
    return OK


COMMANDS = (
    container(
        "CLIENT",
        "Names, lists and ends connections.",
        (
            Command("CLIENT|SETNAME", _set_name, 3, "fast", "Names this connection."),
            Command("CLIENT|GETNAME", _get_name, 2, "fast", "Returns the name."),
            Command("CLIENT|ID", _id, 2, "fast", "Returns the number of this connection."),
            Command("CLIENT|SETINFO", _set_info, 4, "fast", "Tells which library the client is."),
            Command("CLIENT|INFO", _info, 2, "fast", "Describes this connection."),
            Command("CLIENT|LIST", _list, -2, "admin", "Describes connections, all or by ID or TYPE."),
            Command("CLIENT|NO-EVICT", _accept, 3, "fast", "There is nothing that it would change."),
            Command("CLIENT|NO-TOUCH", _accept, 3, "fast", "There is nothing that it would change."),
            Command("CLIENT|REPLY", _reply, 3, "fast", "ON only."),
        ),
    ),
)
