"""A command typed as a line (telnet, nc): its words, with quotes and escapes as Redis reads them."""

from __future__ import annotations

import re
from typing import Final

#: One word, Redis' sdssplitargs: quotes may stand within it.
_WORD: Final = re.compile(rb"""(?:[^\s"'\0]|"(?:[^"\\]|\\.)*"(?=\s|\Z)|'(?:[^'\\]|\\.)*'(?=\s|\Z))+""", re.S)
_PART: Final = re.compile(rb""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^"']+)""", re.S)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


class ProtocolError(Exception):
    """Bytes that are no command. The connection cannot go on; the text is Redis'."""


def split_line(line: bytes) -> list[str]:
    """The words of a line; quotes and, in double quotes, escapes are Redis'."""
    words: list[str] = []
    line = line.strip()
    position = 0
    while position < len(line):
        match = _WORD.match(line, position)
        if match is None:
            raise ProtocolError("unbalanced quotes in request")
        word = b"".join(map(_unquote, _PART.finditer(match.group())))
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
