"""What Kamailio nodes wrote last to a table's keys, and when that was sent.

Scripts write a key twice within a millisecond: a value, then its time to live. If the second message is lost
at first, versions by the clock are too coarse to tell that it is the later one. And dmqcache nodes give such
writes versions of their own: one that has heard the first alone may seem to know better. Owns the memory of
it; what follows is for ``writes.py`` and ``collisions.py``. Which of two messages was sent first,
``overtaking.py`` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from dmqcache.bus.bounded import Bounded
from dmqcache.store.kamailio.overtaking import KEPT_S, Sent
from dmqcache.store.table.cell import DEFAULT_TTL, Cell

#: Keys of one table that are remembered: what a busy Kamailio writes until a lost message comes again.
MAX_WRITES: Final = 20_000
#: Earlier writes of a key that are remembered beside its last.
MAX_EARLIER: Final = 3
#: A longer value is known again, but not kept.
MAX_VALUE: Final = 1_000


class Content(NamedTuple):
    """What a cell held."""

    value: str | int | None
    #: Milliseconds as it was set, and monotonic seconds when that is over.
    ttl: int
    expires: float
    flags: int


@dataclass(slots=True)
class _Write:
    """The last write of a key."""

    sender: str
    sent: Sent
    version: int
    #: Hashes of the value alone, and of all that the cell held.
    value: int
    content: int
    #: None: too long to be kept.
    kept: Content | None
    #: What the same sender wrote just before: hashes of all.
    earlier: tuple[int, ...]


class LastWrites:
    """The memory of one table."""

    def __init__(self) -> None:
        self._writes: Bounded[str, _Write] = Bounded(MAX_WRITES)

    def note(self, cell: Cell, sender: str, sent: Sent | None) -> None:
        """``sender`` wrote ``cell`` as it is now."""
        if sent is None:
            return
        before = self._writes.get(cell.key)
        earlier: tuple[int, ...] = ()
        if before is not None and before.sender == sender and sent.moment - before.sent.moment <= KEPT_S:
            earlier = (*before.earlier, before.content)[-MAX_EARLIER:]
        value = cell.value
        short = not isinstance(value, str) or len(value) <= MAX_VALUE
        self._writes[cell.key] = _Write(
            sender,
            sent,
            cell.last_modified(),
            _value_hash(cell),
            _content_hash(cell),
            Content(value, cell.ttl, cell.expires, cell.flags & DEFAULT_TTL) if short else None,
            earlier,
        )

    def sent(self, cell: Cell, sender: str, now: float) -> Sent | None:
        """When ``sender`` sent what ``cell`` holds, maybe under a version that another node gave it since;
        None: it was another, or too long ago. ``now``: monotonic seconds."""
        write = self._writes.get(cell.key)
        if write is None or write.sender != sender:
            return None
        if write.version == cell.last_modified():
            return write.sent
        return write.sent if write.value == _value_hash(cell) and self._is_fresh(write, now) else None

    def later_than(self, cell: Cell, now: float) -> Content | None:
        """What a Kamailio wrote after what ``cell`` holds; None where nothing is known of that."""
        write = self._writes.get(cell.key)
        if write is None or not self._is_fresh(write, now):
            return None
        held = _content_hash(cell)
        return write.kept if held != write.content and held in write.earlier else None

    @staticmethod
    def _is_fresh(write: _Write, now: float) -> bool:
        return now - write.sent.moment <= KEPT_S


def _value_hash(cell: Cell) -> int:
    return hash((type(cell.value), cell.value))


def _content_hash(cell: Cell) -> int:
    return hash((type(cell.value), cell.value, cell.ttl, cell.flags & DEFAULT_TTL))
