"""The users of a server, made from what the operator gives: a password, and a file of users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dmqcache.server.resp.acl import DEFAULT, AclError, Users, everything, hashed, read_users
from dmqcache.server.resp.command_table import COMMANDS


def make_users(password: str | None = None, text: str | None = None) -> Users:
    """``password`` is the default user's, who then may do everything; ``text`` an ACL file's. AclError says
    what is wrong there."""
    users = Users() if text is None else read_users(text, frozenset(_names()))
    if password is None:
        return users
    if text is not None and users.default != everything():
        raise AclError(f"the user {DEFAULT!r} has rules there and a password of its own: give one of the two")
    default = replace(everything(), nopass=False, passwords=frozenset((hashed(password),)))
    return Users([*users.by_name.values(), default])


def _names() -> Iterator[str]:
    for command in COMMANDS.values():
        yield command.name.lower()
        yield from (one.name.lower() for one in command.subcommands.values())
