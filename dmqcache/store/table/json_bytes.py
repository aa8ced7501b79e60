"""JSON whose strings are bytes: what Kamailio writes is not always UTF-8, and must survive exactly.

Kamailio escapes ``"``, ``\\``, control characters and nothing else; every byte above 127 stands raw. Inside
dmqcache such a text is a str with surrogateescape. msgspec reads and writes UTF-8 only, so for anything else
a body is first rewritten so that each raw byte is one character of Latin-1, which is undone in the strings
that were read. Knows nothing of fields or messages.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from dmqcache.store.table.text_size import apart

_encoder = msgspec.json.Encoder()

#: Escaped characters above 127 that are rewritten in one body, which takes 4 ms. Kamailio escapes none of
#: them.
MAX_ESCAPES: Final = 8_000
#: A surrogate pair, or one character above 127.
_ESCAPE: Final = re.compile(
    rb"\\u(?:([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|((?!00[0-7])[0-9a-fA-F]{4}))"
)


class DuplicateKey(ValueError):
    """An object names one key twice."""


class TooManyEscapes(ValueError):
    """A body has raw bytes, and more escaped characters than are rewritten."""


def quote(text: str) -> bytes:
    """``text`` as a JSON string in Kamailio's manner: its bytes raw, quotes and control characters escaped.

    Raises UnicodeEncodeError for a text that stands for no bytes (a surrogate that is not surrogateescape's).
    """
    try:
        return _encoder.encode(apart(text))
    except UnicodeEncodeError:
        latin = text.encode("utf-8", "surrogateescape").decode("latin-1")
        return _encoder.encode(latin).decode("utf-8").encode("latin-1")


def to_latin(body: bytes) -> bytes:
    """Rewrite JSON with raw bytes as UTF-8 JSON whose strings hold one Latin-1 character for each byte.

    Escaped characters above 127 become their UTF-8 bytes first, so that both kinds end alike. Escaped lone
    surrogates stay for the parser to refuse. TooManyEscapes for more than :data:`MAX_ESCAPES` of them.
    """
    # A NUL stands in no JSON; here for an escaped backslash, so that each one left escapes what follows.
    if b"\\u" in body and b"\0" not in body:
        body, count = _ESCAPE.subn(_raw_bytes, body.replace(b"\\\\", b"\0"), MAX_ESCAPES + 1)
        if count > MAX_ESCAPES:
            raise TooManyEscapes(f"more than {MAX_ESCAPES}")
        body = body.replace(b"\0", b"\\\\")
    return body.decode("latin-1").encode("utf-8")


def from_latin(text: str) -> str:
    """The text that a string of :func:`to_latin` stands for."""
    if text.isascii():
        return text
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def refuse_duplicates(body: bytes) -> None:
    """Raise DuplicateKey if any object in valid JSON names a key twice, RecursionError if it is too deep.

    Costs about 5 ns a byte: callers look first whether there can be any.
    """
    json.loads(
        body.decode("utf-8", "surrogateescape"),
        object_pairs_hook=_unique,
        parse_int=_ignored,  # int() refuses 5,000 digits, and what is read here is thrown away
        parse_float=_ignored,
    )


def _raw_bytes(found: re.Match[bytes]) -> bytes:
    high, low, single = found.groups()
    if high is not None:
        point = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
        return chr(point).encode()
    point = int(single, 16)
    if 0xD800 <= point <= 0xDFFF:
        return found[0]
    return chr(point).encode()


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise DuplicateKey("a key is there twice")


def _ignored(_text: str) -> None:
    return None
