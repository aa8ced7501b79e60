"""The asking side of sync and repair between dmqcache nodes: compare digests, descend, ask for what differs.

An initial sync is a repair of an empty table. One session at a time: it asks one node for the sums of its
tables, goes down the digest trees where they differ, and asks in small portions for the cells below; what
it has and the other lacks goes the other way with the same portions. A session whose donor dies is simply
begun again with another: parts already equal are not asked for twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.native.message import Done, NativeMessage, Part, Summary, Want, decode, encode
from dmqcache.store.native.replica import CONTENT_TYPE
from dmqcache.store.outbox.outbox import Portion
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.digest import FANOUT_BITS, MAX_DEPTH
from dmqcache.store.table.leaves import LeafIndex
from dmqcache.store.table.row import RowError

if TYPE_CHECKING:
    from dmqcache.store.store import Store
    from dmqcache.store.table.table import Table

#: Cells of one want, about: half a second's work for nobody, and small enough to lose.
PORTION_CELLS: Final = 4096
#: Wants under way at once: the donor packs one while another travels.
WINDOW: Final = 4
#: Tree parts in one question: 16 sums of about 20 bytes come back for each.
ASK_PARTS: Final = 4
#: Cell numbers in one want: about 20 bytes each.
WANT_NUMBERS: Final = 50
#: Wanted parts in one want.
WANT_PARTS: Final = 32
#: Cell numbers of one part: with more, parts below it are asked for, so that a want fits a datagram.
PART_NUMBERS: Final = 1000
#: Seconds until a donor that could not serve a want now (503) is asked again.
AGAIN_S: Final = 0.5
#: Rounds of one session: the later ones look only at what was written meanwhile.
ROUNDS: Final = 3
#: Seconds without any sign of the donor after which a session is given up.
SILENCE_S: Final = 8.0
#: Seconds between two looks at the sums while changes are still on their way anyway.
PATIENCE_S: Final = 0.25
#: Looks after which a session goes on all the same.
PATIENCE: Final = 12

Place = tuple[str, int, int]


@dataclass(slots=True)
class _Wanted:
    want: Want
    index: LeafIndex | None


@dataclass(slots=True)
class Session:
    """One comparison with one node."""

    store: Store
    node: NodeURI
    on_end: Callable[[Session, str], None]
    initial: bool = False
    #: What is to be compared, parts whose sums differ.
    _open: deque[Place] = field(default_factory=deque)
    _ripe: dict[str, deque[tuple[int, int]]] = field(default_factory=dict)
    _theirs: dict[str, Summary] = field(default_factory=dict)
    _wanted: dict[int, _Wanted] = field(default_factory=dict)
    _asking: int = 0
    _indexing: int = 0
    _round: int = 0
    _looks: int = 0
    _moved: bool = False
    _graves_wanted: bool = False
    _heard: float = 0.0
    #: Whether the donor has the whole state itself.
    donor_ready: bool = True
    ended: bool = False

    def start(self) -> None:
        """Compare the tables' sums."""
        self._heard = self.store.clock.now()
        self._watch()
        self._look()

    def _watch(self) -> None:
        if self.ended:
            return
        if self.store.clock.now() - max(self._heard, self.store.heard_at(self.node)) > SILENCE_S:
            self.end("failed")
            return
        self.store.runtime.call_later(1.0, self._watch)

    def end(self, outcome: str) -> None:
        """Stop; what was exchanged stays."""
        if not self.ended:
            self.ended = True
            self.on_end(self, outcome)

    # -- asking ------------------------------------------------------------------------------------------

    def _ask(self, parts: dict[str, list[tuple[int, int]]], then: Callable[[NativeMessage], None]) -> None:
        def answered(response: Response) -> None:
            self._asking -= 1
            if self.ended:
                return
            if response.status != 200:
                self.end("failed")
                return
            try:
                message = decode(response.body)
            except RowError:
                self.end("failed")
                return
            self._heard = self.store.clock.now()
            self.store.heard_clock(self.node, message.now)
            then(message)

        self._asking += 1
        self._send(NativeMessage(now=self.store.clock.raw_ms(), ask=parts), answered)

    def _send(self, message: NativeMessage, answered: Callable[[Response], None]) -> None:
        self.store.bus.send_message(
            self.store.replica,
            encode(message),
            self.node,
            content_type=CONTENT_TYPE,
            on_response=answered,
            timeout=5.0,
            fast=True,
        )

    def _look(self) -> None:
        if not self.ended:
            self._ask(
                {name: [] for name in self.store.tables if self.store.shares(name)}, self._compare_roots
            )

    def _compare_roots(self, message: NativeMessage) -> None:
        self._theirs = message.sums or {}
        self.donor_ready = message.ready
        if self.initial and not self._graves_wanted:
            self._want_graves()
        different: list[str] = []
        for name, summary in self._theirs.items():
            if not self.store.shares(name):
                continue
            table = self.store.tables[name]
            self.store.hear_floor(name, summary.floor)
            if summary.root != table.digest.node(0, 0) or summary.floor != table.floor:
                different.append(name)
        if not different:
            if not self._wanted:
                self.end("repaired" if self._moved else "equal")
            return
        outbox = self.store.outboxes.get(self.node)
        waiting = message.waiting + (outbox.waiting() if outbox is not None else 0)
        if waiting and self._looks < PATIENCE and not self.initial:
            self._looks += 1
            self.store.runtime.call_later(PATIENCE_S, self._look)
            return
        if self._round >= ROUNDS:
            self.end("repaired")
            return
        self._round += 1
        for name in different:
            self.store.send_floor(self.store.tables[name], self.node)
            self._sort_in(name, 0, 0)
        self._advance()

    def _sort_in(self, name: str, depth: int, index: int) -> None:
        """A part that differs: ask for it if it is small or empty here, else look below it."""
        table, theirs = self.store.tables[name], self._theirs[name]
        few = theirs.cells >> FANOUT_BITS * depth <= PORTION_CELLS
        deepest = min(table.digest.depth, theirs.depth)
        mine = table.digest.node(depth, index)
        if depth >= deepest or (few and mine == 0):
            self._ripe.setdefault(name, deque()).append((depth, index))
        else:
            self._open.append((name, depth, index))

    def _advance(self) -> None:
        """Ask for as much at once as the windows allow; look at the sums again when all is done."""
        if self.ended:
            return
        while self._open and self._asking < 2:
            self._descend()
        while len(self._wanted) + self._indexing < WINDOW and any(self._ripe.values()):
            self._want_some()
        idle = not (self._open or self._asking or self._wanted or self._indexing or any(self._ripe.values()))
        if idle:
            self._look()

    def _descend(self) -> None:
        parts: dict[str, list[tuple[int, int]]] = {}
        places: list[Place] = []
        while self._open and len(places) < ASK_PARTS:
            name, depth, index = self._open.popleft()
            parts.setdefault(name, []).append((depth, index))
            places.append((name, depth, index))

        def compare(message: NativeMessage) -> None:
            for name, asked in parts.items():
                summary = (message.sums or {}).get(name)
                for (depth, index), sums in zip(asked, summary.sums if summary else (), strict=False):
                    self._compare_children(name, depth, index, sums)
            self._advance()

        self._ask(parts, compare)

    def _compare_children(self, name: str, depth: int, index: int, sums: list[int]) -> None:
        table = self.store.tables[name]
        if depth >= table.digest.depth:
            return
        mine = table.digest.children(depth, index)
        for child, (ours, theirs) in enumerate(zip(mine, sums, strict=False)):
            if ours != theirs:
                self._sort_in(name, depth + 1, (index << FANOUT_BITS) + child)

    # -- wanting -----------------------------------------------------------------------------------------

    def _want_some(self) -> None:
        name = next(name for name, parts in self._ripe.items() if parts)
        table, parts = self.store.tables[name], self._ripe[name]
        if table.digest.node(*parts[0]) == 0:
            self._want_empty(name, parts)
            return
        self._indexing += 1
        self.store.leaves.get(table, lambda index: self._want_compared(table, index))

    def _want_empty(self, name: str, parts: deque[tuple[int, int]]) -> None:
        """Parts of which we hold nothing need no list of what we hold."""
        table = self.store.tables[name]
        chosen: list[Part] = []
        cells = 0
        while (
            parts and len(chosen) < WANT_PARTS and cells < PORTION_CELLS and table.digest.node(*parts[0]) == 0
        ):
            depth, index = parts.popleft()
            chosen.append(Part(depth, index))
            cells += (self._theirs[name].cells >> FANOUT_BITS * depth) + 1
        self._send_want(table, chosen, None)

    def _want_compared(self, table: Table, index: LeafIndex) -> None:
        self._indexing -= 1
        parts = self._ripe[table.name]
        chosen: list[Part] = []
        numbers = 0
        while not self.ended and parts and len(chosen) < WANT_PARTS and numbers < WANT_NUMBERS:
            depth, place = parts.popleft()
            held = [cell.digest for cell in index.below(depth, place)]
            if len(held) > PART_NUMBERS and depth < MAX_DEPTH:
                first = place << FANOUT_BITS
                parts.extendleft(
                    (depth + 1, child) for child in range(first + (1 << FANOUT_BITS) - 1, first - 1, -1)
                )
                continue
            chosen.append(Part(depth, place, held))
            numbers += len(held) + 1
        if chosen:
            self._send_want(table, chosen, index)
        self._advance()

    def _want_graves(self) -> None:
        """A node that starts asks for what was deleted too, once."""
        self._graves_wanted = True
        for name in self._theirs:
            if self.store.shares(name):
                self._send_want(self.store.tables[name], [], None, graves=True)

    def _send_want(
        self, table: Table, parts: list[Part], index: LeafIndex | None, graves: bool = False
    ) -> None:
        want = Want(self.store.repair.next_id(), table.name, parts, graves)
        self._wanted[want.id] = _Wanted(want, index)
        self._post_want(want)

    def _post_want(self, want: Want) -> None:
        def answered(response: Response) -> None:
            if self.ended or response.status == 200:
                return
            if response.status == 503 and not response.local:
                self.store.runtime.call_later(AGAIN_S, lambda: self._post_want(want))
            else:
                self.end("failed")

        if not self.ended:
            self._send(NativeMessage(now=self.store.clock.raw_ms(), want=want), answered)

    def done(self, done: Done) -> None:
        """The donor has sent all of one want."""
        wanted = self._wanted.pop(done.id, None)
        if wanted is None or self.ended:
            return
        self._heard = self.store.clock.now()
        self._moved = True
        if done.lack and wanted.index is not None:
            self._give_back(wanted, set(done.lack))
        self._advance()

    def _give_back(self, wanted: _Wanted, lack: set[int]) -> None:
        table, outbox = self.store.tables[wanted.want.table], self.store.outboxes.get(self.node)
        assert wanted.index is not None
        cells: deque[Cell] = deque(
            cell
            for part in wanted.want.parts
            for cell in wanted.index.below(part.depth, part.index)
            if cell.digest in lack
        )
        if cells and outbox is not None:
            outbox.add_portion(Portion(table, cells, lambda: None))
            self.store.pump(outbox)


class Repair:
    """When to compare with whom."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session: Session | None = None
        #: Nodes to compare with, the next first.
        self._due: dict[NodeURI, None] = {}
        self._id = 0

    def next_id(self) -> int:
        self._id += 1
        return self._id

    def want(self, node: NodeURI, first: bool = False) -> None:
        """Compare with ``node`` as soon as may be."""
        if first:
            self._due = {node: None, **self._due}
        else:
            self._due.setdefault(node)
        self.store.runtime.call_later(0, self._next)

    def forget(self, node: NodeURI) -> None:
        """``node`` is gone."""
        self._due.pop(node, None)
        if self.session is not None and self.session.node == node:
            self.session.end("failed")

    def stop(self) -> None:
        """Ask nobody any more."""
        self._due.clear()
        if self.session is not None:
            self.session.end("failed")

    def done(self, node: NodeURI, done: Done) -> None:
        """A donor says that it has sent all of one want."""
        if self.session is not None and self.session.node == node:
            self.session.done(done)

    def tick(self) -> None:
        """Now and then: compare with one node, chosen by chance, unless a session is under way. Nodes for
        which changes were forgotten, or that came and were not compared with yet, come first: the repair that
        was to follow at once may have failed."""
        nodes = self.store.replicas()
        nodes = [node for node in nodes if self.store.outboxes[node].needs_repair()] or nodes
        if nodes and self.session is None and not self._due:
            self.want(nodes[int(self.store.runtime.random() * len(nodes))])

    def _next(self) -> None:
        if self.session is not None or not self._due or self.store.stopped:
            return
        node = next(iter(self._due))
        del self._due[node]
        outbox = self.store.outboxes.get(node)
        if outbox is None or not outbox.open:
            self._next()
            return
        self.session = Session(self.store, node, self._ended, initial=not self.store.ready)
        self.session.start()

    def _ended(self, session: Session, outcome: str) -> None:
        self.session = None
        self.store.counters.repairs[outcome] += 1
        outbox = self.store.outboxes.get(session.node)
        if outcome != "failed" and outbox is not None:
            outbox.mended()
            outbox.compared = True
        self.store.repaired(session.node, outcome, session.donor_ready)
        self.store.runtime.call_later(0, self._next)
