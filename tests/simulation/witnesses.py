"""Which increments of counters a node may have from Kamailio nodes alone, and so may give up again.

A Kamailio shows sums, and keeps them while those of us who counted are cut off from the others. A node that
has nothing better shows that number, and gives it up for the first part of the counter that one of us tells
it: nobody knows which parts are in a number. So an increment surely stays shown only where somebody who knows
it could tell: who made it, or was there with it when who made it ended. Beside Kamailio nodes alone.

So it is with the set that a counter began with: of one that a node has from a Kamailio alone it has not heard
yet, and the set ends what the node has counted upon its number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.cluster import Machine

#: Seconds until two nodes that were cut off from each other, or stood still, have told each other all.
HEARD_S = 15.0


@dataclass(slots=True)
class Witnesses:
    """Those of one counter."""

    #: Bit sets of increments, the machine of who knows them, and the name of the process there.
    known: list[tuple[int, Machine, str]] = field(default_factory=list)
    #: Value that was set -> the machines of those who surely know of that, and the names of the processes.
    sets: dict[int, list[tuple[Machine, str]]] = field(default_factory=dict)

    def began(self, machine: Machine, base: int) -> None:
        """The process that runs on a machine has set the counter to a value."""
        self.sets[base] = [(machine, machine.life)]

    def made(self, machine: Machine, bit: int, base: int = 0) -> bool:
        """The process that runs on a machine has made an increment, upon a value that was set (0: upon none).
        Returns whether it surely stays: it does not where the process may not have heard of the set."""
        if not self.knows(machine, base):
            return False
        self.known.append((bit, machine, machine.life))
        return True

    def knows(self, machine: Machine, base: object) -> bool:
        """Whether the process that runs on a machine surely has heard of a set, or a delete."""
        knowing = self.sets.get(base) if isinstance(base, int) else None
        if knowing is None or (machine, machine.life) in knowing:
            return True
        if not any(self._tells(one, life, machine) for one, life in knowing):
            return False
        knowing.append((machine, machine.life))
        return True

    def of(self, life: str) -> int:
        """What a process is a witness of."""
        return self._union(bits for bits, _, process in self.known if process == life)

    def heard(self, machine: Machine, bits: int) -> None:
        """Another one has just ended, and the process on this machine shows these of its increments."""
        if bits:
            self.known.append((bits, machine, machine.life))

    def unsure(self, machine: Machine) -> int:
        """The increments that a node may give up. While it is not ready, all but its own."""
        own = self.of(machine.life)
        if not machine.store.ready:
            return ~own
        return ~(own | self._union(bits for bits, one, life in self.known if self._tells(one, life, machine)))

    @staticmethod
    def _tells(one: Machine, life: str, other: Machine) -> bool:
        network, recent = one.cluster.network, one.now() - HEARD_S
        parted = max(network.parted_at(one.host, other.host), network.parted_at(other.host, one.host))
        return one.running and one.life == life and parted < recent

    @staticmethod
    def _union(masks: object) -> int:
        union = 0
        for mask in masks:  # type: ignore[attr-defined]
            union |= mask
        return union
