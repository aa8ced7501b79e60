"""The keys of a table's tombstones in the order of their burial, and which of them are to be forgotten.

Two queues: what was deleted must be remembered for nodes that have not heard of it; what died because its
time was over dies on every node by itself, and must never push a delete out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice


class Graves:
    """Keys with the monotonic second of their burial, the oldest first."""

    def __init__(self) -> None:
        self._deleted: dict[str, float] = {}
        self._over: dict[str, float] = {}

    def bury(self, key: str, at: float, over: bool) -> None:
        """``over``: its time was over, nobody deleted it."""
        self.remove(key)
        (self._over if over else self._deleted)[key] = at

    def remove(self, key: str) -> None:
        """The key lives again, or is forgotten."""
        if self._deleted.pop(key, None) is None:
            self._over.pop(key, None)

    def buried_at(self, key: str) -> float | None:
        """Monotonic seconds; None: there is no such tombstone."""
        at = self._deleted.get(key)
        return at if at is not None else self._over.get(key)

    def __len__(self) -> int:
        return len(self._deleted) + len(self._over)

    def __iter__(self) -> Iterator[str]:
        """Deleted keys, then those whose time was over, the oldest first."""
        return chain(self._deleted, self._over)

    def due(self, limit: int, oldest: float, most: int, held: bool) -> list[str]:
        """Up to ``limit`` keys to be forgotten: those buried before ``oldest``, unless they were deleted and
        are ``held``; and of each queue what exceeds ``most``."""
        found: list[str] = []
        for queue, kept in ((self._over, False), (self._deleted, held)):
            excess = len(queue) - most
            for number, (key, buried) in enumerate(islice(queue.items(), limit - len(found))):
                if number >= excess and (kept or buried > oldest):
                    break
                found.append(key)
        return found
