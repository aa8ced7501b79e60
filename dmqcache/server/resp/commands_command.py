"""COMMAND: what the commands are, for clients that ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dmqcache.server.resp.access import categories, keys_of
from dmqcache.server.resp.acl import CATEGORIES
from dmqcache.server.resp.command import Command, container
from dmqcache.server.resp.globs import compile_glob
from dmqcache.server.resp.reply import CommandError, encode, integer, simple, syntax_error
from dmqcache.server.resp.session import Session

#: Names that one command may bring; the whole list has fewer.
MAX_NAMES: Final = 1000


class CommandList:
    """COMMAND and its subcommands, over all commands by their names in lower case, themselves included."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    def entry(self) -> Command:
        """COMMAND itself."""
        return container(
            "COMMAND",
            "Describes the commands.",
            (
                Command("COMMAND|COUNT", self._count, 2, "", "Returns how many there are."),
                Command("COMMAND|DOCS", self._docs, -2, "", "Tells what commands do."),
                Command("COMMAND|GETKEYS", self._keys, -4, "", "Returns the keys of a whole command."),
                Command("COMMAND|INFO", self._info, -2, "", "Tells their arity, flags and keys."),
                Command("COMMAND|LIST", self._list, -2, "", "Returns their names, all or FILTERBY."),
            ),
            self._info,
        )

    def _count(self, session: Session, args: list[str]) -> bytes:
        return integer(len(self._commands))

    def _list(self, session: Session, args: list[str]) -> bytes:
        names = list(self._commands)
        if len(args) > 2:
            if len(args) != 5 or args[2].upper() != "FILTERBY":
                raise syntax_error()
            kind, wanted = args[3].upper(), args[4]
            if kind == "MODULE":
                names = []
            elif kind == "ACLCAT":
                names = [name for name in names if wanted.lower() in categories(self._commands[name])]
            elif kind == "PATTERN":
                matches = compile_glob(wanted)
                names = [name for name in names if matches(name)]
            else:
                raise syntax_error()
        return encode(names, session.resp3)

    def _keys(self, session: Session, args: list[str]) -> bytes:
        words = args[2:]
        command = self._commands.get(words[0].lower())
        if command is None:
            raise CommandError("ERR Invalid command specified")
        if command.subcommands and len(words) > 1:
            command = command.subcommands.get(words[1].upper(), command)
        if not command.takes(len(words)):
            raise CommandError("ERR Invalid number of arguments specified for command")
        keys = [key for key, _ in keys_of(command, words)]
        if not keys:
            raise CommandError("ERR The command has no key arguments")
        return encode(keys, session.resp3)

    def _named(self, args: list[str]) -> list[str]:
        if len(args) > MAX_NAMES:
            raise CommandError(f"ERR at most {MAX_NAMES} names at once")
        return [name.lower() for name in args[2:]] or list(self._commands)

    def _info(self, session: Session, args: list[str]) -> bytes:
        return encode([self._described(name, session.resp3) for name in self._named(args)], session.resp3)

    def _described(self, name: str, resp3: bool) -> list[object] | None:
        command = self._commands.get(name)
        if command is None and "|" in name:
            of = self._commands.get(name.partition("|")[0])
            command = of.subcommands.get(name.partition("|")[2].upper()) if of else None
        return None if command is None else _description(command, resp3)

    def _docs(self, session: Session, args: list[str]) -> bytes:
        found = {name: self._commands[name] for name in self._named(args) if name in self._commands}
        return encode({name: _documentation(command) for name, command in found.items()}, session.resp3)


def _description(command: Command, resp3: bool) -> list[object]:
    first, last, step = command.keys
    subcommands = [_description(one, resp3) for one in command.subcommands.values()]
    words = _set(command.flags.split(), resp3)
    of = _set([f"@{one}" for one in CATEGORIES if one in categories(command)], resp3)
    return [command.name.lower(), command.arity, words, first, last, step, of, [], [], subcommands]


def _set(words: Sequence[str], resp3: bool) -> bytes:
    return (b"~%d\r\n" if resp3 else b"*%d\r\n") % len(words) + b"".join(map(simple, words))


def _documentation(command: Command) -> dict[str, object]:
    said: dict[str, object] = {
        "summary": command.summary,
        "since": "1.0.0",
        "group": command.group,
        "complexity": "O(1)",
    }
    if command.subcommands:
        said["subcommands"] = {one.name.lower(): _documentation(one) for one in command.subcommands.values()}
    return said
