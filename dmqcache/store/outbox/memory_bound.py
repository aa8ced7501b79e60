"""A bound on what all live cells of a node take together, held by evicting or by refusing clients' writes.

Owns when it is looked (ten times a second, in steps of two milliseconds), which cells must stay, saying
that the node is full, and the tick by which tables say when a cell was used. Which cells go first is
``table/evicting.py``'s. Writes of other nodes are never refused: a full node is still one of the cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from dmqcache.bus.loop_steps import STEP_S
from dmqcache.bus.runtime import Timer
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.evicting import (
    TAKEN,
    Policy,
    candidates,
    evict,
    forget_evicted,
    may_evict,
    remembered_by,
    used_by,
)
from dmqcache.store.table.table import Table
from dmqcache.store.table.use import TICKS_S

log = logging.getLogger("dmqcache.store")

#: Seconds between two looks. What is written meanwhile may pass the limit.
LOOK_S: Final = 0.1
#: The same where there is no bound: as exact as the seconds are for which a cell was not used.
TICK_S: Final = 1.0
#: Samples without a cell that may go after which there is none.
FRUITLESS: Final = 30
#: Seconds between two lines in the log.
SAY_S: Final = 60.0


class Memory:
    """The bound of one node; 0: there is none, and only the tick is moved."""

    def __init__(self, ground: Ground, outboxes: Outboxes, more_room: Callable[[], object]) -> None:
        """``more_room``: the bound was raised, or is gone: what was evicted may come back."""
        self._ground = ground
        self._more_room = more_room
        self._outboxes = outboxes
        self._timer: Timer | None = None
        self._said = float("-inf")
        self._told: list[Callable[[], None]] = []
        #: Bytes.
        self.limit = 0
        self.policy = Policy.NOEVICTION
        #: As it was at the last look.
        self._full = False

    @property
    def full(self) -> bool:
        """More is used than may be, and nothing may go: clients' writes are refused. What was deleted since
        the last look has made room already."""
        return self._full and self.used > self.limit

    @property
    def used(self) -> int:
        """Bytes that all live cells take: what is held against the limit."""
        return sum(map(used_by, self._ground.tables.values()))

    @property
    def remembered(self) -> int:
        """Bytes that the deletes and expiries take that are remembered; they do not count."""
        return sum(map(remembered_by, self._ground.tables.values()))

    @property
    def words(self) -> str:
        """What an operator must know of it; empty: nothing."""
        if not self.full:
            return ""
        return (
            f"memory is full: cells take {self.used} of {self.limit} bytes, by {self.policy} none may go; "
            f"clients' writes are refused (remembered deletes, {self.remembered} bytes, do not count)"
        )

    def listen(self, told: Callable[[], None]) -> None:
        """Call this whenever :attr:`full` has changed."""
        self._told.append(told)

    def bound(self, limit: int, policy: Policy) -> None:
        """From now on cells may take so many bytes, and this is done about it."""
        more = self.limit > 0 and (limit == 0 or limit > self.limit)
        self.limit, self.policy = limit, policy
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._look()
        if more and any(table.partial for table in self._ground.tables.values()):
            self._more_room()

    def _look(self) -> None:
        self._timer = None
        if self._ground.stopped:
            self._set_full(False)
            return
        # One number for all that is used until the next look.
        tick = int(self._ground.clock.now() * TICKS_S)
        for table in self._ground.tables.values():
            table.tick = tick
            forget_evicted(table)
        if not self.limit:
            self._set_full(False)
            self._timer = self._ground.runtime.call_later(TICK_S, self._look)
            return
        self._timer = self._ground.runtime.call_later(0.0 if self._evict_some() else LOOK_S, self._look)

    def _evict_some(self) -> bool:
        """Bring it below the limit; True: not yet, as others must have their turn first."""
        until = self._ground.clock.now() + STEP_S
        over, fruitless = self.used - self.limit, 0
        while over > 0:
            freed = 0 if self.policy is Policy.NOEVICTION else self._take(over)
            over -= freed
            fruitless = 0 if freed else fruitless + 1
            if self.policy is Policy.NOEVICTION or fruitless >= FRUITLESS:
                self._set_full(True)
                return False
            if self._ground.clock.now() >= until:
                return over > 0
        self._set_full(False)
        return False

    def _take(self, over: int) -> int:
        """Evict some cells of a table; returns the bytes."""
        table = self._choose()
        if table is None:
            return 0
        before = used_by(table)
        free = (
            cell
            for cell in candidates(table, self.policy, self._ground.runtime.random)
            if not self._is_owed(table, cell.key)
        )
        for _, cell in zip(range(TAKEN), free, strict=False):
            evict(table, cell, shared=len(self._outboxes) > 0)
            if before - used_by(table) >= over:
                break
        return before - used_by(table)

    def _choose(self) -> Table | None:
        """A table, the larger the likelier."""
        tables = [table for table in self._ground.tables.values() if may_evict(table, self.policy)]
        place = self._ground.runtime.random() * sum(table.live for table in tables)
        for table in tables:
            place -= table.live
            if place < 0:
                return table
        return tables[-1] if tables else None

    def _is_owed(self, table: Table, key: str) -> bool:
        """Whether a node that is there has still to be told of it: this one may be alone in holding it."""
        return any(outbox.open and outbox.names(table, key) for outbox in self._outboxes.values())

    def _set_full(self, full: bool) -> None:
        changed, self._full = full != self._full, full
        if full and self._ground.clock.now() - self._said >= SAY_S:
            self._said = self._ground.clock.now()
            log.warning("%s", self.words)
        if changed:
            for told in self._told:
                told()
