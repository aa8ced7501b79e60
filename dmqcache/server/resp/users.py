"""The users of a server, made from what the operator gives: a password, and a file of users."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from dmqcache.server.resp.acl import DEFAULT, AclError, Users, everything, hashed, reading_users, to_end
from dmqcache.server.resp.command_table import COMMANDS


def making_users(password: str | None = None, text: str | None = None) -> Generator[None, None, Users]:
    """``password`` is the default user's, who then may do everything; ``text`` an ACL file's: of thousands of
    users, so in steps. AclError says what is wrong there."""
    users = Users() if text is None else (yield from reading_users(text, frozenset(_names())))
    if password is None:
        return users
    if text is not None and users.default != everything():
        raise AclError(f"the user {DEFAULT!r} has rules there and a password of its own: give one of the two")
    default = replace(everything(), nopass=False, passwords=frozenset((hashed(password),)))
    return Users([*users.by_name.values(), default])


def make_users(password: str | None = None, text: str | None = None) -> Users:
    """The same at once."""
    return to_end(making_users(password, text))


def _names() -> Iterator[str]:
    for command in COMMANDS.values():
        yield command.name.lower()
        yield from (one.name.lower() for one in command.subcommands.values())
