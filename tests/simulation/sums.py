"""One counter that dmqcache nodes alone write. Each increment is another power of two, so that any number
that a node shows says by itself which increments are in it, and upon which set they were made.

- bits 0 to 23: the increments, positive or negative;
- above: the number of the set that it began with; 0: none, or a delete.

All stays below 2**31, so that Kamailio nodes can hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.cluster import Machine
from tests.simulation.history import NOTHING, History, Known, Value, Write, surely
from tests.simulation.witnesses import Witnesses

#: Increments and sets of one key.
INCREMENTS = 24
SETS = 60
MASK = (1 << INCREMENTS) - 1


@dataclass(frozen=True, slots=True)
class Sum:
    """What a node's state of a counter may stand for."""

    base: Known = NOTHING
    #: Bit set of the increments in it.
    mask: int = 0


@dataclass(slots=True)
class Counter:
    """All increments, sets and deletes of one key."""

    history: History
    #: Sum of the magnitudes of the negative increments.
    negative: int = 0
    #: How many increments and sets were made.
    increments: int = 0
    sets: int = 0
    #: Number of a delete -> the increments that it surely ended.
    ended: dict[int, int] = field(default_factory=dict)
    #: Value that was set -> the increments which were made upon it, as their node showed.
    upon: dict[int, int] = field(default_factory=dict)
    #: Who surely knows which increments.
    witnesses: Witnesses = field(default_factory=Witnesses)

    def next_increment(self, sign: int) -> int | None:
        """By how much to count; None: it was done often enough."""
        return sign << self.increments if self.increments < INCREMENTS else None

    def next_set(self) -> int | None:
        """What to set."""
        return (self.sets + 1) << INCREMENTS if self.sets < SETS else None

    def counted(self, by: int, shown: int, before: Sum) -> Sum:
        """An increment was done, and the node then showed this number."""
        if by < 0:
            self.negative -= by
        self.increments += 1
        base, mask = self.read(shown)
        self.upon[base] = self.upon.get(base, 0) | abs(by)
        return Sum(before.base, mask | abs(by))

    def read(self, value: int) -> tuple[int, int]:
        """The value that it began with, and the increments in it."""
        number = value + self.negative
        # A negative increment that is in it has taken its bit away from the sum of all of them.
        mask = (number & MASK) ^ self.negative
        return number >> INCREMENTS << INCREMENTS, mask

    def may_stand_for(self, value: Value | None, now: float, before: Sum) -> Sum | str:
        """What a node's state may stand for now, or what is wrong with it."""
        if isinstance(value, str):
            return f"is {value!r}, and only numbers were written"
        base, mask = self.read(value) if value is not None else (0, 0)
        if mask >> self.increments or base < 0 or base >> INCREMENTS > self.sets:
            return f"is {value}, which no sets and increments make"
        known = self.history.may_stand_for(base or None, now, before.base)
        if not known:
            return f"went back: it is {value}"
        lost = before.mask & ~mask
        if lost and self._begins_alike(known, before.base):
            return f"is {value} and lacks increments of {lost:#x} which were in it"
        undone = mask & self._ended(before.base)
        if undone and not base:
            return f"is {value}: increments of {undone:#x} came back that a delete had ended"
        foreign = mask & ~self.upon.get(base, 0)
        if base and foreign:
            return f"is {value}: increments of {foreign:#x} were made upon something else"
        return Sum(known, mask)

    def sure(self, machine: Machine, before: Sum) -> Sum:
        """What a node surely has of a state, if it may have the number from a Kamailio alone."""
        mask = before.mask & ~self.witnesses.unsure(machine) if before.mask else 0
        bases = [write.values[0] for write in before.base if write is not None]
        heard = all(self.witnesses.knows(machine, base) for base in bases)
        return Sum(before.base if heard else (None, *before.base), mask)

    def holds(self, state: Sum, bound: Sum) -> bool:
        """Whether a state surely lacks nothing of what another one knew."""
        return not (bound.mask & ~state.mask and self._begins_alike(state.base, bound.base))

    @staticmethod
    def _begins_alike(one: Known, other: Known) -> bool:
        """Whether both surely began with the same set (or both with none)."""
        return len(one) == 1 and one == other

    def deleted(self, write: Write, before: Sum) -> None:
        """A client's delete was done on a node that showed these increments."""
        self.ended[write.number] = before.mask | self._ended(before.base)

    def _ended(self, known: Known) -> int:
        heard = surely(known)
        return self._union(number for number in self.ended if heard >> number & 1)

    def _union(self, numbers: object) -> int:
        mask = 0
        for number in numbers:  # type: ignore[attr-defined]
            mask |= self.ended[number]
        return mask
