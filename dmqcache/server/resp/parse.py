"""Bytes of a client to commands: lists of ``str`` (``surrogateescape``).

hiredis reads the bulk of a pipeline in C. What it does not do is done here: Redis' limits, its words for
what is wrong, and commands typed as a line. Only whole commands are given to hiredis: all that stands
before the last ``\\r\\n*`` of what has arrived. The rest, in most cases one command, is read by
:func:`_read_array`; so is everything whenever hiredis is not content.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Any, Final

import hiredis

#: Redis' own limits (networking.c): arguments of a command, a line, and a bulk string (its default).
MAX_ARGUMENTS: Final = 1024 * 1024
MAX_LINE_BYTES: Final = 64 * 1024
MAX_BULK_BYTES: Final = 512 * 1024 * 1024
#: The longest line that announces a length: a sign and nineteen digits are enough for any.
MAX_LENGTH_LINE: Final = 32
#: Digits of a length.
MAX_DIGITS: Final = 19
#: The least that an argument which is still to come takes: ``$0\r\n\r\n``.
LEAST_ARGUMENT_BYTES: Final = 6

Command = list[str]

_NUMBER = re.compile(rb"-[0-9]{1,19}\Z")
_INCOMPLETE: Final = object()
#: One argument of a command typed as a line, Redis' sdssplitargs: quotes may stand within a word.
_LINE_WORD = re.compile(rb"""(?:[^\s"'\0]|"(?:[^"\\]|\\.)*"(?=\s|\Z)|'(?:[^'\\]|\\.)*'(?=\s|\Z))+""", re.S)
_LINE_PART = re.compile(rb""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^"']+)""", re.S)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


class ProtocolError(Exception):
    """Bytes that are no command. The connection cannot go on; the text is Redis'."""


class _Incomplete(Exception):
    """The command's end has not arrived. ``need``: at least so many bytes will be its length."""

    def __init__(self, need: int) -> None:
        self.need = need


class RequestParser:
    """Holds what has arrived of a command that is not complete."""

    def __init__(self, max_bulk_bytes: int = MAX_BULK_BYTES) -> None:
        self._max_bulk = max_bulk_bytes
        self._pending = bytearray()
        self._need = 0
        self._reader = _new_reader()
        #: What was wrong, once. The commands before it are still to be done.
        self.failed: ProtocolError | None = None

    @property
    def pending(self) -> int:
        """Bytes held of an incomplete command."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Command]:
        """The commands that are complete now. Look at :attr:`failed` afterwards."""
        if self._pending:
            self._pending += data
            if len(self._pending) < self._need:
                return []
            data = bytes(self._pending)
            self._pending.clear()
        commands, rest = self._read_whole(data)
        try:
            self._read_rest(data, rest, commands)
        except ProtocolError as problem:
            self.failed = problem
        return commands

    def _read_whole(self, data: bytes) -> tuple[list[Command], int]:
        """By hiredis: the commands before the last one, and where that begins."""
        end = data.rfind(b"\r\n*") + 2
        if end < 3 or data[0] != 0x2A:
            return [], 0
        reader = self._reader
        reader.feed(data, 0, end)
        commands: list[Any] = []
        try:
            command = reader.gets()
            while command.__class__ is list:
                commands.append(command)
                command = reader.gets()
            # A client that sends integers or nested arrays in place of strings is refused further down.
            plain = not commands or set(map(type, chain.from_iterable(commands))) == {str}
            if command is _INCOMPLETE and plain and not reader.has_data():
                return commands, end
        except (hiredis.HiredisError, MemoryError, UnicodeError):
            pass
        # A value holds what looks like a command, or something is wrong: read it all with care.
        self._reader = _new_reader()
        return [], 0

    def _read_rest(self, data: bytes, position: int, commands: list[Command]) -> None:
        size = len(data)
        while position < size:
            try:
                if data[position] == 0x2A:
                    command, position = _read_array(data, position, self._max_bulk)
                else:
                    command, position = _read_line(data, position)
            except _Incomplete as incomplete:
                self._pending += data[position:]
                self._need = incomplete.need
                return
            if command:
                commands.append(command)


def _new_reader() -> Any:
    return hiredis.Reader(
        encoding="utf-8",
        errors="surrogateescape",
        notEnoughData=_INCOMPLETE,
        protocolError=hiredis.ProtocolError,
    )


def _read_array(data: bytes, start: int, max_bulk: int) -> tuple[Command, int]:
    """A command as an array of bulk strings, from ``start``, and where it ends."""
    count, position = _read_length(data, start, start, "multibulk")
    if count > MAX_ARGUMENTS:
        raise ProtocolError("invalid multibulk length")
    command: Command = []
    for done in range(count):
        left = (count - done) * LEAST_ARGUMENT_BYTES
        if position >= len(data):
            raise _Incomplete(position - start + left)
        if data[position] != 0x24:
            raise ProtocolError(f"expected '$', got '{chr(data[position])}'")
        length, position = _read_length(data, position, start, "bulk")
        if not 0 <= length <= max_bulk:
            raise ProtocolError("invalid bulk length")
        end = position + length
        if end + 2 > len(data):
            raise _Incomplete(end + 2 - start + left - LEAST_ARGUMENT_BYTES)
        command.append(data[position:end].decode("utf-8", "surrogateescape"))
        position = end + 2
    return command, position


def _read_length(data: bytes, position: int, start: int, what: str) -> tuple[int, int]:
    """The number after the type byte at ``position``, and where its line ends."""
    end = data.find(b"\r\n", position, position + MAX_LENGTH_LINE)
    if end < 0:
        if len(data) - position >= MAX_LENGTH_LINE:
            raise ProtocolError(
                "too big mbulk count string" if what == "multibulk" else "too big bulk count string"
            )
        raise _Incomplete(len(data) - start + 1)
    digits = data[position + 1 : end]
    # Nearly always plain digits; a sign, and nonsense, take the expression.
    if not (len(digits) <= MAX_DIGITS and digits.isdigit()) and not _NUMBER.match(digits):
        raise ProtocolError(f"invalid {what} length")
    return int(digits), end + 2


def _read_line(data: bytes, start: int) -> tuple[Command, int]:
    """A command typed as a line (telnet, nc), from ``start``, and where it ends."""
    end = data.find(b"\n", start, start + MAX_LINE_BYTES)
    if end < 0:
        if len(data) - start >= MAX_LINE_BYTES:
            raise ProtocolError("too big inline request")
        raise _Incomplete(len(data) - start + 1)
    return split_line(data[start:end]), end + 1


def split_line(line: bytes) -> Command:
    """The words of a line; quotes and, in double quotes, escapes are Redis'."""
    words: Command = []
    line = line.strip()
    position = 0
    while position < len(line):
        match = _LINE_WORD.match(line, position)
        if match is None:
            raise ProtocolError("unbalanced quotes in request")
        word = b"".join(map(_unquote, _LINE_PART.finditer(match.group())))
        words.append(word.decode("utf-8", "surrogateescape"))
        position = match.end()
        while position < len(line) and line[position : position + 1].isspace():
            position += 1
    return words


def _unquote(part: re.Match[bytes]) -> bytes:
    double, single, plain = part.groups()
    if double is not None:
        return _ESCAPE.sub(_unescape, double)
    if single is not None:
        return bytes(single).replace(b"\\'", b"'")
    return bytes(plain)


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if len(code) == 3:
        return bytes([int(code[1:], 16)])
    return _ESCAPED.get(code, code)
