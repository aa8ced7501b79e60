"""A table's keys in their order, a piece at a time: whoever lists a large table holds nobody up.

Owns that keys are sorted in before the first piece and between two of them, some at a time: those of a table
of a million that was never listed take a second or two. The order itself is ``order.py``'s; who waits between
two pieces, and for how long, is for whoever lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dmqcache.store.table.table import Table

#: Keys that are sorted in, or taken out, in one piece: a fraction of a millisecond.
SORTED_AT_ONCE: Final = 100


def listed(table: Table, count: int, prefix: str = "") -> Iterator[list[str]]:
    """The keys in their order, up to ``count`` at a time; some pieces are empty, as there was only sorting to
    do. A key that is there all the while comes once, whatever is written meanwhile."""
    yield from sorting(table)
    some = table.scan(None, prefix, count)
    while len(some) == count:
        yield some
        yield from sorting(table)
        some = table.scan(some[-1], prefix, count)
    yield some


def sorting(table: Table) -> Iterator[list[str]]:
    """Nothing, again and again, until what was written since the last listing is in its order."""
    while table.order.settle_some(SORTED_AT_ONCE):
        yield []
