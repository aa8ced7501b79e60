"""Redis' glob patterns (KEYS, SCAN MATCH, CONFIG GET): ``*``, ``?``, ``[abc]``, ``[^a-z]`` and ``\\``.

Patterns and keys are compared by their bytes, as Redis does: ``?`` is one byte.

Each ``*`` takes the shortest stretch that lets the next fixed piece match and never comes back to it
(an atomic group), so a hostile pattern costs at most pattern times text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dmqcache.server.resp.reply import to_bytes

#: Characters of a pattern, as many as a key has: compiling a longer one would hold the loop for seconds.
MAX_GLOB_LENGTH: Final = 4096


def literal_prefix(pattern: str) -> tuple[str, bool]:
    """What every match begins with, and whether the pattern is just that and a ``*``."""
    prefix: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\" and pattern[position + 1 : position + 2].isascii() and position + 1 < len(pattern):
            position += 1
            char = pattern[position]
        elif char in "\\*?[" or char > "\x7f":
            # Of a character that is not ASCII a pattern may hold a part.
            return "".join(prefix), pattern[position:].strip("*") == ""
        prefix.append(char)
        position += 1
    return "".join(prefix), False


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a text matches as a whole. ValueError if the pattern is too long."""
    if len(pattern) > MAX_GLOB_LENGTH:
        raise ValueError(f"a pattern has at most {MAX_GLOB_LENGTH} characters, this one has {len(pattern)}")
    prefix, is_all = literal_prefix(pattern)
    if is_all:  # For speed: as most rules of users are.
        return lambda text: text.startswith(prefix) and text != ""
    pattern = _bytewise(pattern)
    pieces = [""]
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        elif char == "[":
            group, position = _group(pattern, position)
            pieces[-1] += group
        else:
            if char == "\\" and position < len(pattern):
                char = pattern[position]
                position += 1
            pieces[-1] += re.escape(char)
    # As in Redis 7, no pattern but the empty one matches an empty text.
    expression = re.compile((r"(?!\Z)" if pattern else "") + _join(pieces), re.DOTALL)
    return lambda text: expression.fullmatch(_bytewise(text)) is not None


def _bytewise(text: str) -> str:
    """A character for each byte."""
    return text if text.isascii() else to_bytes(text).decode("latin-1")


def _join(pieces: list[str]) -> str:
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + ".*" + last


def _group(pattern: str, position: int) -> tuple[str, int]:
    """The class whose ``[`` stands before ``position``, and where it ends. Without a ``]`` it goes on to
    the pattern's end, as in Redis; an empty one matches nothing."""
    negated = pattern[position : position + 1] == "^"
    position += negated
    members: list[str] = []
    while position < len(pattern) and pattern[position] != "]":
        if pattern[position] == "\\" and position + 1 < len(pattern):
            position += 1
            members.append(re.escape(pattern[position]))
            position += 1
        elif pattern[position + 1 : position + 2] == "-" and position + 2 < len(pattern):
            low, high = sorted((pattern[position], pattern[position + 2]))
            members.append(f"{re.escape(low)}-{re.escape(high)}")
            position += 3
        else:
            members.append(re.escape(pattern[position]))
            position += 1
    if not members:
        return ("." if negated else r"(?!)"), position + 1
    return f"[{'^' if negated else ''}{''.join(members)}]", position + 1
