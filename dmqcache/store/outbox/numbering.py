"""When local changes were made, by their number: what the outboxes name, told in wall time; and changes whose
keys are named one after another.

The store counts its changes; here it is noted now and then how far it had come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

#: Notes that are kept: at ten a second three minutes', longer than it takes to notice that a node is gone.
MAX_NOTES: Final = 1_800


class Numbering:
    """How many changes had been made by when."""

    def __init__(self) -> None:
        self._notes: deque[tuple[int, int]] = deque(maxlen=MAX_NOTES)

    def note(self, number: int, wall_ms: int) -> None:
        """At ``wall_ms`` (Unix ms) the latest change was ``number``."""
        self._notes.append((number, wall_ms))

    def before(self, number: int) -> int:
        """Unix ms before the change was made, as late as is known; of one older than all notes, that of the
        first note; 0 if there is none."""
        earlier = (wall for noted, wall in reversed(self._notes) if noted < number)
        return next(earlier, self._notes[0][1] if self._notes else 0)


@dataclass(slots=True, eq=False)
class Promise:
    """A change whose keys are named one after another."""

    number: int
    #: The number of the last of them; None: there are more to come.
    last: int | None = None

    def is_kept(self, first: int | None) -> bool:
        """``first``: the number of the oldest named change that is not acknowledged, if there is one."""
        return self.last is not None and (first is None or first > self.last)
