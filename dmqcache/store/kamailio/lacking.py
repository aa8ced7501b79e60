"""What a Kamailio lacks of ours, once it has shown all that it has: lost on its way, or removed there?

A key that the node held at its baseline (``baselines.py``) was removed there. Of a few keys that is believed
only if they were quiet for half a minute before, as a late copy of an older delete does the same; if most of
what it held is gone at once, it was a flush, and what it lacks of newer keys went with it. The table's
setting ``removals`` says what follows, once further looks have shown the same: what a node shows may be
incomplete. All else was lost, and is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.baselines import SETTLED_MS, Baseline, Baselines
from dmqcache.store.kamailio.declared import Declared
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.shown_cells import Inquiry
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import NEVER, Cell
from dmqcache.store.table.clock import ms_of
from dmqcache.store.table.json_bytes import quote
from dmqcache.store.table.settings import Removals
from dmqcache.store.table.table import Table

log = logging.getLogger("dmqcache.store")

#: Seconds between two looks at an outbox that is to become emptier first.
DRAIN_S: Final = 0.1
#: Cells looked at in one step: about 2 ms.
STEP: Final = 10_000
#: Keys that may be sent again without a line in the log.
QUIET_REFILLS: Final = 10
#: Keys that are gone at once are a flush from so many on, if they are half of what there was.
LIKE_A_FLUSH: Final = 20
#: Times that a node is told a key that it does not show, before it is left alone with it for the first number
#: of seconds; doubles up to the second.
TIMES: Final = 2
AGAIN_S: Final = (60.0, 3600.0)
MAX_DOUBLINGS: Final = 8
#: Bytes of a cell from which a Kamailio may build a batch (60,000 and one cell more) that no datagram
#: carries.
LONG_BYTES: Final = 5_000
#: Looks in a row that must show that a key was removed before it is left so, or deleted on all nodes: what a
#: look brings may be incomplete, where much is lost.
LEAVE_LOOKS: Final = 2
FOLLOW_LOOKS: Final = 3
#: How the log says it.
REMOVED: Final = (
    "table %s: %d of %d cells were removed on %s without a word (htable.flush, htable.reload, sht_reset "
    "and the like)"
)
#: Seconds left below which a Kamailio, which counts whole ones, may have ended a cell's time already.
EXPIRING_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Told:
    """How often a node was told a key that it lacked, with this version; when last (monotonic seconds)."""

    version: int
    times: int
    at: float

    def again_at(self) -> float:
        """When it is told again: soon, then ever more rarely."""
        if self.times < TIMES:
            return self.at
        return self.at + min(AGAIN_S[1], AGAIN_S[0] * 2.0 ** min(MAX_DOUBLINGS, self.times - TIMES))


@dataclass(slots=True)
class _Found:
    """What a node lacks of one table."""

    table: Table
    baseline: Baseline | None
    #: Cells that it should hold, and those that it held at its baseline and should still hold.
    cells: int = 0
    held: int = 0
    #: What it lacks, and the part of it that it held.
    lacking: list[Cell] = field(default_factory=list)
    gone: list[Cell] = field(default_factory=list)
    #: What it lacks though it was told it more than once and took it, and how often each key was told before.
    unshown: dict[str, _Told] = field(default_factory=dict)
    told: dict[str, _Told] = field(default_factory=dict)
    #: Whether a cell is so long that the node may be unable to show it, and those beside it.
    long: bool = False
    #: What was removed there before, and not written since.
    left: list[Cell] = field(default_factory=list)
    #: What it would not show: a cell without a time, where others have one.
    hidden: list[Cell] = field(default_factory=list)

    def removed(self) -> list[Cell]:
        """What was removed there."""
        if self.baseline is None or not self.gone:
            return self.left
        if len(self.gone) >= LIKE_A_FLUSH and 2 * len(self.gone) >= self.held:
            return self.left + self.lacking + self.hidden
        quiet = self.baseline.began_ms - SETTLED_MS
        return self.left + [cell for cell in self.gone if ms_of(cell.last_modified()) < quiet]


class Lacking:
    """Finds what Kamailio nodes lack, and sees to it."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        held_back: HeldBack,
        baselines: Baselines,
        declared: Declared,
        tell: Callable[[Inquiry, Table, str], None],
    ) -> None:
        """``tell(inquiry, table, key)``: the node is to be told what we hold."""
        self._ground = ground
        self._outboxes = outboxes
        self._held_back = held_back
        self._baselines = baselines
        self._declared = declared
        self._tell = tell
        #: What was removed on each node when it was last looked at, by table; and how much of it was seen
        #: twice.
        self._removed: dict[NodeURI, dict[str, dict[str, int]]] = {}
        self._left: dict[NodeURI, dict[str, int]] = {}
        #: What each node was told as it lacked it, by node and table.
        self._told: dict[tuple[NodeURI, str], dict[str, _Told]] = {}

    def left(self, node: NodeURI) -> dict[str, int]:
        """How many cells were removed on a node and stay so, by table."""
        return self._left.get(node, {})

    def forget(self, node: NodeURI) -> None:
        """The node is gone, or begins anew."""
        self._removed.pop(node, None)
        self._left.pop(node, None)
        for name in self._ground.tables:
            self._told.pop((node, name), None)

    def removed(self, node: NodeURI, table: Table) -> dict[str, int]:
        """The keys that were removed on a node when it was last looked at, and that it is not sent; with the
        number of looks that showed that."""
        return self._removed.get(node, {}).get(table.name, {})

    def find(self, inquiry: Inquiry, done: Callable[[list[Table]], None]) -> None:
        """Look through our tables, tell the node what it lost, then ``done`` with those that it has."""
        tables = [
            table
            for table in self._ground.replicated()
            if not self._held_back.lacks_table(inquiry.node, table.name)
        ]
        self._next_table(inquiry, iter(tables), [], lambda: done(tables))

    def _next_table(
        self, inquiry: Inquiry, tables: Iterator[Table], found: list[_Found], done: Callable[[], None]
    ) -> None:
        table = next(tables, None)
        if table is None:
            self._judge_all(inquiry, found, done)
            return
        one = _Found(table, self._baselines.of(inquiry.node, table))
        found.append(one)
        cells = iter(list(table.cells.values()))
        self._look(inquiry, one, cells, lambda: self._next_table(inquiry, tables, found, done))

    def _look(self, inquiry: Inquiry, found: _Found, cells: Iterator[Cell], done: Callable[[], None]) -> None:
        if inquiry.ended:
            return
        some = list(islice(cells, STEP))
        seen = inquiry.seen.get(found.table.name, set())
        told = self._told.get((inquiry.node, found.table.name), {})
        for cell in some:
            self._look_at(inquiry, found, seen, told, cell)
        if some:
            self._ground.runtime.call_later(0, lambda: self._look(inquiry, found, cells, done))
        else:
            done()

    def _look_at(
        self, inquiry: Inquiry, found: _Found, seen: set[str], told: dict[str, _Told], cell: Cell
    ) -> None:
        version = cell.last_modified()
        if cell.value is None or cell.stamp <= found.table.floor or ms_of(version) >= inquiry.began_ms:
            return
        found.cells += 1
        found.long |= isinstance(cell.value, str) and _is_long(cell.key, cell.value)
        baseline = found.baseline
        compared = baseline is not None and ms_of(version) < baseline.began_ms
        held = compared and baseline is not None and cell.key in baseline.keys
        found.held += held
        if cell.key in seen or self._held_back.is_set_aside(inquiry.node, found.table.name, cell, cell.key):
            return
        before = told.get(cell.key)
        if before is not None and before.version == version:
            found.told[cell.key] = before
            if before.again_at() > self._ground.clock.now() + 0.001:
                found.unshown[cell.key] = before
                return
        if compared and baseline is not None and cell.key in baseline.left:
            found.left.append(cell)
        elif found.table.settings.autoexpire and cell.expires == NEVER:
            found.hidden.append(cell)
        elif held and cell.expires - self._ground.clock.now() < EXPIRING_S:
            return
        elif self._held_back.reason(inquiry.node, cell) is None:
            found.lacking.append(cell)
            if held:
                found.gone.append(cell)

    def _judge_all(self, inquiry: Inquiry, found: list[_Found], done: Callable[[], None]) -> None:
        """What it does not show tells nothing of removals, where it cannot show all."""
        long = inquiry.node.transport == "udp" and any(one.long for one in found)
        if long or any(one.unshown for one in found):
            for one in found:
                one.baseline, one.gone = None, []
                one.lacking += one.left
                one.left = []
        self._judge(inquiry, iter(found), done)

    def _judge(self, inquiry: Inquiry, each: Iterator[_Found], done: Callable[[], None]) -> None:
        found = next(each, None)
        if found is None:
            done()
            return
        table, removed = found.table, found.removed()
        before = self.removed(inquiry.node, table)
        keys = {cell.key: before.get(cell.key, 0) + inquiry.answered for cell in removed}
        self._removed.setdefault(inquiry.node, {})[table.name] = keys
        looks = FOLLOW_LOOKS if table.settings.removals is Removals.FOLLOW else LEAVE_LOOKS
        sure = [cell for cell in removed if keys[cell.key] >= looks]
        # Looked at again, soon.
        inquiry.differences += len(removed) - len(sure)
        if table.settings.removals is Removals.FOLLOW:
            self._follow(inquiry, found, sure)
        else:
            self._leave(inquiry, found, len(sure))
        lost = [cell for cell in found.lacking if cell.key not in keys]
        has_it = inquiry.answered and self._held_back.has_table(inquiry.node, table.name)
        self._declared.looked(
            inquiry.node, table, inquiry.shown.get(table.name), len(found.told) if has_it else 0
        )
        self._note_told(inquiry, found, lost)
        if len(lost) > QUIET_REFILLS:
            words = "table %s: %s lacks %d of %d cells; they are sent to it"
            log.info(words, table.name, inquiry.node, len(lost), found.cells)
        for cell in found.hidden:
            if cell.key not in keys:
                # It may hold it: no difference.
                self._tell(inquiry, table, cell.key)
        inquiry.differences += len(lost)
        self._refill(inquiry, table, iter(lost), lambda: self._judge(inquiry, each, done))

    def _note_told(self, inquiry: Inquiry, found: _Found, lost: list[Cell]) -> None:
        """Remember what the node is told now, and what it was told in vain."""
        told = found.unshown
        for cell in lost:
            before = found.told.get(cell.key)
            times = 1 if before is None else before.times + 1
            told[cell.key] = _Told(cell.last_modified(), times, self._ground.clock.now())
        if told:
            self._told[inquiry.node, found.table.name] = told
        else:
            self._told.pop((inquiry.node, found.table.name), None)

    def _leave(self, inquiry: Inquiry, found: _Found, number: int) -> None:
        name = found.table.name
        left = self._left.setdefault(inquiry.node, {})
        before = left.pop(name, 0)
        if number:
            left[name] = number
        if number <= before:
            return
        self._ground.counters.removed[name, "left"] += number - before
        log.warning(REMOVED + "; they stay on all other nodes", name, number, found.cells, inquiry.node)

    def _follow(self, inquiry: Inquiry, found: _Found, removed: list[Cell]) -> None:
        """Delete everywhere what was removed there and has not been written since."""
        table = found.table
        with table.by_itself():
            number = sum(
                table.delete(cell.key)
                for cell in removed
                if table.cells.get(cell.key) is cell and ms_of(cell.last_modified()) < inquiry.began_ms
            )
        if not number:
            return
        inquiry.differences += number
        self._ground.counters.removed[table.name, "followed"] += number
        log.warning(REMOVED + ", and are deleted on all nodes", table.name, number, found.cells, inquiry.node)

    def _refill(self, inquiry: Inquiry, table: Table, lost: Iterator[Cell], done: Callable[[], None]) -> None:
        """Tell the node what it lost, never more than its outbox takes."""
        outbox = self._outboxes.get(inquiry.node)
        if inquiry.ended or outbox is None:
            return
        runtime = self._ground.runtime
        if not room_in(outbox):
            runtime.call_later(DRAIN_S, lambda: self._refill(inquiry, table, lost, done))
            return
        some = list(islice(lost, min(STEP, room_in(outbox))))
        for cell in some:
            if cell.value is not None:
                self._tell(inquiry, table, cell.key)
        if some:
            runtime.call_later(0, lambda: self._refill(inquiry, table, lost, done))
        else:
            done()


def room_in(outbox: Outbox) -> int:
    """How many more keys may be named: further ones might make the outbox forget all that waits in it."""
    return max(0, max(1, outbox.limit // 2) - outbox.backlog())


def _is_long(key: str, value: str) -> bool:
    length = len(key) + len(value)
    return 6 * length > LONG_BYTES and (
        length > LONG_BYTES or len(quote(key)) + len(quote(value)) > LONG_BYTES
    )
