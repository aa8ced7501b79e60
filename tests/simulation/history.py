"""One key that dmqcache nodes alone write: every write that a client was told was done, and which may stand.

Knows only when and where the clients called, what the wall clock there said, and what the node showed just
before. From that follows which write surely beats which; between the others either may stand. Knows nothing
of versions as the code makes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

Value = str | int


@dataclass(slots=True, eq=False)
class Write:
    """A set or delete (or many sets of one burst) that a client was told was done."""

    #: Its place among the writes of the key.
    number: int
    #: ``host#life`` of the process that did it.
    process: str
    #: Unix ms between which its version may lie, whatever the code: the writer's clock, and the clock that is
    #: furthest ahead.
    earliest: int
    latest: int
    #: What it wrote (None: a delete); each of them, for a burst.
    values: tuple[Value | None, ...]
    #: True seconds at which its time is over.
    ends: float = inf
    #: Bit set of the numbers of the writes that it surely beats.
    beaten: int = 0

    @property
    def bit(self) -> int:
        return 1 << self.number

    def __str__(self) -> str:
        shown = "a delete" if self.values == (None,) else ", ".join(map(repr, self.values[:3]))
        return f"{shown} (#{self.number} of {self.process})"


#: What a node's state of a key may stand for: writes; None: it has never heard of the key.
Known = tuple[Write | None, ...]
NOTHING: Known = (None,)


@dataclass(slots=True)
class History:
    """All writes of one key."""

    #: Seconds by which a time to live may end earlier or later than it was given.
    slack: float
    #: Whether clocks are kept; if not, nobody can tell which write wins.
    ordered: bool = True
    writes: list[Write] = field(default_factory=list)

    def add(
        self,
        process: str,
        earliest: int,
        latest: int,
        values: tuple[Value | None, ...],
        known: Known,
        ends: float = inf,
    ) -> Write:
        """A client was told that it was done, by a process whose state stood for one of ``known``."""
        write = Write(len(self.writes), process, earliest, latest, values, ends)
        for earlier in self.writes if self.ordered else ():
            if earlier.process == process or earlier.latest < earliest:
                write.beaten |= earlier.beaten | earlier.bit
        if self.ordered:
            write.beaten |= surely(known)
        self.writes.append(write)
        return write

    def may_stand_for(self, value: Value | None, now: float, before: Known) -> Known:
        """What a node's state may stand for that shows ``value`` and stood for one of ``before``. Empty: it
        has gone back to something older, or shows what nobody wrote."""
        found: list[Write | None] = []
        for write in self.writes:
            if self._shows(write, value, now) and any(
                known is None or not beats(known, write) for known in before
            ):
                found.append(write)
        if value is None and None in before:
            found.append(None)
        return tuple(found)

    def over(self, value: Value | None, now: float) -> list[Write]:
        """The writes of a value whose time is over."""
        return [write for write in self.writes if value in write.values and write.ends <= now]

    def _shows(self, write: Write, value: Value | None, now: float) -> bool:
        if value is None:
            return None in write.values or write.ends - self.slack <= now
        return value in write.values and now < write.ends + self.slack


def beats(one: Write, other: Write) -> bool:
    """Whether ``one`` surely wins over ``other``."""
    return bool(one.beaten & other.bit)


def surely(known: Known) -> int:
    """Bit set of the writes that a node has surely heard of, or that what it has heard of beats."""
    both = -1
    for write in known:
        both &= 0 if write is None else write.beaten | write.bit
    return max(both, 0)


def keeps(state: Known, bound: Known) -> bool:
    """Whether a state that stands for one of ``state`` may hold one of ``bound``, or something that won."""
    return any(
        wanted is None or (write is not None and not beats(wanted, write))
        for wanted in bound
        for write in state
    )


def knows(state: object, write: Write) -> bool:
    """Whether a state surely stands for a write, or for what beats it."""
    known = state if isinstance(state, tuple) else NOTHING
    return all(one is not None and (one is write or beats(one, write)) for one in known)


def shown(known: Iterable[Write | None]) -> str:
    """For people."""
    return " or ".join("nothing" if write is None else str(write) for write in known) or "nothing possible"
