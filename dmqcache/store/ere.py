"""POSIX extended regular expressions, as Kamailio takes them, rewritten for RE2.

Kamailio compiles with ``REG_EXTENDED | REG_ICASE | REG_NEWLINE`` in the C locale: bytes, ASCII case only,
``.`` and ``[^x]`` stop at a newline, a backslash in brackets is a backslash. RE2 reads each of these
otherwise, so an expression is read here token by token and written anew. Perl's classes outside of brackets
(``\\d \\w \\s``) and ``\\b`` work as well, but then the expression is not *portable*. Back-references do
not work: RE2 is linear because it has none. Owns nothing about limits or matching: see ``patterns.py``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NEWLINE = frozenset(b"\n")
_ANY = frozenset(range(256))
_DIGIT = frozenset(b"0123456789")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALPHA = _LOWER | _UPPER
_WORD = _ALPHA | _DIGIT | frozenset(b"_")
_SPACE = frozenset(b" \t\n\v\f\r")
_GRAPH = frozenset(range(0x21, 0x7F))
#: POSIX character classes in the C locale (IEEE 1003.1, section 7.3.1).
_CLASSES = {
    b"alpha": _ALPHA,
    b"digit": _DIGIT,
    b"alnum": _ALPHA | _DIGIT,
    b"lower": _LOWER,
    b"upper": _UPPER,
    b"space": _SPACE,
    b"blank": frozenset(b" \t"),
    b"punct": _GRAPH - _ALPHA - _DIGIT,
    b"print": _GRAPH | frozenset(b" "),
    b"graph": _GRAPH,
    b"cntrl": frozenset(range(0x20)) | {0x7F},
    b"xdigit": _DIGIT | frozenset(b"abcdefABCDEF"),
}
#: What POSIX lets a backslash take the meaning from (IEEE 1003.1, section 9.4.3).
_SPECIAL = frozenset(b"^.[$()|*+?{\\")
_PERL = {ord("d"): _DIGIT, ord("w"): _WORD, ord("s"): _SPACE}
_CONTROL = {ord("n"): 0x0A, ord("r"): 0x0D, ord("t"): 0x09}
#: ``{n}``, ``{n,}``, ``{n,m}`` and glibc's ``{,m}``.
_INTERVAL = re.compile(rb"\{(?:([0-9]{1,4})(?:(,)([0-9]{1,4})?)?|,([0-9]{1,4}))\}")
#: RE_DUP_MAX that every POSIX system has.
_PORTABLE_REPETITIONS = 255
#: RE2's limit, for all nested repetitions together.
_MAX_REPETITIONS = 1000


class PatternError(ValueError):
    """A pattern that cannot be used; the text says why."""


class Translation(NamedTuple):
    """An expression for RE2 in Latin-1 mode, and whether every POSIX system reads the original alike."""

    re2: bytes
    portable: bool


def translate(pattern: bytes) -> Translation:
    """Rewrite a POSIX extended regular expression. Raises PatternError."""
    return _Translator(pattern).run()


class _Translator:
    """One pass over one expression."""

    def __init__(self, pattern: bytes) -> None:
        self.pattern = pattern
        self.at = 0
        self.out: list[bytes] = []
        self.portable = True
        #: Where in ``out`` each open group began.
        self.groups: list[int] = []
        #: Where in ``out`` the last thing that can be repeated began, or None.
        self.atom: int | None = None
        self.repeated = False
        #: True where a branch has nothing in it yet.
        self.empty = True

    def run(self) -> Translation:
        while self.at < len(self.pattern):
            self._token(self.pattern[self.at])
        if self.groups:
            raise PatternError("a '(' is not closed")
        self._end_branch()
        # (?m): ^ and $ at every line, as REG_NEWLINE has it.
        return Translation(b"(?m)" + b"".join(self.out), self.portable)

    def _token(self, byte: int) -> None:
        char = bytes((byte,))
        if char in b"*+?":
            self.at += 1
            self._repeat(char)
        elif char == b"{":
            self._interval()
        elif char == b"[":
            self._put(_byte_set(self._bracket()))
        elif char == b"\\":
            self._escape()
        else:
            self.at += 1
            self._plain(char)

    def _plain(self, char: bytes) -> None:
        if char == b"(":
            self.groups.append(len(self.out))
            self.out.append(b"(?:")
            self._begin_branch()
        elif char == b")":
            self._close()
        elif char == b"|":
            self._end_branch()
            self.out.append(b"|")
            self._begin_branch()
        elif char in b"^$":
            self._put(char, repeatable=False)
        elif char == b".":
            self._put(b"[^\\n]")
        else:
            self.portable &= 0 < char[0] < 0x80
            self._put(_byte_set(_fold(frozenset(char))))

    def _put(self, piece: bytes, *, repeatable: bool = True) -> None:
        self.atom = len(self.out) if repeatable else None
        self.repeated = self.empty = False
        self.out.append(piece)

    def _begin_branch(self) -> None:
        self.empty, self.atom, self.repeated = True, None, False

    def _end_branch(self) -> None:
        self.portable &= not self.empty  # POSIX leaves an empty branch undefined

    def _close(self) -> None:
        if not self.groups:
            raise PatternError("a ')' has no '('; write \\) for the character")
        self._end_branch()
        self.out.append(b")")
        self.atom, self.repeated, self.empty = self.groups.pop(), False, False

    def _repeat(self, how: bytes) -> None:
        if self.atom is None:
            raise PatternError(f"nothing to repeat before {how.decode('latin-1')!r}")
        if (
            self.repeated
        ):  # POSIX leaves it undefined, glibc repeats what was repeated; RE2 would read "not greedy"
            self.portable = False
            self.out[self.atom :] = [b"(?:" + b"".join(self.out[self.atom :]) + b")"]
        self.out.append(how)
        self.repeated = True

    def _interval(self) -> None:
        found = _INTERVAL.match(self.pattern, self.at)
        if found is None:
            raise PatternError("a '{' is not followed by n}, n,} or n,m}; write \\{ for the character")
        low, comma, high, only_high = found.groups()
        self.portable &= only_high is None
        least = int(low or 0)
        most = int(high or only_high or 0) if high or only_high else least
        if most < least:
            raise PatternError(f"{found[0].decode('latin-1')!r} ends before it begins")
        if most > _MAX_REPETITIONS:
            raise PatternError(
                f"{found[0].decode('latin-1')!r}: at most {_MAX_REPETITIONS} repetitions are taken"
            )
        self.portable &= most <= _PORTABLE_REPETITIONS
        open_end = comma is not None and high is None
        self.at = found.end()
        self._repeat(b"{%d,}" % least if open_end else b"{%d,%d}" % (least, most))

    def _escape(self) -> None:
        if self.at + 1 == len(self.pattern):
            raise PatternError("the pattern ends with a single backslash")
        byte = self.pattern[self.at + 1]
        char = bytes((byte,))
        self.at += 2
        self.portable &= byte in _SPECIAL
        if byte in _DIGIT:
            raise PatternError(
                f"\\{char.decode()}: back-references are not available, matching is linear in time"
            )
        if char in b"<>`'" or byte not in _GRAPH:
            raise PatternError(f"\\{char.decode('latin-1')} is not available; use \\b, ^ or $")
        if char in b"bB":
            self._put(b"(?-i:\\" + char + b")", repeatable=False)
        elif byte in _CONTROL:
            self._put(_byte_set(frozenset((_CONTROL[byte],))))
        elif byte | 0x20 in _PERL and byte in _ALPHA:
            chosen = _PERL[byte | 0x20]
            self._put(_byte_set(chosen if byte in _LOWER else _ANY - chosen - _NEWLINE))
        elif byte in _ALPHA:
            raise PatternError(
                f"\\{char.decode()} is not known; valid are \\d \\w \\s \\b \\n \\r \\t and their opposites"
            )
        else:
            self._put(_byte_set(frozenset(char)))

    def _bracket(self) -> frozenset[int]:
        """``[...]`` as the bytes that it takes."""
        self.at += 1
        negated = self.pattern[self.at : self.at + 1] == b"^"
        self.at += negated
        start = self.at
        chosen: set[int] = set()
        while self.at == start or self.pattern[self.at : self.at + 1] != b"]":
            chosen |= self._bracket_item()
        self.at += 1
        folded = _fold(frozenset(chosen))
        return _ANY - folded - _NEWLINE if negated else folded

    def _bracket_item(self) -> frozenset[int]:
        opening = self.pattern[self.at : self.at + 2]
        if opening == b"[:":
            end = self.pattern.find(b":]", self.at + 2)
            name = self.pattern[self.at + 2 : end] if end >= 0 else b""
            if name not in _CLASSES:
                raise PatternError(f"unknown class in brackets; valid are {_class_names()}")
            self.at = end + 2
            return _CLASSES[name]
        if opening in (b"[.", b"[="):
            raise PatternError(f"{opening.decode()} in brackets (collating elements) is not available")
        first = self._bracket_byte()
        after = self.pattern[self.at : self.at + 2]
        if after[:1] != b"-" or after in (b"-]", b"-"):
            return frozenset((first,))
        self.at += 1
        last = self._bracket_byte()
        if last < first:
            raise PatternError("a range in brackets ends before it begins")
        # Which letters lie between others is the locale's business, but for these three.
        self.portable &= any({first, last} <= kind for kind in (_DIGIT, _LOWER, _UPPER))
        return frozenset(range(first, last + 1))

    def _bracket_byte(self) -> int:
        if self.at >= len(self.pattern):
            raise PatternError("a '[' is not closed")
        byte = self.pattern[self.at]
        self.portable &= 0 < byte < 0x80
        self.at += 1
        return byte


def _class_names() -> str:
    return " ".join(f"[:{name.decode()}:]" for name in sorted(_CLASSES))


def _fold(chosen: frozenset[int]) -> frozenset[int]:
    """Add the other case of each ASCII letter."""
    return chosen | {byte ^ 0x20 for byte in chosen if byte in _ALPHA}


def _byte_set(chosen: frozenset[int]) -> bytes:
    """A set of bytes in RE2's notation."""
    if not chosen:
        return b"[^\\x00-\\xff]"
    ranges: list[list[int]] = []
    for byte in sorted(chosen):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    if len(chosen) == 1:
        return b"\\x%02x" % ranges[0][0]
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % (low, high) for low, high in ranges) + b"]"
