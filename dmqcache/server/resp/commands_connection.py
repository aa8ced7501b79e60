"""Commands about the connection itself: greeting, protocol version, table, names."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, Options
from dmqcache.server.resp.info import REDIS_VERSION
from dmqcache.server.resp.reply import (
    OK,
    PONG,
    CommandError,
    bulk,
    encode,
    integer,
    null,
    simple,
    syntax_error,
    wrong_arity,
)
from dmqcache.server.resp.session import Session

_NO_PASSWORD = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
_WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."


def ping(session: Session, args: list[str]) -> bytes:
    if len(args) > 2:
        raise wrong_arity("ping")
    return PONG if len(args) == 1 else bulk(args[1])


def echo(session: Session, args: list[str]) -> bytes:
    return bulk(args[1])


def auth(session: Session, args: list[str]) -> bytes:
    """There are no passwords here; Redis' default user then takes any."""
    if len(args) > 3:
        raise syntax_error()
    if len(args) == 2:
        raise CommandError(_NO_PASSWORD)
    if args[1] != "default":
        raise CommandError(_WRONG_PASSWORD)
    return OK


def hello(session: Session, args: list[str]) -> bytes:
    resp3 = session.resp3
    if len(args) > 1:
        if args[1] not in ("2", "3"):
            if not args[1].lstrip("-").isdigit():
                raise CommandError("ERR Protocol version is not an integer or out of range")
            raise CommandError("NOPROTO unsupported protocol version")
        resp3 = args[1] == "3"
    name = None
    options = Options(args, 2)
    for word in options:
        if word == "AUTH":
            auth(session, ["AUTH", options.value(), options.value()])
        elif word == "SETNAME":
            name = _checked_name(options.value())
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{word.lower()}'")
    if name is not None:
        session.name = name
    session.resp3 = resp3
    about: dict[str, object] = {
        "server": "redis",
        "version": REDIS_VERSION,
        "proto": 3 if resp3 else 2,
        "id": session.id,
        "mode": "standalone",
        "role": "master",
        "modules": [],
    }
    return encode(about, resp3)


def select(session: Session, args: list[str]) -> bytes:
    """By the table's name, or by its place in the order of declaration."""
    if session.select(args[1]):
        return OK
    names = ", ".join(session.shared.node.tables)
    if args[1].lstrip("-").isdigit():
        raise CommandError(f"ERR DB index is out of range, the tables are {names}")
    raise CommandError(f"ERR no table {args[1]!r}, the tables are {names}")


def quit_(session: Session, args: list[str]) -> bytes:
    session.closing = True
    return OK


def reset(session: Session, args: list[str]) -> bytes:
    session.reset()
    return simple("RESET")


def _checked_name(name: str) -> str:
    if any(not "!" <= char <= "~" for char in name):
        raise CommandError("ERR Client names cannot contain spaces, newlines or special characters.")
    return name


def client(session: Session, args: list[str]) -> bytes:
    handler, count = _CLIENT.get(args[1].upper(), (None, 0))
    if handler is None:
        raise CommandError(f"ERR unknown subcommand '{args[1]}'. Try CLIENT HELP.")
    if len(args) != count and (count > 0 or len(args) < -count):
        raise wrong_arity(f"client|{args[1]}")
    return handler(session, args)


def _set_name(session: Session, args: list[str]) -> bytes:
    session.name = _checked_name(args[2])
    return OK


def _get_name(session: Session, args: list[str]) -> bytes:
    return bulk(session.name) if session.name else null(session.resp3)


def _id(session: Session, args: list[str]) -> bytes:
    return integer(session.id)


def _set_info(session: Session, args: list[str]) -> bytes:
    what, value = args[2].upper(), _checked_name(args[3])
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


def _info(session: Session, args: list[str]) -> bytes:
    return bulk(_line(session) + "\n")


def _list(session: Session, args: list[str]) -> bytes:
    return bulk("".join(_line(one) + "\n" for one in session.shared.sessions.values()))


def _accept(session: Session, args: list[str]) -> bytes:
    """NO-EVICT and NO-TOUCH: there is nothing here that they would change."""
    if args[2].upper() not in ("ON", "OFF"):
        raise syntax_error()
    return OK


def _help(session: Session, args: list[str]) -> bytes:
    return encode([f"CLIENT {name}" for name in _CLIENT], session.resp3)


def _reply(session: Session, args: list[str]) -> bytes:
    """CLIENT REPLY ON is how it is anyway; without replies nobody could tell what failed."""
    if args[2].upper() != "ON":
        raise CommandError("ERR only CLIENT REPLY ON is supported")
    return OK


_CLIENT = {
    "SETNAME": (_set_name, 3),
    "GETNAME": (_get_name, 2),
    "ID": (_id, 2),
    "SETINFO": (_set_info, 4),
    "INFO": (_info, 2),
    "LIST": (_list, -2),
    "NO-EVICT": (_accept, 3),
    "NO-TOUCH": (_accept, 3),
    "REPLY": (_reply, 3),
    "HELP": (_help, 2),
}


def time(session: Session, args: list[str]) -> bytes:
    microseconds = round(session.shared.wall() * 1_000_000)
    seconds, rest = divmod(microseconds, 1_000_000)
    return encode([str(seconds), str(rest)], session.resp3)


COMMANDS = (
    Command("PING", ping, -1, "fast", "Answers PONG, or the argument."),
    Command("ECHO", echo, 2, "fast", "Returns the argument."),
    Command("AUTH", auth, -2, "fast", "There are no passwords."),
    Command("HELLO", hello, -1, "fast", "Chooses the protocol version, 2 or 3.", immediate=True),
    Command("SELECT", select, 2, "fast", "Chooses the table, by name or by number."),
    Command("QUIT", quit_, -1, "fast", "Closes the connection.", immediate=True),
    Command("RESET", reset, 1, "fast", "Makes the connection as new.", immediate=True),
    Command("CLIENT", client, -2, "admin", "Names and lists connections."),
    Command("TIME", time, 1, "fast", "Returns the node's Unix time."),
)
