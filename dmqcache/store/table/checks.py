"""What a table takes: which keys and values are none, and the one text that stands for some bytes.

Owns these limits and their words; ValueError says which one it is. What is written, with which version and
for how long, is ``table.py``'s; the keys of other nodes are looked at in ``merge.py``.
"""

from __future__ import annotations

from typing import Final

from dmqcache.store.table.cell import Value
from dmqcache.store.table.counts import fits
from dmqcache.store.table.json_bytes import quote

#: Characters; Kamailio's keys are far shorter, and a key is repeated in every message.
MAX_KEY_LENGTH: Final = 4096


def checked_key(key: str) -> str:
    """The key as a plain ``str``."""
    if not isinstance(key, str) or not key:
        raise ValueError("a key is a text of at least one character")
    if len(key) > MAX_KEY_LENGTH:
        raise ValueError(f"a key has at most {MAX_KEY_LENGTH} characters, this one has {len(key)}")
    if canonical(key) != key:
        raise ValueError("a key's characters are UTF-8, and other bytes as surrogateescape leaves them")
    return canonical(key)


def checked_value(value: Value | bytes, most: int) -> Value:
    """The value as a plain ``str`` or ``int``; ``most``: bytes of a text as JSON."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"a value is a text, bytes or an integer, not {type(value).__name__}")
    if isinstance(value, int):
        if not fits(value):
            raise ValueError("an integer has at most 64 bits; store a larger one as text")
        return int(value)
    value = canonical(value)
    if 6 * len(value) > most and (size := len(quote(value))) > most:
        raise ValueError(f"a value takes at most {most} bytes in a message, this {size}")
    return value


def as_integer(value: Value | None) -> int:
    """The integer that a value is or reads as, as Redis reads one."""
    if isinstance(value, int):
        return value
    text = value or ""
    digits = text[1:] if text[:1] == "-" else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19 or not fits(int(text)):
        raise ValueError("value is not an integer or out of range")
    return int(text)


def canonical(text: str) -> str:
    """The one ``str`` for the bytes that a text stands for. Texts put together from parts may spell a
    character as bytes; two nodes would take one for two. ValueError for a surrogate that is no byte."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("a text holds a surrogate that stands for no byte") from None
