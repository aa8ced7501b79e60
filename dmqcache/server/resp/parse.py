"""Bytes of a client to commands: lists of ``str`` (``surrogateescape``), with Redis' words for what is wrong.

One reader with a memory: a command is not read anew with each piece of it, and nothing is reserved for what a
length only announces. A piece is cut at all its line ends at once, and the lengths must then agree
(:meth:`RequestParser._read_commands`); where they do not, because a value holds a line end or the piece ends
within a command, arguments are read one by one. Commands typed as a line are ``inline.py``'s.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from dmqcache.server.resp.inline import ProtocolError, split_line

#: Arguments of a command (as Redis up to 6.2; later ones take 2**31).
MAX_ARGUMENTS: Final = 1024 * 1024
#: A command typed as a line (Redis' PROTO_INLINE_MAX_SIZE), and a bulk string (Redis' default).
MAX_LINE_BYTES: Final = 64 * 1024
MAX_BULK_BYTES: Final = 512 * 1024 * 1024
#: The longest line that announces a length: a sign and nineteen digits are enough for any.
MAX_LENGTH_LINE: Final = 32
#: What Python needs beside an argument's bytes, about.
ARGUMENT_OVERHEAD_BYTES: Final = 64

Command = list[str]

#: Arguments of one command from which on they are cut at their line ends, too.
MANY: Final = 64

_STAR, _DOLLAR = b"*$"
#: A number as Redis reads it.
_NUMBER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")


class _Lengths(dict[str, int]):
    """``$5`` -> 5. -1 for what is no such line. The lengths that nearly all arguments have are kept."""

    def __missing__(self, line: str) -> int:
        digits = line[1:].encode("latin-1")
        return int(digits) if line[:1] == "$" and _NUMBER.fullmatch(digits) else -1


_LENGTHS: Final = _Lengths({f"${number}": number for number in range(1024)})
#: ``*2`` -> the lines of such an array: its first, and two for each argument.
_LINES: Final = {f"*{number}": 1 + 2 * number for number in range(1, MANY)}


class RequestParser:
    """Turns what arrives into commands, and remembers what has arrived of the one that is not complete."""

    def __init__(self, max_bulk_bytes: int = MAX_BULK_BYTES) -> None:
        self._most_arguments, self._max_bulk = MAX_ARGUMENTS, max_bulk_bytes
        #: Redis' word for a length beyond the limits.
        self._limits = "invalid"
        #: Bytes that wait for more, and how many there must be before it is worth looking.
        self._buffer = bytearray()
        self._need = 0
        #: The array under way: its arguments so far, how many are to come, and what those here take.
        self._arguments: Command = []
        self._missing = 0
        self._held = 0
        #: What was wrong, once. The commands before it are still to be done.
        self.failed: ProtocolError | None = None

    @property
    def pending(self) -> int:
        """Bytes held of an incomplete command."""
        return self._held + len(self._buffer)

    def feed(self, data: bytes) -> list[Command]:
        """The commands that are complete now. Look at :attr:`failed` afterwards."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._need:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        commands: list[Command] = []
        try:
            rest = self._read(data, commands)
        except ProtocolError as problem:
            self.failed = problem
        else:
            if rest < len(data):
                self._buffer += memoryview(data)[rest:]
        return commands

    def with_rest(self, data: bytes) -> bytes:
        """What has come, behind what was kept of before."""
        if not self._buffer:
            return data
        data = bytes(self._buffer) + data
        self._buffer.clear()
        return data

    def keep(self, data: bytes) -> None:
        """Keep what is not complete until more comes."""
        self._buffer += data
        self._need = 0

    def read_one(self, data: bytes, start: int, most: int, longest: int) -> tuple[Command | None, int]:
        """One command of a client that has not said who it is, with at most so many arguments of so many
        bytes, and where the rest begins. Look at :attr:`failed` if there is none."""
        usual = self._most_arguments, self._max_bulk
        self._most_arguments, self._max_bulk, self._limits = most, longest, "unauthenticated"
        found: list[Command] = []
        position = before = start
        try:
            while not found and position < len(data):
                before = position
                if self._missing:
                    position = self._read_arguments(data, position, found)
                elif data[position] == _STAR:
                    position = self._begin_array(data, position)
                else:
                    position = self._read_line(data, position, found)
                if position == before:
                    break
        except ProtocolError as problem:
            self.failed = problem
        finally:
            (self._most_arguments, self._max_bulk), self._limits = usual, "invalid"
        return (found[0] if found else None), position

    def _read(self, data: bytes, commands: list[Command]) -> int:
        """Read as far as it goes; returns where what must wait for more begins."""
        position, size, cut = 0, len(data), False
        while position < size:
            start = position
            if self._missing:
                position = self._read_arguments(data, position, commands)
            elif data[position] == _STAR:
                if not cut:
                    position, cut = self._read_commands(data, position, commands), True
                if position == start:
                    position = self._begin_array(data, position)
            else:
                position = self._read_line(data, position, commands)
            if position == start:
                break
        return position

    def _read_commands(self, data: bytes, start: int, commands: list[Command]) -> int:
        """The commands from ``start`` on that are whole and whose arguments hold no line end, up to the first
        that is not so; returns where that begins."""
        lines = _lines(data, start)
        found: list[Command] = []
        heads: list[str] = []
        at, last = 0, len(lines) - 1
        while (count := _LINES.get(lines[at])) is not None and (end := at + count) <= last:
            found.append(lines[at + 2 : end : 2])
            heads += lines[at + 1 : end : 2]
            at = end
        good = self._agreeing(heads, [*chain.from_iterable(found)])
        if good < len(heads):
            at = whole = 0
            while good >= len(found[whole]):
                good -= len(found[whole])
                at += 1 + 2 * len(found[whole])
                whole += 1
            del found[whole:]
        commands += found if data.isascii() else (_decoded(command) for command in found)
        return start + _size(lines, at)

    def _agreeing(self, heads: list[str], arguments: list[str]) -> int:
        """How many of the arguments have the length that stands before them."""
        told, sizes = [*map(_LENGTHS.__getitem__, heads)], [*map(len, arguments)]
        if told == sizes and max(sizes, default=0) <= self._max_bulk:
            return len(sizes)
        pairs = enumerate(zip(told, sizes, strict=True))
        return next((n for n, (a, b) in pairs if a != b or a > self._max_bulk), len(sizes))

    def _begin_array(self, data: bytes, position: int) -> int:
        """A command as an array of bulk strings: its first line."""
        count, position = self._read_length(data, position, "multibulk")
        if count is not None and count > 0:
            if count > self._most_arguments:
                raise ProtocolError(f"{self._limits} multibulk length")
            self._arguments, self._missing, self._held = [], count, 0
        return position

    def _read_arguments(self, data: bytes, position: int, commands: list[Command]) -> int:
        """The arguments of the array under way, as far as they are there."""
        if self._missing >= MANY:
            position = self._read_many(data, position)
        size, arguments = len(data), self._arguments
        while position < size:
            if data[position] != _DOLLAR:
                raise ProtocolError(f"expected '$', got '{chr(data[position])}'")
            length, begin = self._read_length(data, position, "bulk")
            if length is None:
                break
            if not 0 <= length <= self._max_bulk:
                raise ProtocolError(f"{'invalid' if length < 0 else self._limits} bulk length")
            end = begin + length
            if end + 2 > size:
                self._need = end + 2 - position
                break
            arguments.append(data[begin:end].decode("utf-8", "surrogateescape"))
            position = end + 2
            self._held += length + ARGUMENT_OVERHEAD_BYTES
            self._missing -= 1
            if not self._missing:
                commands.append(arguments)
                self._arguments, self._held = [], 0
                break
        return position

    def _read_many(self, data: bytes, start: int) -> int:
        """As :meth:`_read_commands`, within an array: all but its last arguments."""
        lines = _lines(data, start)
        count = min(self._missing - 1, (len(lines) - 1) // 2)
        arguments = lines[1 : 2 * count : 2]
        good = self._agreeing(lines[0 : 2 * count : 2], arguments)
        arguments = arguments[:good]
        self._arguments += arguments if data.isascii() else _decoded(arguments)
        size = _size(lines, 2 * good)
        self._held += size + good * ARGUMENT_OVERHEAD_BYTES
        self._missing -= good
        return start + size

    def _read_length(self, data: bytes, position: int, what: str) -> tuple[int | None, int]:
        """The number after the type byte at ``position`` and where its line ends; None where that is still
        to come."""
        end = data.find(b"\r\n", position, position + MAX_LENGTH_LINE)
        if end < 0:
            self._need = len(data) - position + 1
            if self._need > MAX_LENGTH_LINE:
                raise ProtocolError(f"too big {'mbulk' if what == 'multibulk' else what} count string")
            return None, position
        digits = data[position + 1 : end]
        if not _NUMBER.fullmatch(digits):
            raise ProtocolError(f"invalid {what} length")
        return int(digits), end + 2

    def _read_line(self, data: bytes, position: int, commands: list[Command]) -> int:
        """A command typed as a line (telnet, nc)."""
        end = data.find(b"\n", position, position + MAX_LINE_BYTES)
        if end < 0:
            self._need = len(data) - position + 1
            if self._need > MAX_LINE_BYTES:
                raise ProtocolError("too big inline request")
            return position
        if words := split_line(data[position:end]):
            commands.append(words)
        return end + 1


def _lines(data: bytes, start: int) -> list[str]:
    """Cut at the line ends; the last line is not complete. A character for each byte: lengths count bytes."""
    return data[start:].decode("latin-1").split("\r\n")


def _size(lines: list[str], count: int) -> int:
    """Bytes of the first ``count`` lines with their ends."""
    return sum(map(len, lines[:count])) + 2 * count


def _decoded(arguments: Command) -> Command:
    return [
        one if one.isascii() else one.encode("latin-1").decode("utf-8", "surrogateescape")
        for one in arguments
    ]
