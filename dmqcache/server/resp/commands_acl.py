"""ACL: who the client is, which users there are and what they may. Users stand in a file (``users.py``), so
nothing here changes one; ACL LOAD reads that file again."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Final

from dmqcache.server.resp.access import categories
from dmqcache.server.resp.acl import CATEGORIES, User
from dmqcache.server.resp.acl_log import Entry
from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.permission import in_words, refused
from dmqcache.server.resp.reply import OK, CommandError, bulk, bulks, encode, null
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import Steps, in_steps

#: Entries that ACL LOG shows unless told otherwise (Redis').
SHOWN: Final = 10
_NO_FILE: Final = "ERR this node has no file of users: start it with --client-acl-file"


def _whoami(session: Session, args: list[str]) -> bytes:
    return bulk(session.user.name)


def _users(session: Session, args: list[str]) -> bytes:
    return bulks(sorted(session.shared.users.by_name))


def _list(session: Session, args: list[str]) -> bytes:
    users = session.shared.users.by_name
    return bulks([users[name].describe() for name in sorted(users)])


def _get_user(session: Session, args: list[str]) -> bytes:
    user = session.shared.users.by_name.get(args[2])
    if user is None:
        return null(session.resp3)
    about: dict[str, object] = {
        "flags": user.flags,
        "passwords": sorted(user.passwords),
        "commands": " ".join(user.commands),
        "keys": user.key_rules,
        "channels": user.channel_rules.removeprefix("resetchannels"),
        "selectors": [],
    }
    return encode(about, session.resp3)


def _load(session: Session, args: list[str]) -> Answer:
    """Of a client that leaves meanwhile nothing was changed."""
    if session.shared.load_users is None:
        raise CommandError(_NO_FILE)
    return in_steps(session, _loading(session.shared.load_users()))


def _loading(steps: Generator[None, None, None]) -> Steps:
    yield from steps
    return OK


def _log(session: Session, args: list[str]) -> bytes:
    log = session.shared.acl_log
    if len(args) > 2 and args[2].upper() == "RESET":
        log.clear()
        return OK
    count = parse_integer(args[2]) if len(args) > 2 else SHOWN
    shown = [_entry(session, one) for one in list(log.entries)[: max(0, count)]]
    return encode(shown, session.resp3)


def _entry(session: Session, entry: Entry) -> dict[str, object]:
    return {
        "count": entry.count,
        "reason": entry.reason,
        "context": entry.context,
        "object": entry.object,
        "username": entry.username,
        "age-seconds": str(round(session.shared.clock() - entry.at, 3)),
        "client-info": entry.client,
    }


class AclCommands:
    """ACL and its subcommands, over all commands by their names in lower case, themselves included."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    def entry(self) -> Command:
        """ACL itself."""
        return container(
            "ACL",
            "Tells of users and their rules.",
            (
                Command("ACL|CAT", self._cat, -2, "", "Lists the categories, or the commands of one."),
                Command("ACL|DRYRUN", self._dry_run, -4, "admin", "Whether a user may run a command."),
                Command("ACL|GETUSER", _get_user, 3, "admin", "Tells the rules of a user."),
                Command("ACL|LIST", _list, 2, "admin", "Lists the users with their rules."),
                Command("ACL|LOAD", _load, 2, "admin", "Reads the file of users again."),
                Command("ACL|LOG", _log, -2, "admin", "Lists who was refused what, or RESET."),
                Command("ACL|USERS", _users, 2, "admin", "Lists the users' names."),
                Command("ACL|WHOAMI", _whoami, 2, "", "Returns the user of this connection."),
            ),
        )

    def _all(self) -> Iterator[Command]:
        for command in self._commands.values():
            yield command
            yield from command.subcommands.values()

    def _cat(self, session: Session, args: list[str]) -> bytes:
        if len(args) == 2:
            return bulks(CATEGORIES)
        if args[2].lower() not in CATEGORIES:
            raise CommandError(f"ERR Unknown category '{args[2][:128]}'")
        return bulks([one.name.lower() for one in self._all() if args[2].lower() in categories(one)])

    def _dry_run(self, session: Session, args: list[str]) -> bytes:
        user: User | None = session.shared.users.by_name.get(args[2])
        if user is None:
            raise CommandError(f"ERR User '{args[2]}' not found")
        words = args[3:]
        command = self._commands.get(words[0].lower())
        if command is not None and command.subcommands and len(words) > 1:
            command = command.subcommands.get(words[1].upper())
        if command is None:
            raise CommandError(f"ERR Command '{words[0]}' not found")
        if not command.takes(len(words)):
            raise CommandError(f"ERR wrong number of arguments for '{command.name.lower()}' command")
        refusal = refused(session, user, command, words)
        return OK if refusal is None else bulk(in_words(refusal))
