"""Two nodes meet, and one of them was off for long: whose table is to be given up.

A delete is remembered for a while. A node that comes back from its disk after others have forgotten deletes
that it never heard of would bring those keys back. So each node tells with its sums the greatest version of a
delete that it has forgotten, and, if its table is from its disk, up to which version it had heard of all. Who
had heard of less than the other has forgotten gives up the cells that it read, and takes the other's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from dmqcache.store.native.native_message import Summary
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.giving_up import give_up, keep, prepared

log = logging.getLogger("dmqcache.store")

#: Milliseconds by which what a node had heard of may reach less far than it says: clocks differ, and the last
#: that it was sent had still to come.
SLACK_MS: Final = 10_000


def may_exchange(table: Cells, ready: bool, theirs: Summary, their_ready: bool) -> bool:
    """Whether what we hold and what the other holds may be exchanged; if ours is what must be given up, it
    is, first; but not where both hold the same. ``ready``: we have the whole state; ``their_ready``: they
    have."""
    we, they = _who_is_behind(table, ready, theirs, their_ready)
    if we:
        cells = give_up(table)
        words = (
            "table %s: this node was off for so long that others have forgotten what was deleted meanwhile: "
        )
        log.warning(words + "%d cells from its disk are given up for theirs", table.name, cells)
    else:
        keep(table)
    return not they


def looked_through(table: Cells, ready: bool, theirs: Summary, their_ready: bool) -> Iterator[None]:
    """Who runs through this, and calls :func:`may_exchange` in the same turn of the loop as it ends, holds
    nobody up if a large table must be given up."""
    if _who_is_behind(table, ready, theirs, their_ready)[0]:
        yield from prepared(table)


def _who_is_behind(table: Cells, ready: bool, theirs: Summary, their_ready: bool) -> tuple[bool, bool]:
    """Whether we must give up what we hold, and whether they must."""
    if theirs.forgot > table.clock.limit() or theirs.root == table.digest.node(0, 0):
        return False, False
    we, they = _is_behind(table.known, theirs.forgot), _is_behind(theirs.known, table.forgot)
    if we and they:
        # Each has forgotten what the other never knew: who serves keeps its own, so that never both give up.
        if ready == their_ready:
            return False, False
        we, they = not ready, ready
    return we and (their_ready or theirs.known > 0), they


def learn(table: Cells, theirs: Summary) -> None:
    """The table was compared with that of a node that has the whole state: what they know, we know."""
    table.known = 0
    if theirs.forgot <= table.clock.limit():
        table.forgot = max(table.forgot, theirs.forgot)


def _is_behind(known: int, forgot: int) -> bool:
    return 0 < known < forgot + version_at(SLACK_MS)
