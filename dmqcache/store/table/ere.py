"""POSIX extended regular expressions, as Kamailio takes them, rewritten for RE2.

Kamailio compiles with ``REG_EXTENDED | REG_ICASE | REG_NEWLINE`` in the C locale: bytes, ASCII case only,
``.`` and ``[^x]`` stop at a newline, a backslash in brackets is a backslash. RE2 reads each of these
otherwise, so an expression is read here token by token and written anew. What POSIX leaves open is as in
glibc: ``\\w \\W \\s \\S \\b \\B \\< \\>`` are there, ``\\``` and ``\\'`` are the text's ends, Perl's
``\\d`` is not known, and a ``)`` too many is a character. Back-references do not work: RE2 is linear because
it has none. Owns nothing about limits or matching: see ``patterns.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
#: glibc's classes, and its places in RE2's words.
_GNU_SETS = {b"w": _WORD, b"W": _ANY - _WORD, b"s": _SPACE, b"S": _ANY - _SPACE}
_GNU_PLACES = {b"b": b"\\b", b"B": b"\\B", b"`": b"\\A", b"'": b"\\z"}
#: ``{n}``, ``{n,}``, ``{n,m}`` and glibc's ``{,m}`` and ``{,}``.
_INTERVAL = re.compile(rb"\{(?=[0-9,])([0-9]{1,4})?(?:(,)([0-9]{1,4})?)?\}")
#: In the C locale a collating element is one byte, and nothing is equivalent to another.
_COLLATING = re.compile(rb"\[\.(.)\.\]", re.DOTALL)
#: RE2's limit, for all nested repetitions together.
_MAX_REPETITIONS = 1000


class PatternError(ValueError):
    """A pattern that cannot be used; the text says why."""


def translate(pattern: bytes, *, strict: bool = False) -> bytes:
    """Rewrite a POSIX extended regular expression for RE2 in Latin-1 mode. Raises PatternError.

    ``strict`` refuses a backslash before a letter that has no meaning there: somebody takes it for Perl's.
    Else it means what glibc makes of it: a capital is itself, and a small letter is never found.
    """
    return _Translator(pattern, strict).run()


@dataclass(slots=True)
class _Group:
    """A group that is open, or the whole expression."""

    #: Where in ``out`` it began.
    start: int = 0
    #: Whether it stands behind a ``\\<``, so that each branch must begin with a word's character.
    owed: bool = False
    #: Whether all its branches so far end with a word's character.
    ends: bool = True


class _Translator:
    """One pass over one expression.

    RE2 has no ``\\<`` and ``\\>``; beside a character that surely belongs to a word ``\\b`` is the same.
    """

    def __init__(self, pattern: bytes, strict: bool) -> None:
        self.pattern = pattern
        self.strict = strict
        self.at = 0
        self.out: list[bytes] = []
        #: The whole expression, and in it the groups that are open.
        self.groups = [_Group()]
        #: Where in ``out`` the last thing that can be repeated began, or None.
        self.atom: int | None = None
        self.repeated = False
        #: Whether a ``\\<`` waits for what follows it, and whether the last thing was what it waited for.
        self.owed = self.paid = False
        #: Whether what was read of this branch surely ends with a word's character.
        self.ends = False

    def run(self) -> bytes:
        while self.at < len(self.pattern):
            self._token(self.pattern[self.at])
        if len(self.groups) > 1:
            raise PatternError("a '(' is not closed")
        self._end_branch()
        # (?m): ^ and $ at every line, as REG_NEWLINE has it.
        return b"(?m)" + b"".join(self.out)

    def _token(self, byte: int) -> None:
        char = bytes((byte,))
        if char in b"*+?":
            self.at += 1
            self._repeat(char, int(char == b"+"))
        elif char == b"{":
            self._interval()
        elif char == b"[":
            self._put(self._bracket())
        elif char == b"\\":
            self._escape()
        else:
            self.at += 1
            self._plain(char)

    def _plain(self, char: bytes) -> None:
        if char == b"(":
            self.groups.append(_Group(len(self.out), self.owed))
            self.out.append(b"(?:")
            self._begin_branch()
        elif char == b")" and len(self.groups) > 1:
            self._close()
        elif char == b"|":
            self._end_branch()
            self.out.append(b"|")
            self._begin_branch()
        elif char in b"^$":
            self._place(char)
        elif char == b".":
            self._put(_ANY - _NEWLINE)
        else:
            self._put(_fold(frozenset(char)))

    def _put(self, chosen: frozenset[int]) -> None:
        """One byte out of some."""
        in_word = chosen <= _WORD
        if self.owed and not in_word:
            raise PatternError(r"\< is available only before what begins with a letter, a digit or _")
        self.atom = len(self.out)
        self.repeated = False
        self.owed, self.paid, self.ends = False, self.owed, in_word
        self.out.append(_byte_set(chosen))

    def _place(self, piece: bytes) -> None:
        """Something that takes no byte."""
        if self.owed:
            raise PatternError(r"\< is available only right before what it stands for")
        self.atom = None
        self.repeated = self.paid = self.ends = False
        self.out.append(piece)

    def _word_end(self) -> None:
        if not self.ends:
            raise PatternError(r"\> is available only after what ends with a letter, a digit or _")
        self._place(b"\\b")
        self.ends = True

    def _begin_branch(self) -> None:
        self.atom, self.repeated = None, False
        self.owed, self.paid, self.ends = self.groups[-1].owed, False, False

    def _end_branch(self) -> None:
        if self.owed:
            raise PatternError(r"\< is available only before a letter, a digit or _")
        self.groups[-1].ends &= self.ends

    def _close(self) -> None:
        self._end_branch()
        self.out.append(b")")
        group = self.groups.pop()
        self.atom, self.repeated = group.start, False
        self.owed, self.paid, self.ends = False, group.owed, group.ends

    def _repeat(self, how: bytes, least: int) -> None:
        if self.atom is None:
            raise PatternError(f"nothing to repeat before {how.decode('latin-1')!r}")
        if not least:
            if self.paid:
                raise PatternError(r"\< is available only before what cannot be left out")
            self.ends = False
        if (
            self.repeated
        ):  # POSIX leaves it undefined, glibc repeats what was repeated; RE2 would read "not greedy"
            self.out[self.atom :] = [b"(?:" + b"".join(self.out[self.atom :]) + b")"]
        self.out.append(how)
        self.repeated = True

    def _interval(self) -> None:
        found = _INTERVAL.match(self.pattern, self.at)
        if found is None:
            raise PatternError("a '{' is not followed by n}, n,} or n,m}; write \\{ for the character")
        low, comma, high = found.groups()
        least = int(low or 0)
        most = int(high) if high else least
        if most < least:
            raise PatternError(f"{found[0].decode('latin-1')!r} ends before it begins")
        if most > _MAX_REPETITIONS:
            raise PatternError(
                f"{found[0].decode('latin-1')!r}: at most {_MAX_REPETITIONS} repetitions are taken"
            )
        open_end = comma is not None and high is None
        self.at = found.end()
        self._repeat(b"{%d,}" % least if open_end else b"{%d,%d}" % (least, most), least)

    def _escape(self) -> None:
        if self.at + 1 == len(self.pattern):
            raise PatternError("the pattern ends with a single backslash")
        byte = self.pattern[self.at + 1]
        char = bytes((byte,))
        self.at += 2
        if byte in _DIGIT and byte != ord("0"):
            raise PatternError(
                f"\\{char.decode()}: back-references are not available, matching is linear in time"
            )
        if char in _GNU_SETS:
            self._put(_GNU_SETS[char])
        elif char in _GNU_PLACES:
            self._place(_GNU_PLACES[char])
        elif char == b"<":
            self._place(b"\\b")
            self.owed = True
        elif char == b">":
            self._word_end()
        elif self.strict and byte in _ALPHA:
            raise PatternError(
                f"\\{char.decode()} is not known; there are [0-9] or [[:digit:]] for a digit, "
                "and \\w \\W \\s \\S \\b \\B \\< \\>"
            )
        else:
            # glibc compares with the text in upper case, and leaves this character as it was written.
            self._put(frozenset() if byte in _LOWER else _fold(frozenset(char)))

    def _bracket(self) -> frozenset[int]:
        """``[...]`` as the bytes that it takes."""
        self.at += 1
        negated = self.pattern[self.at : self.at + 1] == b"^"
        self.at += negated
        start = self.at
        chosen: set[int] = set()
        while self.at == start or self.pattern[self.at : self.at + 1] != b"]":
            chosen |= self._bracket_item(self.at == start)
        self.at += 1
        taken = frozenset(byte for byte in _ANY if _upper(byte) in chosen)
        return _ANY - taken - _NEWLINE if negated else taken

    def _bracket_item(self, leading: bool) -> frozenset[int]:
        """One thing in brackets, letters in upper case: glibc compares in upper case, ranges too."""
        opening = self.pattern[self.at : self.at + 2]
        if opening == b"[:":
            end = self.pattern.find(b":]", self.at + 2)
            name = self.pattern[self.at + 2 : end] if end >= 0 else b""
            if name not in _CLASSES:
                raise PatternError(f"unknown class in brackets; valid are {_class_names()}")
            self.at = end + 2
            return frozenset(map(_upper, _CLASSES[name]))
        if opening[:1] == b"-" and opening not in (b"-]", b"-") and not leading:
            raise PatternError("a '-' in brackets is a range's, or the first or the last of all")
        first = self._bracket_byte()
        after = self.pattern[self.at : self.at + 2]
        if after[:1] != b"-" or after in (b"-]", b"-"):
            return frozenset((first,))
        self.at += 1
        last = self._bracket_byte()
        if last < first:
            raise PatternError("a range in brackets ends before it begins; letters count as capitals")
        return frozenset(range(first, last + 1))

    def _bracket_byte(self) -> int:
        """A byte, in upper case, that may be an end of a range; ``[.x.]`` is ``x``."""
        named = _COLLATING.match(self.pattern, self.at)
        if named is None and self.pattern[self.at : self.at + 2] in (b"[.", b"[=", b"[:"):
            raise PatternError("a class or collating element is not available there in brackets")
        if self.at >= len(self.pattern):
            raise PatternError("a '[' is not closed")
        byte = named[1][0] if named else self.pattern[self.at]
        self.at = named.end() if named else self.at + 1
        return _upper(byte)


def _class_names() -> str:
    return " ".join(f"[:{name.decode()}:]" for name in sorted(_CLASSES))


def _upper(byte: int) -> int:
    return byte ^ 0x20 if byte in _LOWER else byte


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
