"""What the judge knows of one process."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.history import Known, Value
from tests.simulation.sums import Sum

#: Table and key.
Place = tuple[str, str]
State = Known | Sum


@dataclass(slots=True)
class Life:
    """What is known of one process."""

    #: The last value seen, and what it may stand for.
    seen: dict[Place, tuple[Value | None, State]] = field(default_factory=dict)
    #: What its clients wrote through it last.
    own: dict[Place, State] = field(default_factory=dict)
    #: When that was (true seconds), of sets and deletes; not of flushes.
    told_at: dict[Place, float] = field(default_factory=dict)
