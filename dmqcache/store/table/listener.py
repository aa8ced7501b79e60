"""Who is told what happens in a table, and what bounds it: both are given to a table when it is made.

Owns the events' names and meaning. When an event happens is ``cells.py``'s and
``table.py``'s business; what follows from it, the business of whoever puts the store together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dmqcache.defaults import MAX_VALUE_BYTES, TOMBSTONE_LIMIT, TOMBSTONE_TTL
from dmqcache.store.table.cell import Cell


def _nobody(_: object) -> None:
    """Nobody listens."""


def _to_the_end(apart: Iterator[object]) -> None:
    """Nobody gives it turns: all at once."""
    for _ in apart:
        pass


@dataclass(frozen=True, slots=True)
class TableListener:
    """Who is told of a table's events. Each is told after it, on the way of the write: it must be quick."""

    #: The cell of each local write.
    changed: Callable[[Cell], None] = _nobody
    #: A cell that another node wrote, before a write of this node replaces it.
    overwritten: Callable[[Cell], None] = _nobody
    #: A flush made here. Readers see nothing any more of what died; whoever is told runs through the
    #: iterator, at once or in turns: it takes the dead cells apart, and yields their keys, some at a time.
    flushed: Callable[[Iterator[list[str]]], None] = _to_the_end
    #: The same of a flush made elsewhere.
    buried: Callable[[Iterator[list[str]]], None] = _to_the_end
    #: Keys that this node wrote just before a flush made elsewhere, where they may not have been known, and
    #: that it killed.
    unknown_died: Callable[[list[str]], None] = _nobody
    #: Each cell that expires, once, when that is noticed.
    expired: Callable[[Cell], None] = _nobody
    #: What lies ahead is to be dated anew, of how many cells in each piece: as soon as may be.
    redates: Callable[[Iterator[int]], None] = _to_the_end
    #: Each flush, made here or elsewhere, with the table's new floor.
    floor_raised: Callable[[int], None] = _nobody


@dataclass(frozen=True, slots=True)
class TableLimits:
    """What bounds a table. An operator chooses them: meaning and cost stand in ``config/options.py``."""

    #: Bytes of a value as JSON.
    max_value_bytes: int = MAX_VALUE_BYTES
    #: Seconds for which a tombstone is remembered at least.
    tombstone_ttl: float = TOMBSTONE_TTL
    tombstone_limit: int = TOMBSTONE_LIMIT
