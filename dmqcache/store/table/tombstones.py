"""The keys of a table's tombstones in the order of their deaths, and which of them are to be forgotten.

Two queues: what was deleted must be remembered for nodes that have not heard of it; what expired
dies on every node by itself, and must never push a delete out. In each the oldest goes first, however late
this node has heard of it: from a node that gives what was missed here, or from disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import chain
from math import inf
from typing import Protocol

from dmqcache.store.table.hashed_dict import hashed_dict
from dmqcache.store.table.order import KeyOrder

#: Entries of a heap that may be void beside as many as are valid, before it is made anew.
VOID = 1_000


class Tombstones:
    """Keys with the monotonic second of their death, the oldest first."""

    def __init__(self) -> None:
        self._deleted = _Queue()
        self._expired = _Queue()
        #: All keys, for who goes through them. They are never sorted.
        self._keys = KeyOrder()

    def add(self, key: str, at: float, expired: bool) -> None:
        """``at``: monotonic seconds. ``expired``: nobody deleted it, its time to live passed."""
        if not self._remove(key):
            self._keys.add(key)
        (self._expired if expired else self._deleted).add(key, at)

    def remove(self, key: str) -> None:
        """The key lives again, or is forgotten."""
        if self._remove(key):
            self._keys.discard(key)

    def _remove(self, key: str) -> bool:
        return self._deleted.remove(key) or self._expired.remove(key)

    def died_at(self, key: str) -> float | None:
        """Monotonic seconds; None: there is no such tombstone."""
        at = self._deleted.died_at(key)
        return at if at is not None else self._expired.died_at(key)

    def __len__(self) -> int:
        return len(self._deleted) + len(self._expired)

    def __iter__(self) -> Iterator[str]:
        """Deleted keys, then those that expired. Nothing may change meanwhile."""
        return chain(self._deleted, self._expired)

    def walk(self, count: int) -> Iterator[list[str]]:
        """The keys in no order, ``count`` at a time: each that is dead all the while, some of them twice, and
        some that are not. Anything may change between two steps."""
        return self._keys.walk(count)

    def emptied(self, count: int) -> Iterator[None]:
        """Give the memory back, so much at a time: nobody asks for them any more."""
        return chain(self._deleted.emptied(count), self._expired.emptied(count), self._keys.emptied(count))

    def take_due(self, limit: int, oldest: float, most: int, held: bool) -> list[str]:
        """Forget up to ``limit`` keys, which are returned: those that died at ``oldest`` or before, unless
        they were deleted and are ``held``; and of each queue what exceeds ``most``."""
        found = self._expired.take(limit, oldest, most)
        found += self._deleted.take(limit - len(found), -inf if held else oldest, most)
        for key in found:
            self._keys.discard(key)
        return found


class Buried(Protocol):
    """A table, whose tombstones are others after a flush."""

    tombstones: Tombstones


def walk_dead(table: Buried, count: int) -> Iterator[list[str]]:
    """:meth:`Tombstones.walk` of a table, from the beginning again where it has got others meanwhile."""
    tombstones = None
    while tombstones is not table.tombstones:
        tombstones = table.tombstones
        for keys in tombstones.walk(count):
            yield keys
            if table.tombstones is not tombstones:
                break


class _Queue:
    """Keys by their deaths. Nearly all come in that order; others stand in a heap beside."""

    def __init__(self) -> None:
        self._in_turn: dict[str, float] = hashed_dict()
        self._last = -inf
        self._late: dict[str, float] = hashed_dict()
        #: What stands in ``_late``, and may be void meanwhile.
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._in_turn) + len(self._late)

    def __iter__(self) -> Iterator[str]:
        return chain(self._late, self._in_turn)

    def died_at(self, key: str) -> float | None:
        at = self._in_turn.get(key)
        return at if at is not None or not self._late else self._late.get(key)

    def add(self, key: str, at: float) -> None:
        """``key`` is not there."""
        if at >= self._last:
            self._last = self._in_turn[key] = at
        else:
            self._late[key] = at
            heappush(self._heap, (at, key))

    def remove(self, key: str) -> bool:
        """Whether it was there."""
        if self._in_turn.pop(key, None) is not None:
            return True
        if not self._late or self._late.pop(key, None) is None:
            return False
        if len(self._heap) > 2 * len(self._late) + VOID:
            self._heap = [(at, late) for late, at in self._late.items()]
            heapify(self._heap)
        return True

    def emptied(self, count: int) -> Iterator[None]:
        for keys in (self._in_turn, self._late):
            while keys:
                for _ in range(min(count, len(keys))):
                    keys.popitem()
                yield
        while self._heap:
            del self._heap[-count:]
            yield

    def take(self, limit: int, oldest: float, most: int) -> list[str]:
        """Up to ``limit`` keys, the oldest first: those that died at ``oldest`` or before, and what exceeds
        ``most``."""
        excess = len(self) - most
        found: list[str] = []
        in_turn = ((at, key) for key, at in self._in_turn.items())
        first, late = next(in_turn, None), self._first_late()
        while len(found) < limit and (first or late):
            is_late = late is not None and (first is None or late < first)
            at, key = (late if is_late else first) or (inf, "")
            if len(found) >= excess and at > oldest:
                break
            found.append(key)
            if is_late:
                del self._late[key]
                late = self._first_late()
            else:
                first = next(in_turn, None)
        for key in found:
            self._in_turn.pop(key, None)
        return found

    def _first_late(self) -> tuple[float, str] | None:
        """The oldest that came late; what is void above it is taken away."""
        while self._heap and self._late.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0] if self._heap else None
