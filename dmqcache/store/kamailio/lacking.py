"""What a Kamailio lacks of ours, once it has shown all that it has: lost on its way, or removed there?

A key that the node held at its baseline (``baselines.py``) was removed there. Of a few keys that is believed
only if they were quiet for half a minute before, as a late copy of an older delete does the same; if most of
what it held is gone at once, it was a flush, and what it lacks of newer keys went with it. The table's
setting ``removals`` says what follows, once further looks have shown the same: what a node shows may be
incomplete. All else was lost, and is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from dmqcache.bus.loop_steps import in_steps
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
from dmqcache.store.table.listing import listed
from dmqcache.store.table.settings import Removals
from dmqcache.store.table.table import Table

log = logging.getLogger("dmqcache.store")

#: Seconds between two looks at an outbox that is to become emptier first.
DRAIN_S: Final = 0.1
#: Cells of one piece, and keys that are named for a node in one turn of the loop: 2 ms.
PIECE: Final = 100
NAMED: Final = 1_000
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

    def removed(self) -> Iterator[list[Cell]]:
        """What was removed there, some at a time."""
        yield from _pieces(self.left)
        if self.baseline is None or not self.gone:
            return
        if len(self.gone) >= LIKE_A_FLUSH and 2 * len(self.gone) >= self.held:
            yield from _pieces(chain(self.lacking, self.hidden))
            return
        quiet = self.baseline.began_ms - SETTLED_MS
        for cells in _pieces(self.gone):
            yield [cell for cell in cells if ms_of(cell.last_modified()) < quiet]

    def without_baseline(self) -> None:
        """What the node does not show tells nothing of removals."""
        self.baseline, self.gone = None, []
        self.lacking, self.left = self.left if not self.lacking else self.lacking + self.left, []


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
        found: list[_Found] = []
        lost: list[tuple[Table, Cell]] = []

        def judged() -> None:
            self._refill(inquiry, iter(lost), lambda: done(tables))

        work = chain(self._look(inquiry, tables, found), self._judge_all(inquiry, found, lost))
        in_steps(self._ground.runtime, work, judged, lambda: inquiry.ended)

    def _look(self, inquiry: Inquiry, tables: list[Table], found: list[_Found]) -> Iterator[None]:
        for table in tables:
            one = _Found(table, self._baselines.of(inquiry.node, table))
            found.append(one)
            seen = inquiry.seen.get(table.name, set())
            told = self._told.get((inquiry.node, table.name), {})
            for keys in listed(table, PIECE):
                for key in keys:
                    self._look_at(inquiry, one, seen, told, table.cells[key])
                yield

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
        if not self._outboxes.tells(cell):
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

    def _judge_all(
        self, inquiry: Inquiry, found: list[_Found], lost: list[tuple[Table, Cell]]
    ) -> Iterator[None]:
        """What it does not show tells nothing of removals, where it cannot show all. ``lost``: gets what the
        node is to be sent again."""
        long = inquiry.node.transport == "udp" and any(one.long for one in found)
        blind = long or any(one.unshown for one in found)
        for one in found:
            if blind:
                one.without_baseline()
            yield from self._judge(inquiry, one, lost)

    def _judge(self, inquiry: Inquiry, found: _Found, lost: list[tuple[Table, Cell]]) -> Iterator[None]:
        table = found.table
        follows = table.settings.removals is Removals.FOLLOW
        looks = FOLLOW_LOOKS if follows else LEAVE_LOOKS
        before, keys, sure = self.removed(inquiry.node, table), dict[str, int](), list[Cell]()
        for cells in found.removed():
            for cell in cells:
                keys[cell.key] = before.get(cell.key, 0) + inquiry.answered
            sure += [cell for cell in cells if keys[cell.key] >= looks]
            yield
        self._removed.setdefault(inquiry.node, {})[table.name] = keys
        # Looked at again, soon.
        inquiry.differences += len(keys) - len(sure)
        if follows:
            yield from self._follow(inquiry, found, sure)
        else:
            self._leave(inquiry, found, len(sure))
        has_it = inquiry.answered and self._held_back.has_table(inquiry.node, table.name)
        self._declared.looked(
            inquiry.node, table, inquiry.shown.get(table.name), len(found.told) if has_it else 0
        )
        number = len(lost)
        for cells in _pieces(found.lacking):
            again = [cell for cell in cells if cell.key not in keys]
            self._note_told(found, again)
            lost += [(table, cell) for cell in again]
            yield
        number = len(lost) - number
        if found.unshown:
            self._told[inquiry.node, table.name] = found.unshown
        else:
            self._told.pop((inquiry.node, table.name), None)
        if number > QUIET_REFILLS:
            words = "table %s: %s lacks %d of %d cells; they are sent to it"
            log.info(words, table.name, inquiry.node, number, found.cells)
        for cells in _pieces(found.hidden):
            for cell in cells:
                if cell.key not in keys:
                    # It may hold it: no difference.
                    self._tell(inquiry, table, cell.key)
            yield
        inquiry.differences += number

    def _note_told(self, found: _Found, lost: list[Cell]) -> None:
        """Remember what the node is told now, beside what it was told in vain."""
        for cell in lost:
            before = found.told.get(cell.key)
            times = 1 if before is None else before.times + 1
            found.unshown[cell.key] = _Told(cell.last_modified(), times, self._ground.clock.now())

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

    def _follow(self, inquiry: Inquiry, found: _Found, removed: list[Cell]) -> Iterator[None]:
        """Delete everywhere what was removed there and has not been written since."""
        table, number = found.table, 0
        for cells in _pieces(removed):
            with table.by_itself():
                number += sum(
                    table.delete(cell.key)
                    for cell in cells
                    if table.cells.get(cell.key) is cell and ms_of(cell.last_modified()) < inquiry.began_ms
                )
            yield
        if not number:
            return
        inquiry.differences += number
        self._ground.counters.removed[table.name, "followed"] += number
        log.warning(REMOVED + ", and are deleted on all nodes", table.name, number, found.cells, inquiry.node)

    def _refill(self, inquiry: Inquiry, lost: Iterator[tuple[Table, Cell]], done: Callable[[], None]) -> None:
        """Tell the node what it lost, never more than its outbox takes."""
        outbox = self._outboxes.get(inquiry.node)
        if inquiry.ended or outbox is None:
            return
        runtime = self._ground.runtime
        if not room_in(outbox):
            runtime.call_later(DRAIN_S, lambda: self._refill(inquiry, lost, done))
            return
        some = list(islice(lost, min(NAMED, room_in(outbox))))
        for table, cell in some:
            if cell.value is not None:
                self._tell(inquiry, table, cell.key)
        if some:
            runtime.call_later(0, lambda: self._refill(inquiry, lost, done))
        else:
            done()


def _pieces(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    rest = iter(cells)
    while some := list(islice(rest, PIECE)):
        yield some


def room_in(outbox: Outbox) -> int:
    """How many more keys may be named: further ones might make the outbox forget all that waits in it."""
    return max(0, max(1, outbox.limit // 2) - outbox.backlog())


def _is_long(key: str, value: str) -> bool:
    length = len(key) + len(value)
    return 6 * length > LONG_BYTES and (
        length > LONG_BYTES or len(quote(key)) + len(quote(value)) > LONG_BYTES
    )
