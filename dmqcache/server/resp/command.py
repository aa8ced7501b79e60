"""What a command is, and how the commands read their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dmqcache.server.resp.reply import CommandError, not_an_integer, simple, syntax_error
from dmqcache.server.resp.session import Answer, Session

#: Redis' integers.
MIN_INTEGER: Final = -(1 << 63)
MAX_INTEGER: Final = (1 << 63) - 1

Handler = Callable[[Session, list[str]], Answer]


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the command table.

    ``arity`` counts the name: 2 is the name and one argument, -2 the name and at least one; of a subcommand
    (``CLIENT|ID``) it counts both words. ``keys`` is (first, last, step) as in Redis' COMMAND. ``immediate``:
    runs at once even after MULTI.
    """

    name: str
    handler: Handler
    arity: int
    flags: str
    summary: str
    keys: tuple[int, int, int] = (0, 0, 0)
    immediate: bool = False
    #: By their names in upper case. A command that has some is one of them as soon as a word follows.
    subcommands: Mapping[str, Command] = field(default_factory=dict)
    group: str = "generic"

    def takes(self, words: int) -> bool:
        """Whether it may have so many words, its name among them."""
        return words == self.arity if self.arity > 0 else words >= -self.arity


def container(
    name: str, summary: str, subcommands: Iterable[Command], alone: Handler | None = None
) -> Command:
    """A command that consists of subcommands; HELP, which lists them, is added. ``alone``: what it does
    without any."""
    listed = tuple(subcommands)

    def show(session: Session, args: list[str]) -> bytes:
        lines = [f"{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
        for one in listed:
            lines += [one.name.partition("|")[2], f"    {one.summary}"]
        return b"*%d\r\n" % len(lines) + b"".join(map(simple, lines))

    described = Command(f"{name}|HELP", show, 2, "", "Lists the subcommands.")
    by_name = {one.name.partition("|")[2]: one for one in (*listed, described)}
    return Command(name, alone or show, -1 if alone else -2, "", summary, subcommands=by_name)


#: (first, last, step) of commands with one key, and with nothing but keys.
ONE_KEY = (1, 1, 1)
ALL_KEYS = (1, -1, 1)


def parse_integer(text: str, what: str = "value") -> int:
    """A 64-bit integer as Redis reads one: no spaces, no plus sign, no leading zeros."""
    try:
        number = int(text)
    except ValueError:
        raise not_an_integer(what) from None
    if str(number) != text or not MIN_INTEGER <= number <= MAX_INTEGER:
        raise not_an_integer(what)
    return number


class Options:
    """Walks the optional words at a command's end."""

    def __init__(self, args: list[str], start: int) -> None:
        self._args = args
        self._position = start

    def __iter__(self) -> Options:
        return self

    def __next__(self) -> str:
        """The next word in upper case."""
        if self._position >= len(self._args):
            raise StopIteration
        self._position += 1
        return self.word.upper()

    @property
    def word(self) -> str:
        """The last word as it was written."""
        return self._args[self._position - 1]

    def has_more(self, count: int = 1) -> bool:
        """Whether so many words follow the last one."""
        return self._position + count <= len(self._args)

    def value(self) -> str:
        """What belongs to the last word. A syntax error if nothing follows."""
        if self._position >= len(self._args):
            raise syntax_error()
        self._position += 1
        return self._args[self._position - 1]

    def integer(self) -> int:
        """As :meth:`value`, a number."""
        return parse_integer(self.value())


def seconds_from_now(text: str, unit: str, wall: float, command: str) -> float:
    """How long from now a time to live or a point in time is. ``unit``: EX, PX, EXAT or PXAT. May be
    negative. Redis' error where the time does not fit into 64 bits of milliseconds."""
    number = parse_integer(text)
    milliseconds = number if unit in ("PX", "PXAT") else number * 1000
    since = 0 if unit in ("EXAT", "PXAT") else int(wall * 1000)
    if not MIN_INTEGER <= milliseconds <= MAX_INTEGER - since:
        raise CommandError(f"ERR invalid expire time in '{command.lower()}' command")
    seconds = milliseconds / 1000
    return seconds if since else seconds - wall
