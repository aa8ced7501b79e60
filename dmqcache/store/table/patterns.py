"""What cells a pattern picks: by regular expression, prefix, suffix or content, in linear time.

Patterns come from clients and from the wire, so no expression may hold the loop: regular expressions run in
google-re2, bounded in length and in program size. How Kamailio's dialect of them (POSIX extended) is read is
``ere.py``'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import re2

from dmqcache.store.table.ere import PatternError, translate

__all__ = ["MAX_PATTERN_BYTES", "MatchKind", "MatchOn", "PatternError", "compile_pattern"]

#: A pattern longer than this is refused. Those of scripts are some dozen bytes; compiling 1,024 takes far
#: below a millisecond. Prefixes, suffixes and parts have the same limit.
MAX_PATTERN_BYTES = 1024
#: RE2's compiled instructions. When its automaton finds no room it walks all of them for each byte: 8 ns
#: each as measured, so at most 0.25 s for a value of 60,000 bytes, and microseconds for a name.
MAX_PROGRAM_SIZE = 500
#: Bytes for one expression, its automaton included (RE2's default), freed with the matcher.
MAX_MEMORY_BYTES = 8 << 20

#: Says whether a text is picked.
Matcher = Callable[[str], bool]


class MatchKind(StrEnum):
    """How a pattern is compared."""

    #: POSIX extended, found anywhere, ASCII case does not matter, ``^`` and ``$`` at every line (``re``).
    REGEX = "regex"
    #: Byte for byte, minding case (Kamailio's ``sw`` of ``sht_rm``).
    PREFIX = "prefix"
    #: As prefix, at the end (``ew``).
    SUFFIX = "suffix"
    #: As prefix, anywhere (``in``).
    CONTAINS = "contains"


class MatchOn(StrEnum):
    """What is compared. Integers are never matched by value, as in Kamailio."""

    NAME = "name"
    VALUE = "value"


def compile_pattern(kind: MatchKind, pattern: str, *, strict: bool = False) -> Matcher:
    """A function that says whether a text is picked.

    ``strict`` refuses Perl's classes, which glibc, and so a Kamailio, reads as something else; without it
    they mean what they mean there. Texts and pattern may hold any bytes by surrogateescape; bytes are what
    is compared, as in Kamailio.
    Raises PatternError with what is wrong and where.
    """
    encoded = pattern.encode("utf-8", "surrogateescape")
    if len(encoded) > MAX_PATTERN_BYTES:
        raise PatternError(f"the pattern has {len(encoded)} bytes; at most {MAX_PATTERN_BYTES} are taken")
    if kind is MatchKind.REGEX:
        return _regex(encoded, strict)
    return _plain(kind, pattern, encoded)


def _regex(pattern: bytes, strict: bool) -> Matcher:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # one byte, one character: texts need not be UTF-8
    options.max_mem = MAX_MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(translate(pattern, strict=strict), options)
    except re2.error as error:
        # What translate lets through fails only by its size.
        raise PatternError(f"the pattern is too large: {_text(error)}") from None
    if compiled.programsize > MAX_PROGRAM_SIZE:
        raise PatternError("the pattern is too large: use fewer or smaller repetitions")
    search = compiled.search

    def matches(text: str) -> bool:
        return search(text.encode("utf-8", "surrogateescape")) is not None

    return matches


def _text(error: Exception) -> str:
    detail = error.args[0] if error.args else ""
    return detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)


def _plain(kind: MatchKind, pattern: str, encoded: bytes) -> Matcher:
    if _is_unicode(pattern):
        # UTF-8 synchronises itself: comparing whole characters is comparing bytes, and faster.
        return _plain_text(kind, pattern)
    return _plain_bytes(kind, encoded)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _plain_text(kind: MatchKind, pattern: str) -> Matcher:
    if kind is MatchKind.PREFIX:
        return lambda text: text.startswith(pattern)
    if kind is MatchKind.SUFFIX:
        return lambda text: text.endswith(pattern)
    return lambda text: pattern in text


def _plain_bytes(kind: MatchKind, pattern: bytes) -> Matcher:
    """For patterns that begin or end inside a character."""
    if kind is MatchKind.PREFIX:
        return lambda text: text.encode("utf-8", "surrogateescape").startswith(pattern)
    if kind is MatchKind.SUFFIX:
        return lambda text: text.encode("utf-8", "surrogateescape").endswith(pattern)
    return lambda text: pattern in text.encode("utf-8", "surrogateescape")
