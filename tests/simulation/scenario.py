"""One run before it is lived through: its machines, and everything that happens, each with its moment.

``faults.py`` draws it from a seed; ``run.py`` lives through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dmqcache.store.store import StoreOptions
from tests.simulation.network import Weather

#: Seconds at the beginning in which the nodes of the first hour start.
START_S = 3.0
#: Seconds by which a message may be held back before others overtake it, from which on that is much.
JITTER_S = 0.1


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens, or that a client does."""

    at: float
    #: A name of a method of ``run.Run``.
    what: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}{self.args!r}"


@dataclass(slots=True)
class Scenario:
    """Everything about one run."""

    seed: int
    #: One for each machine: ``dmqcache``, ``bus`` (no tables), ``older``, or one of ``cluster.VERSIONS``.
    kinds: list[str]
    tables: list[str]
    options: StoreOptions
    #: How many of the first machines are notification addresses.
    seeds: int
    skews_ms: list[int]
    #: Seconds after which all is healed and no client writes any more.
    until: float
    #: Whether the clocks are kept, so that the newest write is the one with the latest version.
    sane: bool
    events: list[Event] = field(default_factory=list)
    #: Whether Kamailio nodes write too.
    kamailios_write: bool = True
    #: ``udp`` or ``tcp``.
    transport: str = "udp"
    #: Machines that stay dead.
    dead: set[int] = field(default_factory=set)
    #: Machines whose node keeps its tables on disk.
    disks: set[int] = field(default_factory=set)
    #: Machines whose Kamailio calls itself by a name; those whose Kamailio sends from another address.
    named: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)
    #: Whether the bus has a key, of which listed Kamailio nodes know nothing.
    keyed: bool = False
    #: Milliseconds by which all clocks are ahead beside that, until they are set right at once.
    ahead_ms: int = 0
    #: Whether phones register with the Kamailio nodes, and dmqcache nodes follow that.
    usrloc: bool = False

    @property
    def pure(self) -> bool:
        """No Kamailio is there."""
        return not any(kind.startswith("kamailio") for kind in self.kinds)

    @property
    def patient(self) -> bool:
        """Whether only the comparison with Kamailio nodes now and then finds all that is wrong: they wrote
        while nobody heard them, removed something without a word, or had an old message again that the
        network had doubled; or whether the one notification address, when it has been away, must wait for
        their pings."""
        removed = any(event.what in ("k_flush", "k_reload") for event in self.events)
        return not self.pure and (self.kamailios_write or self.doubled or removed or self.seeds == 1)

    @property
    def doubled(self) -> bool:
        """Whether the network doubles messages."""
        return any(weather.duplicate for weather in self._weathers())

    @property
    def jittery(self) -> bool:
        """Whether messages overtook one another by so much that round trips said little."""
        return any(weather.reorder and weather.reorder_delay >= JITTER_S for weather in self._weathers())

    @property
    def longest_stop(self) -> float:
        """Seconds for which a process stands still at most: so long a message may wait in its socket."""
        return max(
            (
                min([later.at for later in self._goes_on(event)] + [self.until]) - event.at
                for event in self.events
                if event.what == "stop"
            ),
            default=0.0,
        )

    def _goes_on(self, stop: Event) -> Iterator[Event]:
        for event in self.events:
            if event.what == "go_on" and event.args == stop.args and event.at >= stop.at:
                yield event

    def _weathers(self) -> Iterator[Weather]:
        for event in self.events:
            yield from (argument for argument in event.args if isinstance(argument, Weather))
