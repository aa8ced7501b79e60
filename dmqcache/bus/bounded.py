"""A dictionary of bounded size: what was written longest ago is dropped first.

For memories that strangers can fill. Owns the order and the limit; how long an entry is worth something is
for its user to know. Imports nothing, so that every part of the package may use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")
Other = TypeVar("Other")


class Bounded(MutableMapping[Key, Value]):
    """At most ``limit`` entries, iterated from the oldest to the newest.

    Writing a key makes it the newest, also where it was there before; so does :meth:`touch`. With a touch at
    each reading it drops the least recently used, without any the least recently written.
    """

    __slots__ = ("_dropped", "_items", "limit")

    def __init__(self, limit: int, dropped: Callable[[Key, Value], None] | None = None) -> None:
        """``dropped`` hears of each entry that had to go. ValueError for a limit below 1."""
        if limit < 1:
            raise ValueError(f"a limit of {limit} entries keeps nothing")
        self.limit = limit
        self._dropped = dropped
        self._items: dict[Key, Value] = {}

    def __getitem__(self, key: Key) -> Value:
        return self._items[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        self._items.pop(key, None)
        self._items[key] = value
        if len(self._items) > self.limit:
            self.drop_oldest()

    def __delitem__(self, key: Key) -> None:
        del self._items[key]

    @overload
    def get(self, key: Key, default: None = None, /) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Value, /) -> Value: ...
    @overload
    def get(self, key: Key, default: Other, /) -> Value | Other: ...
    def get(self, key: Key, default: object = None, /) -> object:
        """As any mapping's, and one call instead of a mapping's two: some are asked for each message."""
        return self._items.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[Key]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<Bounded {len(self)} of {self.limit}: {self._items!r}>"

    def touch(self, key: Key) -> None:
        """Make ``key`` the newest, if it is there."""
        if key in self._items:
            self._items[key] = self._items.pop(key)

    def use(self, key: Key) -> Value | None:
        """The value of ``key``, now the newest, or None: :meth:`get` and :meth:`touch` in one."""
        value = self._items.pop(key, None)
        if value is not None:
            self._items[key] = value
        return value

    def drop_oldest(self) -> None:
        """Let the oldest entry go before the limit is reached. KeyError if there is none."""
        oldest = next(iter(self._items), None)
        if oldest is None:
            raise KeyError("there is no entry")
        gone = self._items.pop(oldest)
        if self._dropped is not None:
            self._dropped(oldest, gone)
