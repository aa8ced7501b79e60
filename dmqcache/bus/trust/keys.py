"""The shared key of a bus: its text form in a file, and the ring of those that count now.

Reading the file and watching it is the shell's business; here is text in, keys out.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

#: What a line begins with, so that a key is known as one wherever it turns up.
PREFIX: Final = "dmqcache-key-1:"
#: Bytes of a key: what BLAKE2b's inner state makes use of against any search.
KEY_BYTES: Final = 32
#: Bytes of a signature: no search finds one.
MAC_BYTES: Final = 24
#: Keys at once: the one that signs, and those that still or already count while it is exchanged.
MAX_KEYS: Final = 4


class KeyFileError(ValueError):
    """A key file that is none; the text says which line and what to do, and never shows a key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its name says which it is without telling anything of it."""

    secret: bytes = field(repr=False)
    #: Eight hexadecimal digits that stand for this key in signatures, logs and metrics.
    name: str = field(init=False, compare=False)
    #: A MAC that has taken nothing but the key: each message begins with a copy, cheaper than making
    #: one.
    mac: hashlib.blake2b = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        name = hashlib.blake2b(self.secret, digest_size=4, person=b"dmqcache-name").hexdigest()
        object.__setattr__(self, "name", name)
        mac = hashlib.blake2b(key=self.secret, digest_size=MAC_BYTES, person=b"dmqcache-1")
        object.__setattr__(self, "mac", mac)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that count. The first signs."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        """The key with which this node signs."""
        return self.keys[0]

    @property
    def names(self) -> str:
        """The names of all keys, for people."""
        return ", ".join(key.name for key in self.keys)

    def find(self, name: str) -> Key | None:
        """The key of that name, if it counts."""
        for key in self.keys:
            if key.name == name:
                return key
        return None


def write_key(secret: bytes) -> str:
    """The line for a key of ``KEY_BYTES`` random bytes."""
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(secret)}")
    return PREFIX + base64.b64encode(secret).decode("ascii")


def read_keys(text: str) -> KeyRing:
    """The ring that a key file holds: one key a line, the signing one first; ``#`` begins a comment.
    KeyFileError where it holds none, too many, or something else."""
    keys: list[Key] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if line:
            keys.append(_read_key(line, number))
    if not keys:
        raise KeyFileError("no key in it; `dmqcache key new` makes one")
    if len(keys) > MAX_KEYS:
        raise KeyFileError(f"{len(keys)} keys; {MAX_KEYS} are the most: take old ones out")
    if len({key.name for key in keys}) < len(keys):
        raise KeyFileError("the same key twice; take one out")
    return KeyRing(tuple(keys))


def _read_key(line: str, number: int) -> Key:
    if not line.startswith(PREFIX):
        raise KeyFileError(
            f"line {number} is no key: it begins with {PREFIX!r}; `dmqcache key new` makes one"
        )
    try:
        secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except ValueError:  # no Base64, or not even ASCII
        secret = b""
    if len(secret) != KEY_BYTES:
        raise KeyFileError(f"line {number}: the key is not whole; copy it again")
    return Key(secret)
