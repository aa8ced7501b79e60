"""What a table remembers of one key, and the number that stands for it in a digest.

A cell is a record, no more: which of two wins is ``version.py``'s business, when it dies the table's.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from zlib import crc32

import msgspec

from dmqcache.store.table.counts import Counts

Value = str | int

NEVER: Final = float("inf")

# The flags of a cell. Plain integers: every write uses several, and one operation on an ``IntFlag`` takes
# more than a microsecond (measured on Python 3.11), 40 times as long as on an integer.

#: The version was given on arrival: the writer (Kamailio up to 6.1) sent none. Each node that heard the
#: write gave its own, so the version is left out of the digest.
PROVISIONAL: Final = 1
#: The time to live is the table's autoexpire, not one that the writer chose.
DEFAULT_TTL: Final = 2
#: A tombstone of a cell that expired: nobody deleted it, so it kills no cell of its own version.
EXPIRED: Final = 4
#: Known from a Kamailio 6.2 that shows when a cell was written, in a table where it keeps no times to live:
#: whoever of us knows the same write also knows whether it has one.
UNTIMED: Final = 32

#: Set here, never sent: the version is of the same millisecond as the one before it. A Kamailio 6.2, which
#: sees milliseconds only, must be told without a time, or it would keep what it has.
UNDATED: Final = 16

#: Seconds, a century: the longest time to live.
MAX_TTL_S: Final = 100 * 366 * 86_400
MASK: Final = (1 << 64) - 1
#: An odd number without pattern: 2**64 by the golden ratio.
SPREAD: Final = 0x9E3779B97F4A7C15


class Cell(msgspec.Struct, gc=False):
    """One key. With the value None it is a tombstone: a delete or an expiry that is remembered.

    ``gc=False``: a million cells cost the cyclic collector nothing; a cell can hold no cycle.
    """

    key: str
    #: 64 bits of the key, odd; the digest's place and factor.
    hash: int
    value: str | int | None
    #: Its version, see ``clock.py``. Of a counter: when its base was set.
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
    #: The table's ``tick`` when it was read or written last, where memory is bounded.
    used: int = 0

    def last_modified(self) -> int:
        """The version of the last change of any kind."""
        return self.stamp if self.counts is None else max(self.stamp, self.counts.touched())


def key_hash(key: str) -> int:
    """64 bits of the key, the same on every node and in every Python; odd, as a factor should be."""
    try:
        data = key.encode()
    except UnicodeEncodeError:
        data = key.encode("utf-8", "surrogateescape")
    return crc32(data) * SPREAD & MASK | 1


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
        # 57 bits now and 59 for ever: none is shifted out.
        mixed += stamp << 5
    if ttl and flags & (PROVISIONAL | DEFAULT_TTL) != PROVISIONAL | DEFAULT_TTL:
        # A time that a writer chose is the same wherever it was heard; one from arrival on is not.
        mixed += ttl * SPREAD
    return key_hash * mixed & MASK


def counter_digest(key_hash: int, stamp: int, counts: Counts) -> int:
    """The same of a counter: its base and every share."""
    shares = counts.shares
    text = f"{stamp} {counts.base}"
    for name in sorted(shares) if len(shares) > 1 else shares:
        share = shares[name]
        text += f" {len(name)} {name} {share.stamp} {share.total} {share.line}"
    data = text.encode("utf-8", "surrogateescape")
    return key_hash * int.from_bytes(blake2b(data, digest_size=8).digest(), "big") & MASK


class Evicted(msgspec.Struct, gc=False):
    """What is remembered of a cell that was evicted."""

    stamp: int
    #: Monotonic seconds: when it is over on other nodes too, and until when it is remembered.
    expires: float
    until: float
