"""What a table remembers of one key, and the number that stands for it in a digest.

A cell is a record, no more: which of two wins is ``version.py``'s business, when it dies the table's.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final
from zlib import crc32

import msgspec

Value = str | int

NEVER: Final = float("inf")
#: The version was given on arrival: the writer (Kamailio up to 6.1) sent none. Each node that heard the
#: write gave its own, so the version is left out of the digest.
PROVISIONAL: Final = 1
#: The time to live is the table's autoexpire, not one that the writer chose.
DEFAULT_TTL: Final = 2
#: A tombstone of a cell whose time was over: nobody deleted it, so it kills no cell of its own version.
EXPIRED: Final = 4

#: Unix ms: year 2248. Beyond it arithmetic with times would fail.
MAX_STAMP: Final = 1 << 43
MASK: Final = (1 << 64) - 1
#: An odd number without pattern: 2**64 by the golden ratio.
_SPREAD: Final = 0x9E3779B97F4A7C15


class Share(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one node has added to a counter."""

    #: How often it added: of two shares of one node the one with more is the later.
    times: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    total: Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
    #: Unix ms of the last time.
    stamp: Annotated[int, msgspec.Meta(ge=0, le=MAX_STAMP)]


def clamp_shares(shares: dict[str, Share], limit: int) -> int:
    """Pull the times of increments above ``limit`` (Unix ms) back to it; returns how many there were."""
    late = [node for node, share in shares.items() if share.stamp > limit]
    for node in late:
        shares[node] = Share(shares[node].times, shares[node].total, limit)
    return len(late)


class Counts(msgspec.Struct, gc=False):
    """A counter's parts: where it began, and each node's share."""

    base: int
    shares: dict[str, Share]

    def total(self) -> int:
        return self.base + sum(share.total for share in self.shares.values())

    def touched(self) -> int:
        """Unix ms of the last increment that we know of."""
        return max((share.stamp for share in self.shares.values()), default=0)


class Cell(msgspec.Struct, gc=False):
    """One key. With the value None it is a tombstone: a delete or an expiry that is remembered.

    ``gc=False``: a million cells cost the cyclic collector nothing; a cell can hold no cycle.
    """

    key: str
    #: 64 bits of the key, odd; the digest's place and factor.
    hash: int
    value: str | int | None
    #: Unix ms, Kamailio 6.2's ``last_modified``. Of a counter: when its base was set.
    stamp: int
    #: Milliseconds to live as the writer set it; 0: for ever. Part of the version.
    ttl: int = 0
    #: Monotonic seconds of this node's clock: wall clock jumps neither kill nor prolong.
    expires: float = NEVER
    flags: int = 0
    counts: Counts | None = None
    #: Which node's message brought this state; empty: written here.
    writer: str = ""
    #: What the cell adds to its leaf of the table's digest.
    digest: int = 0

    def last_modified(self) -> int:
        """The version as other nodes are shown it: Unix ms of the last change of any kind."""
        return self.stamp if self.counts is None else max(self.stamp, self.counts.touched())


def key_hash(key: str) -> int:
    """64 bits of the key, the same on every node and in every Python; odd, as a factor should be."""
    try:
        data = key.encode()
    except UnicodeEncodeError:
        data = key.encode("utf-8", "surrogateescape")
    return crc32(data) * _SPREAD & MASK | 1


def cell_digest(cell: Cell) -> int:
    """The number a cell adds to its leaf of the table's digest. Tombstones add nothing, so that forgetting
    one changes no digest."""
    if cell.value is None:
        return 0
    if cell.counts is not None:
        return counter_digest(cell.hash, cell.stamp, cell.counts)
    return plain_digest(cell.hash, cell.value, cell.stamp, cell.ttl, cell.flags)


def plain_digest(key_hash: int, value: Value, stamp: int, ttl: int, flags: int) -> int:
    """A multilinear hash: version and content times the key's hash. Two leaves with different cells have
    the same sum with a chance of about 2**-32. ValueError for a text that no bytes can make."""
    if isinstance(value, int):
        mixed = crc32(b"%d" % value) + (1 << 33)
    else:
        try:
            mixed = crc32(value.encode()) + 1
        except UnicodeEncodeError:
            mixed = crc32(value.encode("utf-8", "surrogateescape")) + 1
    if not flags & PROVISIONAL:
        mixed += stamp << 22
    if ttl and flags & (PROVISIONAL | DEFAULT_TTL) != PROVISIONAL | DEFAULT_TTL:
        # A time that a writer chose is the same wherever it was heard; one from arrival on is not.
        mixed += ttl * _SPREAD
    return key_hash * mixed & MASK


def counter_digest(key_hash: int, stamp: int, counts: Counts) -> int:
    """The same of a counter: its base and every share."""
    shares = sorted((node, share.times, share.total) for node, share in counts.shares.items())
    text = f"{stamp} {counts.base} {shares}".encode("utf-8", "surrogateescape")
    return key_hash * int.from_bytes(blake2b(text, digest_size=8).digest(), "big") & MASK
