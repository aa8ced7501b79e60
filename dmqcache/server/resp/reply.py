"""Replies in the Redis protocol, RESP2 and RESP3: values to bytes. Reading requests is ``parse.py``'s.

RESP3 has types of its own for what RESP2 writes with arrays and bulk strings: maps, null, booleans, doubles.
Errors are made here too, with Redis' own words, because clients compare them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OK = b"+OK\r\n"
PONG = b"+PONG\r\n"
QUEUED = b"+QUEUED\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
NULL_2 = b"$-1\r\n"
NULL_3 = b"_\r\n"
#: In RESP2, where an array was asked for.
NULL_ARRAY = b"*-1\r\n"


class CommandError(Exception):
    """A command that cannot be done. The text is the reply, with its code: ``ERR no such key``."""


class Rejected(CommandError):
    """A command that is not even begun: unknown, or with too few words. It spoils a transaction."""


def syntax_error() -> CommandError:
    """What Redis says to an option that it does not know."""
    return CommandError("ERR syntax error")


def not_an_integer(what: str = "value") -> CommandError:
    """What Redis says to a number that is none, or needs more than 64 bits."""
    return CommandError(f"ERR {what} is not an integer or out of range")


def wrong_arity(command: str) -> CommandError:
    """What Redis says to too few or too many arguments. ``command`` as ``get`` or ``client|setname``."""
    return Rejected(f"ERR wrong number of arguments for '{command.lower()}' command")


def to_bytes(text: str) -> bytes:
    """The bytes that a key, a value or an argument stands for."""
    return text.encode("utf-8", "surrogateescape")


def bulk(value: str | int) -> bytes:
    """A bulk string. Integers are read as decimal text."""
    data = value.encode("utf-8", "surrogateescape") if value.__class__ is str else b"%d" % value  # type: ignore
    return b"$%d\r\n%b\r\n" % (len(data), data)


def integer(number: int) -> bytes:
    """An integer."""
    return b":%d\r\n" % number


def simple(text: str) -> bytes:
    """A simple string: a short word without line ends."""
    return b"+%b\r\n" % text.encode()


def error(text: str) -> bytes:
    """An error. A line end in it would fake another reply."""
    return b"-%b\r\n" % to_bytes(text.replace("\r", " ").replace("\n", " "))


def null(resp3: bool) -> bytes:
    """Nothing there."""
    return NULL_3 if resp3 else NULL_2


def verbatim(text: str, resp3: bool) -> bytes:
    """A long text for people: RESP3 has a type for it."""
    if not resp3:
        return bulk(text)
    data = to_bytes(text)
    return b"=%d\r\ntxt:%b\r\n" % (len(data) + 4, data)


def bulks(values: Sequence[str | int]) -> bytes:
    """An array of bulk strings."""
    return b"*%d\r\n%b" % (len(values), b"".join(map(bulk, values)))


def encode(value: Any, resp3: bool) -> bytes:
    """Any reply: None, bool, int, float, str, and lists and mappings of them. Bytes stand for themselves:
    they are a reply already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return bulk(value)
    if value is None:
        return null(resp3)
    if isinstance(value, bool):
        return (b"#t\r\n" if value else b"#f\r\n") if resp3 else (ONE if value else ZERO)
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return b",%b\r\n" % repr(value).encode() if resp3 else bulk(repr(value))
    if isinstance(value, Mapping):
        body = b"".join(encode(part, resp3) for pair in value.items() for part in pair)
        return (b"%%%d\r\n" if resp3 else b"*%d\r\n") % (len(value) * (1 if resp3 else 2)) + body
    return b"*%d\r\n" % len(value) + b"".join(encode(part, resp3) for part in value)
