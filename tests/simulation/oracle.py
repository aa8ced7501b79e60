"""What the tables must hold in the end, worked out from what clients were told and from who lost its memory.

Independent of ``store/table/version.py``: it knows only the numbers that a write was given, and the written
rule that the later version wins, a delete before a value. Two values of one version are settled by the nodes'
agreement alone. Only for keys whose name says that dmqcache nodes alone write them (see ``operations.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dmqcache.store.table.cell import Cell
from dmqcache.store.table.table import Table
from tests.simulation.cluster import Machine

#: (version in Unix ms, whether it is a delete): what beats what.
Rank = tuple[int, bool]
NOTHING: Rank = (0, False)


@dataclass(slots=True)
class History:
    """Everything that was written under one key."""

    #: Rank of each acknowledged write -> the values written with it (None: a delete).
    writes: dict[Rank, list[str | int | None]] = field(default_factory=dict)
    #: What the nodes that remember know at least.
    bound: Rank = NOTHING
    #: No dmqcache node remembered: what a Kamailio gave back has a version that nobody knows.
    adopted: bool = False


@dataclass(slots=True)
class Share:
    """What one process has added to one counter. A node may also add nothing, to give a sum a new version, so
    it is the sums that are compared and not how many there were."""

    #: Sums after each increment.
    sums: list[int] = field(default_factory=lambda: [0])
    #: The first of them that may be the last which the nodes that remember know; None: the process itself
    #: remembers.
    known: int | None = None

    def possible(self) -> list[int]:
        """Sums that may be seen in the end."""
        return self.sums[-1:] if self.known is None else self.sums[self.known :]


class Oracle:
    """The expectations of one run."""

    def __init__(self, rewrites: bool) -> None:
        """``rewrites``: Kamailio nodes are there, for which a write may be repeated with a later version."""
        self.rewrites = rewrites
        self.histories: dict[str, History] = {}
        #: key -> identity of the process -> its share.
        self.counters: dict[str, dict[str, Share]] = {}
        #: Counters that a Kamailio gave back when no dmqcache node remembered them.
        self.adopted: set[str] = set()
        #: How many writes were noted.
        self.writes = 0

    # -- what is written ---------------------------------------------------------------------------------

    def wrote(self, key: str, cell: Cell) -> None:
        """A client's set or delete was done on a node."""
        self.writes += 1
        rank = (cell.stamp, cell.value is None)
        history = self.histories.setdefault(key, History())
        history.writes.setdefault(rank, []).append(cell.value)
        history.bound = max(history.bound, rank)

    def counted(self, key: str, identity: str, by: int) -> None:
        """A client's increment was done by a process."""
        self.writes += 1
        share = self.counters.setdefault(key, {}).setdefault(identity, Share())
        share.sums.append(share.sums[-1] + by)

    # -- who forgets -------------------------------------------------------------------------------------

    def forgot(self, identity: str, others: Iterable[Machine]) -> None:
        """A process lost its memory: only what the others hold by now is sure."""
        tables = [machine.store.tables["plain"] for machine in others]
        for key, history in self.histories.items():
            history.bound = max((_rank(table, key) for table in tables), default=NOTHING)
            history.adopted |= not any(key in table.cells for table in tables)
        for key, shares in self.counters.items():
            if not any(key in table.cells for table in tables):
                self.adopted.add(key)
            for name, share in shares.items():
                if share.known is not None or name == identity:
                    held = max((_share(table, key, name) for table in tables), default=(0, 0))
                    share.known = share.sums.index(held[1])

    # -- what must be ------------------------------------------------------------------------------------

    def problems(self, table: Table) -> list[str]:
        """What one node holds that it must not, or lacks."""
        found: list[str] = []
        for key, history in self.histories.items():
            found += self._check_history(key, history, table)
        for key, shares in self.counters.items():
            # A number that a Kamailio gave back counts as a set: it may have ended increments made before.
            if key not in self.adopted:
                found += self._check_counter(key, shares, table)
        return found

    def _check_history(self, key: str, history: History, table: Table) -> list[str]:
        cell = table.cells.get(key)
        if cell is None:
            # Nothing is remembered: well only if a delete may have been the last, or nothing was sure.
            deleted = any(rank >= history.bound and rank[1] for rank in history.writes)
            if deleted or history.bound == NOTHING:
                return []
            return [f"{key} is not there, and {history.bound} was written"]
        rank = (cell.stamp, cell.value is None)
        if history.adopted:
            everything = {value for values in history.writes.values() for value in values}
            return [] if cell.value in everything else [f"{key} is {cell.value!r}, which nobody wrote"]
        if cell.value is None and history.bound[1]:
            # Deleted either way: which delete was the last, nodes need not agree on.
            return []
        if rank < history.bound:
            return [f"{key} is {cell.value!r} of {rank}, and {history.bound} is newer"]
        if self.rewrites and rank not in history.writes:
            # A repairing node has written the winner anew, with a later version, for a Kamailio to take it.
            rank = max((known for known in history.writes if known < rank), default=NOTHING)
            if rank == NOTHING:
                # A number of which nobody knew any more came back from a Kamailio.
                everything = {value for values in history.writes.values() for value in values}
                return [] if cell.value in everything else [f"{key} is {cell.value!r}, which nobody wrote"]
        if cell.value not in history.writes.get(rank, []):
            return [f"{key} is {cell.value!r} of {rank}, which nobody wrote"]
        return []

    def _check_counter(self, key: str, shares: dict[str, Share], table: Table) -> list[str]:
        cell = table.cells.get(key)
        held = cell.counts.shares if cell is not None and cell.counts is not None else {}
        found: list[str] = []
        for identity, share in shares.items():
            mine = held.get(identity)
            total = mine.total if mine is not None else 0
            if total not in share.possible():
                found.append(f"{key}: {identity} has added {total}, not one of {share.possible()}")
        if cell is not None and cell.counts is not None:
            base, total = cell.counts.base, sum(share.total for share in held.values())
            if cell.value != base + total:
                found.append(f"{key} shows {cell.value}, and its parts are {base} and {total}")
            # Increments may be known through a Kamailio alone, when their node is gone.
            if base and not self.rewrites:
                found.append(f"{key} begins at {base}")
        return found


def _rank(table: Table, key: str) -> Rank:
    cell = table.cells.get(key)
    return (cell.stamp, cell.value is None) if cell is not None else NOTHING


def _share(table: Table, key: str, identity: str) -> tuple[int, int]:
    """(times, total) of what a node knows of a process's increments."""
    cell = table.cells.get(key)
    share = cell.counts.shares.get(identity) if cell is not None and cell.counts is not None else None
    return (share.times, share.total) if share is not None else (0, 0)
