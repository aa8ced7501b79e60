"""What a session asks its donor for: the cells below the parts that differ, a few parts at a time.

With a part go the numbers of the cells that we hold below it: the donor sends what is not among them and
says which of them it lacks; those go back the same way. A part whose numbers no message holds is split; one
that cannot be split any more (whoever chooses keys can choose them so) is exchanged whole, both ways.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dmqcache.bus.peer import Response
from dmqcache.store.native.native_message import Done, NativeMessage, Part, Want
from dmqcache.store.native.with_node import WithNode
from dmqcache.store.outbox.batch import Transfer
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.digest import FANOUT_BITS, MAX_DEPTH
from dmqcache.store.table.leaves import LeafIndex
from dmqcache.store.table.table import Table

#: Cells of one want, about: half a second's work for nobody, and small enough to lose.
TRANSFER_CELLS: Final = 4096
#: Wants under way at once: the donor packs one while another travels.
WINDOW: Final = 4
#: Cell numbers in one want: about 20 bytes each.
WANT_NUMBERS: Final = 50
#: Wanted parts in one want.
WANT_PARTS: Final = 32
#: Cell numbers of one part: with more, parts below it are asked for, so that a want fits a datagram.
PART_NUMBERS: Final = 1000
#: Seconds until a donor that could not serve a want now (503) is asked again.
AGAIN_S: Final = 0.5


class WantsListener(Protocol):
    """Who is told how it goes."""

    def want_sent(self) -> None:
        """A want that had waited for an index is on its way."""

    def want_served(self) -> None:
        """The donor has sent all of one want."""

    def want_failed(self) -> None:
        """The donor does not serve us."""


@dataclass(slots=True)
class _Wanted:
    want: Want
    index: LeafIndex | None
    #: Parts that are asked for whole, depth and index: what we hold of them goes back whole.
    whole: list[tuple[int, int]]


class Wants:
    """The wants of one session."""

    def __init__(self, with_node: WithNode, next_id: Callable[[], int], listener: WantsListener) -> None:
        """``next_id``: numbers that no want had before."""
        self._with = with_node
        self._ground = with_node.ground
        self._next_id = next_id
        self._listener = listener
        #: Parts to be wanted, by table: depth and index.
        self._parts: dict[str, deque[tuple[int, int]]] = {}
        #: How many cells the donor's tables have.
        self._their_cells: dict[str, int] = {}
        self._wanted: dict[int, _Wanted] = {}
        #: Wants that wait for an index.
        self._indexing = 0
        self._stopped = False
        #: What the donor's last answer told, see ``donor.py``.
        self.token = ""
        #: Whether any want was served.
        self.served = False

    def add(self, name: str, depth: int, index: int, their_cells: int) -> None:
        """Ask for what lies below this part. ``their_cells``: how many the donor's whole table has."""
        self._parts.setdefault(name, deque()).append((depth, index))
        self._their_cells[name] = their_cells

    def tombstones(self, names: Iterable[str]) -> None:
        """Ask for the tombstones of these tables."""
        for name in names:
            self._send(self._ground.tables[name], [], None, tombstones=True)

    def ask(self) -> None:
        """Ask for as much at once as the window allows."""
        while len(self._wanted) + self._indexing < WINDOW and any(self._parts.values()):
            self._ask_some()

    @property
    def under_way(self) -> bool:
        """Whether a want is not served yet."""
        return bool(self._wanted)

    def busy(self) -> bool:
        """Whether anything is still to be asked or to come."""
        return bool(self._wanted or self._indexing or any(self._parts.values()))

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stopped = True

    def _ask_some(self) -> None:
        name = next(name for name, parts in self._parts.items() if parts)
        table, parts = self._ground.tables[name], self._parts[name]
        if _is_empty(table, *parts[0]):
            self._ask_empty(table, parts)
            return
        self._indexing += 1
        self._with.leaves.get(table, lambda index: self._ask_compared(table, index))

    def _ask_empty(self, table: Table, parts: deque[tuple[int, int]]) -> None:
        """Parts of which we hold nothing need no list of what we hold."""
        chosen: list[Part] = []
        cells = 0
        while parts and len(chosen) < WANT_PARTS and cells < TRANSFER_CELLS and _is_empty(table, *parts[0]):
            depth, index = parts.popleft()
            chosen.append(Part(depth, index))
            cells += (self._their_cells[table.name] >> FANOUT_BITS * depth) + 1
        self._send(table, chosen, None)

    def _ask_compared(self, table: Table, index: LeafIndex) -> None:
        self._indexing -= 1
        parts = self._parts[table.name]
        chosen: list[Part] = []
        whole: list[tuple[int, int]] = []
        numbers = 0
        while not self._stopped and parts and len(chosen) < WANT_PARTS and numbers < WANT_NUMBERS:
            depth, place = parts.popleft()
            held = [cell.digest for cell in index.below(depth, place)]
            if len(held) > PART_NUMBERS and depth < MAX_DEPTH:
                first = place << FANOUT_BITS
                parts.extendleft(
                    (depth + 1, child) for child in range(first + (1 << FANOUT_BITS) - 1, first - 1, -1)
                )
                continue
            if len(held) > PART_NUMBERS:
                whole.append((depth, place))
                numbers, held = WANT_NUMBERS, []
            chosen.append(Part(depth, place, held))
            numbers += len(held) + 1
        if chosen:
            self._send(table, chosen, index, whole=whole)
        self._listener.want_sent()

    def _send(
        self,
        table: Table,
        parts: list[Part],
        index: LeafIndex | None,
        tombstones: bool = False,
        whole: Sequence[tuple[int, int]] = (),
    ) -> None:
        want = Want(self._next_id(), table.name, parts, tombstones, self.token)
        self._wanted[want.id] = _Wanted(want, index, list(whole))
        self._post(want)

    def _post(self, want: Want) -> None:
        def answered(response: Response) -> None:
            if self._stopped or response.status == 200:
                return
            if response.status == 503 and not response.local:
                self._ground.runtime.call_later(AGAIN_S, lambda: self._post(want))
            else:
                self._listener.want_failed()

        if not self._stopped:
            self._with.send(NativeMessage(want=want), answered)

    def done(self, done: Done) -> None:
        """The donor has sent all of one want."""
        wanted = self._wanted.pop(done.id, None)
        if wanted is None:
            return
        self.served = True
        if wanted.index is not None and (done.lack or wanted.whole):
            self._give_back(wanted, wanted.index, set(done.lack))
        self._listener.want_served()

    def _give_back(self, wanted: _Wanted, index: LeafIndex, lack: set[int]) -> None:
        want, donor = wanted.want, str(self._with.node)
        cells: deque[Cell] = deque(
            cell
            for part in want.parts
            if (part.depth, part.index) not in wanted.whole
            for cell in index.below(part.depth, part.index)
            if cell.digest in lack
        )
        for depth, place in wanted.whole:
            cells.extend(cell for cell in index.below(depth, place) if cell.writer != donor)
        if cells:
            self._with.give(Transfer(self._ground.tables[want.table], cells, lambda: None))


def _is_empty(table: Table, depth: int, index: int) -> bool:
    """Whether we surely hold nothing below a part. Of what lies below a leaf the digest says nothing."""
    return depth <= table.digest.depth and table.digest.node(depth, index) == 0
