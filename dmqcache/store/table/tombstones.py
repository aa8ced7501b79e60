"""The keys of a table's tombstones in the order of their deaths, and which of them are to be forgotten.

Two queues: what was deleted must be remembered for nodes that have not heard of it; what expired
dies on every node by itself, and must never push a delete out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from dmqcache.store.table.hashed_dict import hashed_dict


class Tombstones:
    """Keys with the monotonic second of their death, the oldest first."""

    def __init__(self) -> None:
        self._deleted: dict[str, float] = hashed_dict()
        self._expired: dict[str, float] = hashed_dict()

    def add(self, key: str, at: float, expired: bool) -> None:
        """``at``: monotonic seconds. ``expired``: nobody deleted it, its time to live passed."""
        self.remove(key)
        (self._expired if expired else self._deleted)[key] = at

    def remove(self, key: str) -> None:
        """The key lives again, or is forgotten."""
        if self._deleted.pop(key, None) is None:
            self._expired.pop(key, None)

    def died_at(self, key: str) -> float | None:
        """Monotonic seconds; None: there is no such tombstone."""
        at = self._deleted.get(key)
        return at if at is not None else self._expired.get(key)

    def __len__(self) -> int:
        return len(self._deleted) + len(self._expired)

    def __iter__(self) -> Iterator[str]:
        """Deleted keys, then those that expired, the oldest first."""
        return chain(self._deleted, self._expired)

    def due(self, limit: int, oldest: float, most: int, held: bool) -> list[str]:
        """Up to ``limit`` keys to be forgotten: those that died before ``oldest``, unless they were deleted
        and are ``held``; and of each queue what exceeds ``most``."""
        found: list[str] = []
        for queue, kept in ((self._expired, False), (self._deleted, held)):
            excess = len(queue) - most
            for number, (key, died) in enumerate(islice(queue.items(), limit - len(found))):
                if number >= excess and (kept or died > oldest):
                    break
                found.append(key)
        return found
