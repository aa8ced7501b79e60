"""What one remote node has still to be told: the keys that changed, once each, and what a repair adds.

An outbox holds names, not values: what is sent is the state at the time of sending, so that a change
replaces an unsent older one by itself, and a node that is away costs memory once per key. While a batch
with a key is on its way, the key's next change waits for the answer: order holds for each key. Nothing is
queued without bound: beyond its limit an outbox forgets the names and remembers that the node needs repair.

One way out, one way back: :meth:`Outbox.pump` takes a batch and hands it to the courier; the courier says
once whether it was :meth:`~Outbox.delivered` or has :meth:`~Outbox.failed`. How a batch looks on the wire is
the courier's business (``native_courier.py``, ``kamailio_courier.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from itertools import chain, islice
from math import inf
from operator import itemgetter
from typing import Final, Protocol

from dmqcache.bus.loop_steps import STEP_S
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.outbox.batch import Batch, Transfer
from dmqcache.store.outbox.numbering import Promise
from dmqcache.store.table.cells import Cells

#: Bytes of a cell on the wire: assumed before anything was sent, and at least.
ASSUMED_CELL_BYTES: Final = 64
MIN_CELL_BYTES: Final = 32
#: Batches that may be on their way at once.
WINDOW: Final = 4
#: Seconds before a batch that failed is tried again; doubles up to the second number.
RETRY_S: Final = (0.2, 1.0)
#: Seconds of the pause for others after a step in which batches were written.
TURN_S: Final = 0.0002
#: What is named for a flush, as no key is empty: a batch of a table's names carries how far it was flushed.
FLUSH: Final = ""
#: Each so many-th batch is of a transfer, if there is one, whatever else is waiting.
TRANSFER_TURN: Final = 4


class Courier(Protocol):
    """Who carries batches to nodes of one kind."""

    @property
    def first_budget(self) -> int:
        """Bytes of a node's first batches."""

    @property
    def most_cells(self) -> int:
        """Names or cells of one batch at most."""

    def carry(self, outbox: Outbox, batch: Batch) -> bool:
        """Send a batch. Later, or now, the outbox is told that it was delivered or has failed. False, and
        nothing is sent: it is too large for one message; fewer cells may fit."""


class Outbox:
    """One remote node's outbox."""

    def __init__(
        self,
        node: NodeURI,
        courier: Courier,
        now: Callable[[], float],
        limit: int,
        on_overflow: Callable[[Outbox], None],
        *,
        native: bool = False,
    ) -> None:
        """``limit``: keys that are named at most. ``on_overflow``: told when it is passed while the node is
        there. ``native``: the node is a dmqcache node."""
        self.node = node
        self.name = str(node)
        self.native = native
        self.limit = limit
        self._courier = courier
        self._now = now
        self._on_overflow = on_overflow
        #: Whether the node takes messages now.
        self.open = False
        #: The limit was passed: names were forgotten, only a repair brings the node up to date.
        self.overflowed = False
        #: The node has all that was written here before it came; ``compared``: what it lacked is on its way.
        self.caught_up = True
        #: The node answers that it has no such channel: it is told all, as ever, and holds nothing.
        self.holds_nothing = False
        #: It has shown that it takes what it is told: a dmqcache node by what it says of itself, any other by
        #: its first 200 since it was there.
        self.proven = native
        #: Monotonic seconds since when changes are named here.
        self.made_at = now()
        #: What the node drew at its start, of a dmqcache node: another start, and it has lost its memory.
        self.life = ""
        self.compared = False
        #: The next comparison with it is to bring what was evicted here as well.
        self.wanted_whole = False
        #: The number of the oldest change whose name was forgotten so.
        self._forgotten: int | None = None
        #: Flushes of which more keys are still to be named, or to be acknowledged.
        self.promises: list[Promise] = []
        #: A pump is scheduled for the end of the pause.
        self.alarmed = False
        #: Unix ms until which the node surely had heard us, when it was lost; None: it never was.
        self.lost_at: int | None = None
        #: Monotonic seconds when a Kamailio was asked that held just what we hold.
        self.equal_at = -inf
        #: Whether a key's next change must wait for the answer to the one before. Where versions decide,
        #: it need not.
        self.ordered = not native
        #: Batches that may be on their way at once, and about how many bytes each may have.
        self.window = WINDOW
        self.budget = courier.first_budget
        #: What a cell took on the wire lately.
        self.cell_bytes = ASSUMED_CELL_BYTES
        #: Changed keys by table, each with the number of its first change that is not yet sent.
        self.changed: dict[str, dict[str, int]] = {}
        #: The same of batches that failed, no more than were on their way at once: they go first. One that
        #: has changed again since is named in both.
        self._again: dict[str, dict[str, int]] = {}
        self.tables: dict[str, Cells] = {}
        self.transfers: deque[Transfer] = deque()
        #: What is on its way, oldest first.
        self.flying: dict[Batch, None] = {}
        self._busy: dict[str, set[str]] = {}
        self._since = 0.0
        self._turn = 0
        self._retry_at = 0.0
        self._retry_delay = RETRY_S[0]

    # -- what is to be sent ------------------------------------------------------------------------------

    def changed_in(self, table: Cells) -> dict[str, int]:
        """Where a table's changed keys are named: ``changed.setdefault(key, number)``."""
        self.tables[table.name] = table
        self._busy.setdefault(table.name, set())
        self._again.setdefault(table.name, {})
        return self.changed.setdefault(table.name, {})

    def names(self, table: Cells, key: str) -> bool:
        """Whether the node has still to be told, or to acknowledge, what a key holds."""
        return any(key in named.get(table.name, ()) for named in (self.changed, self._busy, self._again))

    def backlog(self) -> int:
        """Keys that are named and not sent; one that changed again since its batch failed counts twice."""
        return sum(map(len, self._named()))

    def _named(self) -> Iterator[dict[str, int]]:
        return chain(self.changed.values(), self._again.values())

    def waiting(self) -> int:
        """Everything that is not acknowledged yet."""
        flying = sum(batch.count for batch in self.flying)
        return self.backlog() + flying + sum(len(transfer.cells) for transfer in self.transfers)

    def add_transfer(self, transfer: Transfer) -> None:
        """Send these cells beside the changes."""
        self.transfers.append(transfer)

    def first_unacknowledged(self) -> int | None:
        """The number of the oldest change that the node has not acknowledged; None if it has all."""
        firsts = [next(iter(named.values())) for named in self._named() if named]
        for batch in self.flying:
            firsts.extend(min(names.values()) for names in batch.names.values() if names)
        first = min(firsts, default=None)
        if not self.promises:
            return first
        self.promises = [one for one in self.promises if not one.is_kept(first)]
        return min([one.number for one in self.promises] + firsts, default=None)

    def first_missed(self) -> int | None:
        """The same, with the changes that were forgotten because there were too many."""
        numbers = (self.first_unacknowledged(), self._forgotten)
        return min((number for number in numbers if number is not None), default=None)

    def mended(self) -> None:
        """A comparison found that the node has everything."""
        self.overflowed = False
        self._forgotten = None

    def needs_repair(self) -> bool:
        """Whether only a comparison can tell what the node lacks."""
        return self.overflowed or not (self.caught_up or self.compared)

    @property
    def counts(self) -> bool:
        """Whether the node is there and may be waited for."""
        return self.open and not self.holds_nothing and (self.proven or self.waiting() > 0)

    def acknowledged(self, number: int) -> bool:
        """Whether the node, which is there, has acknowledged all changes up to ``number``."""
        if self.compared and not self.transfers:
            self.caught_up = True
        if not self.counts or not self.proven or not self.caught_up or self.overflowed:
            return False
        first = self.first_unacknowledged()
        return first is None or first > number

    # -- sending ---------------------------------------------------------------------------------------

    def ready_in(self) -> float:
        """Seconds until the outbox may try again after a failure; 0: now."""
        return max(0.0, self._retry_at - self._now())

    def pump(self) -> None:
        """Send as much as may be on its way at once."""
        self._check_limit()
        if not self._since and any(self._named()):
            self._since = self._now()
        if not self.open or self.ready_in() > 0:
            return
        most, until = self._courier.most_cells, self._now() + STEP_S
        while len(self.flying) - self.stuck() < self.window:
            batch = self._take(most)
            if batch is None:
                return
            most = self._courier.most_cells
            carried = self._courier.carry(self, batch)
            self._learn_from(batch)
            if not carried:
                self.failed(batch, wait=False)
                most = max(1, batch.count // 2)
            elif self._now() > until:
                self._retry_at = max(self._retry_at, self._now() + TURN_S)
                return

    def stuck(self) -> int:
        """How many batches are on their way that hold up no others."""
        return sum(batch.stuck for batch in self.flying)

    def _check_limit(self) -> None:
        """Forget the names if there are too many."""
        if self.backlog() > self.limit:
            self._forgotten = self.first_missed()
            self.overflowed = True
            for named in self._named():
                named.clear()
            if self.open:
                self._on_overflow(self)

    def _take(self, most: int) -> Batch | None:
        """The next batch, at most ``most`` cells, and on its way from now on."""
        batch = Batch(since=self._since or self._now())
        # Writes go first, but one batch in four is a transfer's: writes without end must not starve it.
        self._turn = (self._turn + 1) % TRANSFER_TURN
        if not self._turn:
            self._take_transferred(batch, most)
        if batch.count:
            self.flying[batch] = None
            return batch
        for table, changed in self.changed.items():
            if changed or self._again[table]:
                self._take_changed(batch, table, changed, most)
            if batch.bytes >= self.budget or batch.count >= most:
                break
        # Names alone are a batch too: of a cell that a flush took away nothing is left but its name.
        if not batch.names:
            self._take_transferred(batch, most)
            if not batch.count:
                return None
        self._since = self._now() if any(self._named()) else 0.0
        self.flying[batch] = None
        return batch

    def _take_changed(self, batch: Batch, name: str, changed: dict[str, int], most: int) -> None:
        table, busy = self.tables[name], self._busy[name]
        room = max(1, min(most - batch.count, (self.budget - batch.bytes) // self.cell_bytes))
        barred = busy if self.ordered else None
        taken = _take_from(self._again[name], room, barred) if self._again[name] else {}
        for key in taken:
            # What it holds now is sent.
            changed.pop(key, None)
        if len(taken) < room:
            taken.update(_take_from(changed, room - len(taken), barred))
        if not taken:
            return
        busy.update(taken)
        batch.names[name] = taken
        held = table.cells
        batch.by_table.append((table, [held[key] for key in taken if key in held]))
        batch.count += len(taken)
        batch.bytes += len(taken) * self.cell_bytes

    def _take_transferred(self, batch: Batch, most: int) -> None:
        for transfer in self.transfers:
            if transfer.cells:
                break
        else:
            return
        count = min(len(transfer.cells), most, max(1, self.budget // self.cell_bytes))
        floor = transfer.table.floor
        take = transfer.cells.popleft
        cells = [take() for _ in range(count)]
        # What a flush has killed meanwhile may still look alive.
        batch.by_table.append((transfer.table, [cell for cell in cells if cell.stamp > floor]))
        batch.count = count
        batch.bytes = count * self.cell_bytes
        batch.transfer = transfer
        transfer.flying += count

    def _learn_from(self, batch: Batch) -> None:
        """A batch turned out to have so many bytes: the next is foreseen better."""
        if batch.size:
            mean = (3 * self.cell_bytes + batch.size // max(1, batch.count)) // 4
            self.cell_bytes = max(MIN_CELL_BYTES, mean)

    # -- what came of it ---------------------------------------------------------------------------------

    def delivered(self, batch: Batch) -> None:
        """The node has acknowledged a batch."""
        if not self._close(batch):
            return
        self._retry_delay = RETRY_S[0]
        transfer = batch.transfer
        if transfer is not None:
            transfer.flying -= batch.count
            self._end_if_finished(transfer)

    def _end_if_finished(self, transfer: Transfer) -> None:
        if transfer.finished() and transfer in self.transfers:
            self.transfers.remove(transfer)
            transfer.on_done()

    def settled(self, batch: Batch, table: str, key: str) -> None:
        """The node has acknowledged one key of a batch that waits for others: its next change need not."""
        if batch in self.flying and batch.names.get(table, {}).pop(key, None) is not None:
            self._busy[table].discard(key)

    def failed(self, batch: Batch, wait: bool = True) -> None:
        """A batch was not acknowledged: what is in it is to be sent again, after a while."""
        if not self._close(batch):
            return
        for name, names in batch.names.items():
            changed, again = self.changed[name], self._again[name]
            for key in names:
                changed.pop(key, None)
            # Oldest first again, whichever batch failed first: the first number tells who has what.
            both = sorted([*names.items(), *again.items()], key=itemgetter(1))
            again.clear()
            for key, number in both:
                again.setdefault(key, number)
        if batch.transfer is not None:
            batch.transfer.flying -= batch.count
            for _, cells in batch.by_table:
                batch.transfer.cells.extendleft(reversed(cells))
            self._end_if_finished(batch.transfer)  # A flush has killed all that was left of it.
        if wait:
            self._retry_at = self._now() + self._retry_delay
            self._retry_delay = min(RETRY_S[1], self._retry_delay * 2)

    def _close(self, batch: Batch) -> bool:
        if batch not in self.flying:
            return False
        del self.flying[batch]
        for name, names in batch.names.items():
            self._busy[name].difference_update(names)
        return True

    def shut(self) -> None:
        """The node is away: take back what is on its way, and wait."""
        self.open = False
        self.transfers.clear()
        for batch in list(self.flying):
            if batch.sending is not None:
                batch.sending.cancel()
            self.failed(batch, wait=False)

    def reopen(self, pause: float = 0.0) -> None:
        """The node answers again; it is sent to after ``pause`` seconds."""
        self.open = True
        self.holds_nothing = False
        self.proven = self.native
        self._retry_at = self._now() + pause if pause else 0.0
        self._retry_delay = RETRY_S[0]


def _take_from(named: dict[str, int], room: int, barred: Collection[str] | None) -> dict[str, int]:
    """Up to so many of these names, the oldest, but for those that are ``barred``."""
    if not barred and len(named) <= room:
        taken = named.copy()
        named.clear()
        return taken
    free = (item for item in named.items() if item[0] not in barred) if barred else named.items()
    taken = dict(islice(free, room))
    for key in taken:
        del named[key]
    return taken
