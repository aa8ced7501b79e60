"""What one remote node has still to be told: the keys that changed, once each, and what a repair adds.

An outbox holds names, not values: what is sent is the state at the time of sending, so that a change
replaces an unsent older one by itself, and a node that is away costs memory once per key. While a parcel
with a key is on its way, the key's next change waits for the answer: order holds for each key. Nothing is
queued without bound: beyond its limit an outbox forgets the names and remembers that the node needs repair.

How a parcel looks on the wire is a courier's business (``replica.py``, ``htable.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Final, Protocol

from dmqcache.bus.peer import Sending
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells

#: Keys; at about 100 bytes a name this is 20 MB for a node that is away.
DEFAULT_LIMIT: Final = 200_000
#: Bytes of a cell on the wire: assumed before anything was sent, and at least.
ASSUMED_CELL_BYTES: Final = 64
MIN_CELL_BYTES: Final = 32
#: Seconds before a parcel that failed is tried again; doubles up to the second number.
RETRY_S: Final = (0.2, 1.0)
#: Each so many-th parcel is a repair's, if there is one, whatever else is waiting.
PORTION_TURN: Final = 4


@dataclass(slots=True)
class Portion:
    """Cells that a repair sends beside the changes, and what to do when all are acknowledged."""

    table: Cells
    cells: deque[Cell]
    on_done: Callable[[], None]
    #: Cells taken and not acknowledged yet.
    flying: int = 0

    def finished(self) -> bool:
        return not self.cells and not self.flying


@dataclass(slots=True, eq=False)
class Parcel:
    """What one message carries."""

    #: Keys by table with the number of the change that named each.
    names: dict[str, dict[str, int]] = field(default_factory=dict)
    #: The cells themselves, table by table.
    batches: list[tuple[Cells, list[Cell]]] = field(default_factory=list)
    portion: Portion | None = None
    #: How many names or cells, and their bytes as far as can be foreseen.
    count: int = 0
    bytes: int = 0
    #: Monotonic seconds at which the oldest change in it was made.
    since: float = 0.0
    sending: Sending | None = None

    @property
    def cells(self) -> list[tuple[Cells, Cell]]:
        """Each cell with its table; fewer than ``count`` where a flush took cells away and left names."""
        return [(table, cell) for table, cells in self.batches for cell in cells]


class Courier(Protocol):
    """Who carries an outbox's contents to its node."""

    def send(self, outbox: Outbox) -> bool:
        """Take one parcel and send it; False if there is nothing to take now."""


class Outbox:
    """One remote node's outbox."""

    def __init__(
        self, node: NodeURI, courier: Courier, now: Callable[[], float], limit: int = DEFAULT_LIMIT
    ) -> None:
        self.node = node
        self.name = str(node)
        self.courier = courier
        self.limit = limit
        self._now = now
        #: Whether the node takes messages now.
        self.open = False
        #: The limit was passed: names were forgotten, only a repair brings the node up to date.
        self.overflowed = False
        #: The node has all that was written here before it came; ``compared``: what it lacked is on its way.
        self.caught_up = True
        self.compared = False
        #: The number of the oldest change whose name was forgotten so.
        self._forgotten: int | None = None
        #: Told when the limit is passed while the node is there.
        self.on_overflow: Callable[[], None] = lambda: None
        #: A pump is scheduled for the end of the pause.
        self.alarmed = False
        #: Unix ms until which the node surely had heard us, when it was lost; None: it never was.
        self.lost_at: int | None = None
        #: Whether a key's next change must wait for the answer to the one before. Where versions decide,
        #: it need not.
        self.ordered = True
        self.window = 4
        self.budget = 8192
        #: What a cell took on the wire lately.
        self.cell_bytes = ASSUMED_CELL_BYTES
        #: Changed keys by table, each with the number of its first change that is not yet sent.
        self.lanes: dict[str, dict[str, int]] = {}
        self.tables: dict[str, Cells] = {}
        self.portions: deque[Portion] = deque()
        #: What is on its way, oldest first.
        self.parcels: dict[Parcel, None] = {}
        self._busy: dict[str, set[str]] = {}
        self._since = 0.0
        self._turn = 0
        self._retry_at = 0.0
        self._retry_delay = RETRY_S[0]

    # -- what is to be sent ------------------------------------------------------------------------------

    def lane(self, table: Cells) -> dict[str, int]:
        """Where a table's changed keys are named: ``lane.setdefault(key, number)``."""
        self.tables[table.name] = table
        self._busy.setdefault(table.name, set())
        return self.lanes.setdefault(table.name, {})

    def backlog(self) -> int:
        """Keys that are named and not sent."""
        return sum(map(len, self.lanes.values()))

    def waiting(self) -> int:
        """Everything that is not acknowledged yet."""
        flying = sum(parcel.count for parcel in self.parcels)
        return self.backlog() + flying + sum(len(portion.cells) for portion in self.portions)

    def add_portion(self, portion: Portion) -> None:
        """Send these cells when no change is waiting."""
        self.portions.append(portion)

    def first_unacknowledged(self) -> int | None:
        """The number of the oldest change that the node has not acknowledged; None if it has all."""
        firsts = [next(iter(lane.values())) for lane in self.lanes.values() if lane]
        for parcel in self.parcels:
            firsts.extend(min(names.values()) for names in parcel.names.values() if names)
        return min(firsts, default=None)

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

    def acknowledged(self, number: int) -> bool:
        """Whether the node, which is there, has acknowledged all changes up to ``number``."""
        if self.compared and not self.portions:
            self.caught_up = True
        if not self.open or not self.caught_up or self.overflowed:
            return False
        first = self.first_unacknowledged()
        return first is None or first > number

    # -- sending ---------------------------------------------------------------------------------------

    def ready_in(self) -> float:
        """Seconds until the outbox may try again after a failure; 0: now."""
        return max(0.0, self._retry_at - self._now())

    def pump(self) -> None:
        """Send as much as may be on its way at once."""
        self.check_limit()
        if not self._since and any(self.lanes.values()):
            self._since = self._now()
        if not self.open or self.ready_in() > 0:
            return
        while len(self.parcels) < self.window and self.courier.send(self):
            pass

    def check_limit(self) -> None:
        """Forget the names if there are too many."""
        if self.backlog() > self.limit:
            self._forgotten = self.first_missed()
            self.overflowed = True
            for lane in self.lanes.values():
                lane.clear()
            if self.open:
                self.on_overflow()

    def take(self, budget: int, most: int = 1_000_000) -> Parcel | None:
        """The next parcel of about ``budget`` bytes and at most ``most`` cells, but at least one."""
        parcel = Parcel(since=self._since or self._now())
        # Writes go first, but one parcel in four is a repair's: writes without end must not starve it.
        self._turn = (self._turn + 1) % PORTION_TURN
        if not self._turn:
            self._take_portion(parcel, budget, most)
        if parcel.count:
            self.parcels[parcel] = None
            return parcel
        for table, lane in self.lanes.items():
            if lane:
                self._take_named(parcel, table, lane, budget, most)
            if parcel.bytes >= budget or parcel.count >= most:
                break
        # Names alone are a parcel too: of a cell that a flush took away nothing is left but its name.
        if not parcel.names:
            self._take_portion(parcel, budget, most)
            if not parcel.count:
                return None
        self._since = self._now() if any(self.lanes.values()) else 0.0
        self.parcels[parcel] = None
        return parcel

    def _take_named(self, parcel: Parcel, name: str, lane: dict[str, int], budget: int, most: int) -> None:
        table, busy = self.tables[name], self._busy[name]
        room = max(1, min(most - parcel.count, (budget - parcel.bytes) // self.cell_bytes))
        barred = busy if self.ordered else None
        if not barred and len(lane) <= room:
            taken = lane.copy()
            lane.clear()
        else:
            free = (item for item in lane.items() if item[0] not in barred) if barred else lane.items()
            taken = dict(islice(free, room))
            for key in taken:
                del lane[key]
        if not taken:
            return
        busy.update(taken)
        parcel.names[name] = taken
        held = table.cells
        parcel.batches.append((table, [held[key] for key in taken if key in held]))
        parcel.count += len(taken)
        parcel.bytes += len(taken) * self.cell_bytes

    def _take_portion(self, parcel: Parcel, budget: int, most: int) -> None:
        for portion in self.portions:
            if portion.cells:
                break
        else:
            return
        count = min(len(portion.cells), most, max(1, budget // self.cell_bytes))
        parcel.batches.append((portion.table, [portion.cells.popleft() for _ in range(count)]))
        parcel.count = count
        parcel.bytes = count * self.cell_bytes
        parcel.portion = portion
        portion.flying += count

    def weighed(self, parcel: Parcel, size: int) -> None:
        """A parcel turned out to have ``size`` bytes: the next is foreseen better."""
        self.cell_bytes = max(MIN_CELL_BYTES, (3 * self.cell_bytes + size // max(1, parcel.count)) // 4)

    def delivered(self, parcel: Parcel) -> None:
        """The node has acknowledged a parcel."""
        if not self._close(parcel):
            return
        self._retry_delay = RETRY_S[0]
        portion = parcel.portion
        if portion is not None:
            portion.flying -= parcel.count
            if portion.finished() and portion in self.portions:
                self.portions.remove(portion)
                portion.on_done()

    def failed(self, parcel: Parcel, wait: bool = True) -> None:
        """A parcel was not acknowledged: what is in it is to be sent again, after a while."""
        if not self._close(parcel):
            return
        for name, names in parcel.names.items():
            lane = self.lanes[name]
            # Oldest first again, whichever parcel failed first: the first number tells who has what.
            both = sorted([*names.items(), *lane.items()], key=itemgetter(1))
            lane.clear()
            for key, number in both:
                lane.setdefault(key, number)
        if parcel.portion is not None:
            parcel.portion.flying -= parcel.count
            for _, cells in parcel.batches:
                parcel.portion.cells.extendleft(reversed(cells))
        if wait:
            self._retry_at = self._now() + self._retry_delay
            self._retry_delay = min(RETRY_S[1], self._retry_delay * 2)

    def _close(self, parcel: Parcel) -> bool:
        if parcel not in self.parcels:
            return False
        del self.parcels[parcel]
        for name, names in parcel.names.items():
            self._busy[name].difference_update(names)
        return True

    def shut(self) -> None:
        """The node is away: take back what is on its way, and wait."""
        self.open = False
        for parcel in list(self.parcels):
            if parcel.sending is not None:
                parcel.sending.cancel()
            self.failed(parcel, wait=False)
        self.portions.clear()

    def reopen(self, pause: float = 0.0) -> None:
        """The node answers again; it is sent to after ``pause`` seconds."""
        self.open = True
        self._retry_at = self._now() + pause if pause else 0.0
        self._retry_delay = RETRY_S[0]
