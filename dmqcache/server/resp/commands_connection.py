"""Commands about the connection itself: greeting, protocol version, table, end."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, Options, parse_integer
from dmqcache.server.resp.commands_client import checked_name
from dmqcache.server.resp.info import REDIS_VERSION
from dmqcache.server.resp.permission import authenticate, log_in
from dmqcache.server.resp.reply import (
    OK,
    PONG,
    CommandError,
    bulk,
    encode,
    simple,
    syntax_error,
    wrong_arity,
)
from dmqcache.server.resp.session import Session

_GREET_WITH_AUTH = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> "
    "<pass> option can be used to authenticate the client and select the RESP protocol version at the same "
    "time"
)


def ping(session: Session, args: list[str]) -> bytes:
    if len(args) > 2:
        raise wrong_arity("ping")
    if session.only_listens:
        return encode(["pong", args[1] if len(args) > 1 else ""], False)
    return PONG if len(args) == 1 else bulk(args[1])


def echo(session: Session, args: list[str]) -> bytes:
    return bulk(args[1])


def auth(session: Session, args: list[str]) -> bytes:
    if len(args) > 3:
        raise syntax_error()
    authenticate(session, args)
    return OK


def hello(session: Session, args: list[str]) -> bytes:
    resp3 = session.resp3
    if len(args) > 1:
        if parse_integer(args[1], "Protocol version") not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
        resp3 = args[1] == "3"
    name = None
    options = Options(args, 2)
    for word in options:
        if word == "AUTH" and options.has_more(2):
            log_in(session, options.value(), options.value(), args[0])
        elif word == "SETNAME" and options.has_more():
            name = checked_name(options.value())
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{options.word}'")
    if not session.authenticated:
        raise CommandError(_GREET_WITH_AUTH)
    if name is not None:
        session.name = name
    session.speak(resp3)
    session.restrict()
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
    names = ", ".join(session.shared.tables)
    if args[1].lstrip("+-").isdigit():
        parse_integer(args[1])
        raise CommandError(f"ERR DB index is out of range, the tables are {names}")
    raise CommandError(f"ERR no table {args[1]!r}, the tables are {names}")


def quit_(session: Session, args: list[str]) -> bytes:
    session.closing = True
    return OK


def reset(session: Session, args: list[str]) -> bytes:
    session.let_go()
    session.reset()
    return simple("RESET")


def time(session: Session, args: list[str]) -> bytes:
    microseconds = round(session.shared.wall() * 1_000_000)
    seconds, rest = divmod(microseconds, 1_000_000)
    return encode([str(seconds), str(rest)], session.resp3)


COMMANDS = (
    Command("PING", ping, -1, "fast", "Answers PONG, or the argument."),
    Command("ECHO", echo, 2, "fast", "Returns the argument."),
    Command("AUTH", auth, -2, "fast", "Says who the client is."),
    Command("HELLO", hello, -1, "fast", "Chooses the protocol version, 2 or 3."),
    Command("SELECT", select, 2, "fast", "Chooses the table, by name or by number."),
    Command("QUIT", quit_, -1, "fast", "Closes the connection.", immediate=True),
    Command("RESET", reset, 1, "fast", "Makes the connection as new.", immediate=True),
    Command("TIME", time, 1, "fast", "Returns the node's Unix time."),
)
