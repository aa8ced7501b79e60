"""Whether a body of the ``htable`` channel names a key twice, found without reading it once more.

msgspec takes the last of two equal keys in silence. But each key has a colon after it, so as many colons as
keys were read leave none for another. Where texts hold colons as well, quotes are counted. So it is known of
all that Kamailio sends. Only where there are more keys is each object looked at, which takes far longer for
each byte; a long body must do with less. All bodies here are valid JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import asdict, astuple

from dmqcache.store.kamailio.wire_types import Cell, TextCell
from dmqcache.store.table.json_bytes import DuplicateKey, refuse_duplicates

#: A body up to which each object, and each cell by itself, may be looked at: nothing longer comes by UDP.
#: 64 KiB of empty objects take 4.5 ms.
SHORT_BYTES: Final = 64 << 10
#: The same of a longer batch with long values: there is little to look at.
FEW_TOKENS: Final = 40_000
_TOKENS: Final = (b'"', b"{", b"[", b",")
#: By which a letter of a key could be spelled. Kamailio escapes control characters alone.
_SPELLED: Final = re.compile(rb"\\u00[4-7]")

#: Fields that Kamailio puts in each cell, ``type`` among them, without ``last_modified``.
_CELL_FIELDS: Final = 5


def is_soon_looked_through(body: bytes) -> bool:
    """Whether all cells of a body can be looked at, each by itself, within one step."""
    return len(body) <= SHORT_BYTES or sum(map(body.count, _TOKENS)) <= FEW_TOKENS


def check_batch(cells: list[Cell], body: bytes) -> None:
    """DuplicateKey if a batch of these cells, ``body``, names a key twice."""
    stamps = sum([cell.last_modified is not None for cell in cells])
    keys = 1 + _CELL_FIELDS * len(cells) + stamps
    if body.count(b":") == keys:
        return
    texts = sum([type(cell) is TextCell for cell in cells])
    if not _has_just(keys, 2 * len(cells) + texts, body):
        each = dict.fromkeys(("htname", "cname", "type", "expire"), len(cells))
        named = {"cells": 1, "strval": texts, "intval": len(cells) - texts, "last_modified": stamps}
        _refuse(body, (each | named).items())


def check_action(fields: Struct, body: bytes) -> None:
    """DuplicateKey if an action with these fields (UNSET: it has none of the name) names a key twice."""
    values = astuple(fields)
    keys = len(values) - values.count(UNSET)
    if body.count(b":") != keys and not _has_just(keys, sum([type(one) is str for one in values]), body):
        _refuse(body, [(name, 1) for name, value in asdict(fields).items() if value is not UNSET])


def _has_just(keys: int, texts: int, body: bytes) -> bool:
    """Whether a body holds so many keys and no more, beside so many texts: each of these has two quotes, and
    there are those that texts hold."""
    within = 0
    if b"\\" in body:
        body = body.replace(b"\\\\", b"")
        within = body.count(b'\\"')
    return body.count(b'"') - within == 2 * (keys + texts)


def _refuse(body: bytes, known: Iterable[tuple[str, int]]) -> None:
    """There are other keys: of a later release, or one of those that were read once more."""
    if len(body) <= SHORT_BYTES:
        refuse_duplicates(body)
    elif _SPELLED.search(body) or any(body.count(b'"%b"' % name.encode()) != count for name, count in known):
        raise DuplicateKey("a key may be there twice")
