"""The outboxes of all remote nodes as one: a local change is named in each, and each is sent from.

Owns who has an outbox, the numbers of changes, and which dmqcache node looks after the Kamailio nodes. What
one node has still to be told is ``outbox.py``'s business; when a node comes or goes, the store's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.numbering import Numbering
from dmqcache.store.outbox.outbox import FLUSH, Courier, Outbox
from dmqcache.store.outbox.waiters import Waiters
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.table import Table

#: Keys that wait for every live node above which writers are asked to wait: a fifth of a second's work.
CONGESTED: Final = 10_000


class Outboxes(Mapping[NodeURI, Outbox]):
    """The outbox of each remote node, also of those that are away."""

    def __init__(
        self,
        ground: Ground,
        local: NodeURI,
        limit: int,
        on_overflow: Callable[[Outbox], None],
        on_nodes: Callable[[bool], None],
    ) -> None:
        """``limit``: keys that wait for one node at most. ``on_overflow``: more changed for a node that is
        there, and names were forgotten. ``on_nodes(took_over)``: other nodes are there, or in another way;
        whether this node has become the designated one."""
        self._ground = ground
        self._local = local
        self._limit = limit
        self._on_overflow = on_overflow
        self._on_nodes = on_nodes
        self._outboxes: dict[NodeURI, Outbox] = {}
        #: By table, where its changed keys are named: one dictionary for each outbox.
        self._named_in: dict[str, list[dict[str, int]]] = {}
        self._number = 0
        self._numbering = Numbering()
        self._flushing = False
        #: Whether this dmqcache node is the one that looks after the Kamailio nodes.
        self.designated = True
        #: Monotonic seconds when it was last.
        self.designated_until = -inf
        #: Unix ms up to which what this node read from disk reaches, and had been told to the Kamailio nodes:
        #: since then it has heard of nobody.
        self.absent_since: int | None = None
        self.waiters = Waiters(ground.runtime, self, self.latest_number)

    def latest_number(self) -> int:
        """The number of the latest local change."""
        return self._number

    def __getitem__(self, node: NodeURI) -> Outbox:
        return self._outboxes[node]

    def __iter__(self) -> Iterator[NodeURI]:
        return iter(self._outboxes)

    def __len__(self) -> int:
        return len(self._outboxes)

    # -- who is there ------------------------------------------------------------------------------------

    def open(self, node: NodeURI, courier: Courier, native: bool, pause: float, life: str = "") -> Outbox:
        """A node answers: it is told what waits for it, after ``pause`` seconds if it was lost before.
        ``life``: what a dmqcache node drew at its start."""
        outbox = self._outboxes.get(node)
        if outbox is None or outbox.native != native:
            if outbox is not None:
                outbox.shut()
            outbox = self._outboxes[node] = Outbox(
                node, courier, self._ground.clock.now, self._limit, self._on_overflow, native=native
            )
            if not native:
                # What a Kamailio wrote while we were off counts like what it wrote while it was cut off.
                outbox.lost_at = self.absent_since
            outbox.life = life
            outbox.caught_up = not (native and self._has_more_to_tell())
        elif outbox.life != life:
            # What it acknowledged, it acknowledged in another life.
            outbox.life = life
            outbox.compared = False
            outbox.caught_up = not self._has_more_to_tell()
        outbox.reopen(0.0 if outbox.lost_at is None else pause)
        self._count_anew()
        return outbox

    def _has_more_to_tell(self) -> bool:
        """Whether a node that comes may lack something that its outbox does not name: a cell or a flush."""
        return any(table.cells or table.floor for table in self._ground.replicated())

    def close(self, outbox: Outbox, heard_ms: int) -> None:
        """A node stopped answering; what changes meanwhile is kept for it. ``heard_ms``: Unix ms until which
        it surely was there."""
        outbox.shut()
        outbox.lost_at = self.told_until(outbox, heard_ms)

    def told_until(self, outbox: Outbox, heard_ms: int) -> int:
        """Unix ms up to which a node had surely heard what was changed here. ``heard_ms``: until when it was
        there; one that was lost before, and not compared with since, had heard no more than it had then."""
        if outbox.lost_at is not None:
            return outbox.lost_at
        missed = outbox.first_missed()
        return heard_ms if missed is None else min(heard_ms, self._numbering.before(missed))

    def closed(self) -> None:
        """All parts know that a node stopped answering: this one may have its duties now."""
        self._count_anew()

    def drop(self, node: NodeURI) -> None:
        """Nothing is kept for this node any more."""
        self._outboxes.pop(node, None)
        self._count_anew()

    def _count_anew(self) -> None:
        for table in self._ground.replicated():
            named_in = self._named_in.setdefault(table.name, [])
            named_in.clear()
            named_in.extend(outbox.changed_in(table) for outbox in self._outboxes.values())
        before = self.designated
        self.designated = all(self._local < uri for uri in self.replicas())
        if before and not self.designated:
            self.designated_until = self._ground.clock.now()
        self._on_nodes(self.designated and not before)

    def replicas(self) -> list[NodeURI]:
        """The dmqcache nodes that answer."""
        return [uri for uri, outbox in self._outboxes.items() if outbox.native and outbox.open]

    def misses_replicas(self) -> bool:
        """Whether a dmqcache node is away that may know what we do not."""
        return any(outbox.native and not outbox.open for outbox in self._outboxes.values())

    def of_kamailios(self) -> list[Outbox]:
        """The outboxes of Kamailio nodes, those that are away too."""
        return [outbox for outbox in self._outboxes.values() if not outbox.native]

    def tells(self, cell: Cell) -> bool:
        """Whether Kamailio nodes are told of a cell by this node: of counters by the designated one alone, so
        that sums arrive in order."""
        return cell.counts is None or self.designated

    def hold_tombstones(self) -> tuple[bool, bool]:
        """Whether a node that is away must still hear of deletes; whether one that is there must."""
        boxes = self._outboxes.values()
        held = any(outbox.overflowed or not outbox.open for outbox in boxes)
        behind = any(
            outbox.open and outbox.native and (outbox.overflowed or outbox.waiting() > 0) for outbox in boxes
        )
        return held, behind

    # -- what is to be told ------------------------------------------------------------------------------

    def on_change(self, table: str) -> Callable[[Cell], None]:
        """What a table is to call: it names the key of a local change in each outbox. It is on every write's
        way."""
        named_in = self._named_in.setdefault(table, [])
        changes = self._ground.counters.changes
        origin = (table, "local")

        def changed(cell: Cell) -> None:
            number = self._number = self._number + 1
            key = cell.key
            for named in named_in:
                named.setdefault(key, number)
            changes[origin] += 1
            if not self._flushing:
                self._flushing = True
                self._ground.runtime.call_later(0, self._flush)

        return changed

    def name_keys(self, table: Table, keys: Iterable[str], outboxes: Iterable[Outbox]) -> None:
        """Have these nodes told (again) what these keys hold."""
        self._number += 1
        for outbox in outboxes:
            named = outbox.changed_in(table)
            for key in keys:
                named.setdefault(key, self._number)
            self.pump(outbox)

    def name_flush(self, table: Table) -> None:
        """Have all dmqcache nodes told of a flush; those who wait for acknowledgements wait for it too."""
        self.name_keys(table, [FLUSH], [outbox for outbox in self._outboxes.values() if outbox.native])

    def note_time(self) -> None:
        """Remember how far the changes have come by now."""
        self._numbering.note(self._number, self._ground.clock.wall_ms())

    def congested(self) -> bool:
        """Whether writers should wait: even the node that keeps up best has much to be told. A slower one
        holds up nobody: its names are bounded, and beyond that it is repaired."""
        backlogs = [outbox.backlog() for outbox in self._outboxes.values() if outbox.open]
        return min(backlogs, default=0) > CONGESTED

    # -- sending -----------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flushing = False
        for outbox in list(self._outboxes.values()):
            self.pump(outbox)

    def pump(self, outbox: Outbox) -> None:
        """Send what waits to one node, now or after its pause; tell those who wait for it."""
        if self._ground.stopped:
            return
        outbox.pump()
        self.waiters.check()
        pause = outbox.ready_in()
        if pause > 0 and outbox.open and not outbox.alarmed:
            outbox.alarmed = True
            self._ground.runtime.call_later(pause, lambda: self._pause_over(outbox))

    def _pause_over(self, outbox: Outbox) -> None:
        outbox.alarmed = False
        self.pump(outbox)

    def stop(self) -> None:
        """Nothing is sent any more."""
        for outbox in self._outboxes.values():
            outbox.shut()
