"""Commands about the server: INFO, COMMAND, CONFIG GET."""

from __future__ import annotations

from collections.abc import Sequence

from dmqcache.server.resp.command import Command
from dmqcache.server.resp.globs import compile_glob
from dmqcache.server.resp.info import REDIS_VERSION, sections
from dmqcache.server.resp.reply import CommandError, bulk, encode, integer, simple, wrong_arity
from dmqcache.server.resp.session import Session


def info(session: Session, args: list[str]) -> bytes:
    wanted = {word.lower() for word in args[1:]}
    everything = not wanted or wanted & {"all", "default", "everything"}
    parts = []
    for title, section in sections(session.shared).items():
        if everything or title.lower() in wanted:
            lines = "".join(f"{name}:{value}\r\n" for name, value in section.items())
            parts.append(f"# {title}\r\n{lines}")
    return bulk("\r\n".join(parts))


#: Names or patterns that one command may bring; the whole list has fewer.
MAX_NAMES = 1000

#: Settings that clients and benchmarks ask for; what they tell is how this server is.
_CONFIG = {
    "save": "",
    "appendonly": "no",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "timeout": "0",
}


def config(session: Session, args: list[str]) -> bytes:
    if args[1].upper() != "GET":
        raise CommandError("ERR only CONFIG GET is supported: options are set when the node starts")
    if len(args) < 3:
        raise wrong_arity("config|get")
    if len(args) > MAX_NAMES:
        raise CommandError(f"ERR at most {MAX_NAMES} patterns at once")
    known = _CONFIG | {"databases": str(len(session.shared.node.tables)), "port": str(session.shared.port)}
    matches = [compile_glob(pattern.lower()) for pattern in args[2:]]
    return encode({key: known[key] for key in known if any(m(key) for m in matches)}, session.resp3)


def lolwut(session: Session, args: list[str]) -> bytes:
    return bulk(f"dmqcache, a table that every node holds. Redis ver. {REDIS_VERSION}\n")


class _CommandList:
    """COMMAND and its subcommands, over the commands that it is filled with."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def fill(self, commands: Sequence[Command]) -> None:
        self._commands = {command.name.lower(): command for command in commands}

    def command(self, session: Session, args: list[str]) -> bytes:
        what = args[1].upper() if len(args) > 1 else "INFO"
        if what == "COUNT":
            return integer(len(self._commands))
        if what == "LIST":
            return encode(list(self._commands), session.resp3)
        if what not in ("INFO", "DOCS"):
            raise CommandError(f"ERR unknown subcommand '{args[1]}'. Try COMMAND COUNT, DOCS, INFO or LIST.")
        if len(args) > MAX_NAMES:
            raise CommandError(f"ERR at most {MAX_NAMES} names at once")
        names = [name.lower() for name in args[2:]] or list(self._commands)
        if what == "INFO":
            return encode([self._info(name, session.resp3) for name in names], session.resp3)
        return encode({n: self._docs(n) for n in names if n in self._commands}, session.resp3)

    def _info(self, name: str, resp3: bool) -> list[object] | None:
        command = self._commands.get(name)
        if command is None:
            return None
        first, last, step = command.keys
        flags = b"".join(simple(flag) for flag in command.flags.split())
        count = len(command.flags.split())
        typed = (b"~%d\r\n" if resp3 else b"*%d\r\n") % count + flags
        return [name, command.arity, typed, first, last, step, [], [], [], []]

    def _docs(self, name: str) -> dict[str, object]:
        command = self._commands[name]
        group = "string" if command.keys != (0, 0, 0) else "server"
        return {"summary": command.summary, "since": "1.0.0", "group": group, "complexity": "O(1)"}


def make(others: Sequence[Command]) -> tuple[Command, ...]:
    """This file's commands; COMMAND tells of these and of ``others``."""
    listed = _CommandList()
    ours = (
        Command("INFO", info, -1, "", "Returns figures of the node, by section."),
        Command("CONFIG", config, -2, "admin", "CONFIG GET: a few settings."),
        Command("LOLWUT", lolwut, -1, "readonly fast", "Says what this is."),
        Command("COMMAND", listed.command, -1, "", "Describes the commands."),
    )
    listed.fill((*others, *ours))
    return ours
