"""What cells take, and which of them go where there is too much: the policies, and how a cell is evicted.

Evicting is forgetting: no delete, so nobody is told, and other nodes keep the cell. From then on the table is
``partial``: what it lacks says nothing. What follows from that for comparisons, docs/architecture.md says;
when something is evicted, ``outbox/memory_bound.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from itertools import islice
from typing import Final

from dmqcache.store.table.cell import NEVER, Cell, Evicted
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.happenings import EVICTED
from dmqcache.store.table.text_size import size_of

#: Bytes of a cell or a tombstone beside what ``text_size.py`` counts of key and value: the cell itself, two
#: strings' heads, and its places in the table and its indexes. Measured with half a million cells: 340
#: without times to live, 445 where each has one.
CELL_BYTES: Final = 420
#: Cells that are looked at together, and how many of these go at most: as good as Redis' five for one.
SAMPLE: Final = 16
TAKEN: Final = 4

_SIZE: Final = re.compile(r"([0-9]{1,18})(b|kb?|mb?|gb?)?", re.IGNORECASE)
#: Redis' units.
_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 1 << 10,
    "m": 10**6,
    "mb": 1 << 20,
    "g": 10**9,
    "gb": 1 << 30,
}


class Policy(StrEnum):
    """What is done when cells take more than they may; Redis' names."""

    #: Clients' writes are refused.
    NOEVICTION = "noeviction"
    #: What was not used for longest goes.
    ALLKEYS_LRU = "allkeys-lru"
    #: The same, but only of what has a time to live.
    VOLATILE_LRU = "volatile-lru"
    #: What has least time left goes.
    VOLATILE_TTL = "volatile-ttl"


def parse_size(text: str) -> int:
    """Bytes, as Redis' configuration writes them: ``100mb``. ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("is no number of bytes, like 104857600 or 100mb")
    return int(found[1]) * _UNITS[(found[2] or "").lower()]


def used_by(table: Cells) -> int:
    """Bytes that a table's live cells take. Tombstones are not held against a bound: nobody can make them
    fewer, neither by evicting nor by deleting, so they must refuse nobody's writes. They have limits of their
    own (``TableLimits``)."""
    return table.text_bytes + CELL_BYTES * table.live


def remembered_by(table: Cells) -> int:
    """Bytes that a table's tombstones take, without their keys' texts."""
    return CELL_BYTES * len(table.tombstones)


def taken_by(cell: Cell) -> int:
    """Bytes that a live cell is counted with."""
    return CELL_BYTES + size_of(cell.key) + (0 if cell.value is None else size_of(cell.value))


def may_evict(table: Cells, policy: Policy) -> bool:
    """Whether there may be cells of it that may go. Those of a table of a database never: it would be stored
    there without them."""
    some = table.live > 0 if policy is Policy.ALLKEYS_LRU else table.expiry.sample(0.0) is not None
    return some and table.settings.db is None


def candidates(table: Cells, policy: Policy, chance: Callable[[], float]) -> list[Cell]:
    """Some cells that may go, the first to go first. Counters stay: what this node has added to them only it
    knows."""
    keys: list[str | None]
    if policy is Policy.ALLKEYS_LRU:
        keys = [table.order.sample(chance()) for _ in range(SAMPLE)]
    else:
        keys = [table.expiry.sample(chance()) for _ in range(SAMPLE)]
    if policy is Policy.VOLATILE_TTL:
        keys += islice(table.expiry.soonest(), SAMPLE)
    cells = [table.cells.get(key) for key in dict.fromkeys(keys) if key is not None]
    found = [cell for cell in cells if cell is not None and cell.value is not None and cell.counts is None]
    if policy is Policy.ALLKEYS_LRU:
        return sorted(found, key=lambda cell: cell.used)
    found = [cell for cell in found if cell.expires != NEVER]
    if policy is Policy.VOLATILE_TTL:
        return sorted(found, key=lambda cell: cell.expires)
    return sorted(found, key=lambda cell: cell.used)


def evict(table: Cells, cell: Cell, shared: bool = True) -> None:
    """Forget a cell, here alone. ``shared``: there are other nodes, which may hold it: that it was evicted is
    remembered for as long as deletes are, of so many keys as of deletes."""
    if shared:
        evicted = table.evicted
        evicted.pop(cell.key, None)
        evicted[cell.key] = Evicted(cell.stamp, cell.expires, table.clock.now() + table.limits.tombstone_ttl)
        while len(evicted) > table.limits.tombstone_limit:
            evicted.popitem(last=False)
    table.forget([cell], EVICTED)
    table.counters.evictions += 1
    table.partial = True


def was_evicted(table: Cells, key: str) -> bool:
    """Whether it is known that a key that is not here was evicted, and others may hold it."""
    found = table.evicted.get(key)
    if found is None or key in table.cells:
        return False
    now = table.clock.now()
    if now < found.until and now < found.expires and found.stamp > table.floor:
        return True
    del table.evicted[key]
    return False


def forget_evicted(table: Cells) -> None:
    """Keys that were evicted longer ago than is remembered."""
    now = table.clock.now()
    # Of a plain dict the first is found slowly where many before it are gone.
    while table.evicted and next(iter(table.evicted.values())).until <= now:
        table.evicted.popitem(last=False)


def made_whole(table: Cells) -> None:
    """The table holds what another one holds that has evicted nothing."""
    table.partial = False
    table.evicted.clear()
