"""A table of a node in a thread: what a table has, from any other thread.

Owns the table's face, its bytes and its watches. Each call is done on the node's thread and waited for,
which is ``sync_node.py``'s business.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from contextlib import suppress
from typing import Any, Protocol, Self, TypeVar, overload

from dmqcache.store.table.cell import Value
from dmqcache.store.table.changes import Change
from dmqcache.store.table.patterns import MatchKind, MatchOn
from dmqcache.store.table.read_through import Cached, Seconds, read_through
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from dmqcache.store.table.views import BytesView
from dmqcache.watch import weakly

T = TypeVar("T")
Default = TypeVar("Default")
#: Within a class that has ``bytes`` the name is another thing's.
Bytes = bytes


class Call(Protocol):
    """Does something on the node's thread, undisturbed by any other call."""

    def __call__(self, function: Callable[..., T], /, *args: Any) -> T: ...


#: Does something on the node's thread, soon; waits for nothing.
Post = Callable[[Callable[[], object]], None]


class SyncTable(MutableMapping[str, Value]):
    """A table of a :class:`~dmqcache.sync_node.SyncCacheNode`: as
    :class:`~dmqcache.store.table.table.Table`, from any thread."""

    def __init__(self, call: Call, post: Post, watches: weakref.WeakSet[SyncWatch], table: Table) -> None:
        """``call`` and ``post`` do something on the thread of the table's node; ``watches``: those that end
        with it."""
        self._call = call
        self._post = post
        self._watches = watches
        self._table = table

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same keys and values, those of this table of one moment."""
        if isinstance(other, SyncTable) and self._table is other._table:
            return True
        return self.copy() == dict(other.items()) if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        return f"<SyncTable {self.name!r}>"

    @property
    def name(self) -> str:
        """As it was declared."""
        return self._table.name

    @property
    def settings(self) -> TableSettings:
        """What was declared of it."""
        return self._table.settings

    @property
    def bytes(self) -> SyncBytes:
        """The same table with bytes for keys and values, from any thread."""
        return SyncBytes(self._call, self._table.bytes)

    def items(self) -> ItemsView[str, Value]:
        """Keys and values of one moment."""
        return self.copy().items()

    def values(self) -> ValuesView[Value]:
        """The values of one moment."""
        return self.copy().values()

    def popitem(self) -> tuple[str, Value]:
        """Take the first key and its value; no other thread gets the same. KeyError where there is none."""
        return self._call(self._table.popitem)

    def takes(self, value: Value | Bytes) -> bool:
        """Whether the value is one that :meth:`set` takes."""
        return self._table.takes(value)

    def check(self, key: str, value: Value | Bytes) -> None:
        """ValueError, in the same words, for what :meth:`set` would refuse."""
        self._table.check(key, value)

    @overload
    def get(self, key: str, default: None = None) -> Value | None: ...

    @overload
    def get(self, key: str, default: Default) -> Value | Default: ...

    def get(self, key: str, default: Default | None = None) -> Value | Default | None:
        """The value, or ``default``."""
        return self._call(self._table.get, key, default)

    def __getitem__(self, key: str) -> Value:
        return self._call(self._table.__getitem__, key)

    def __contains__(self, key: object) -> bool:
        return self._call(self._table.__contains__, key)

    def __setitem__(self, key: str, value: Value | Bytes) -> None:
        self._call(self._table.set, key, value)

    def __delitem__(self, key: str) -> None:
        self._call(self._table.__delitem__, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.scan())

    def __len__(self) -> int:
        return self._call(self._table.__len__)

    def set(self, key: str, value: Value | Bytes, ttl: Seconds | None = None, keep_ttl: bool = False) -> None:
        """See :meth:`dmqcache.store.table.table.Table.set`."""
        self._call(self._table.set, key, value, ttl, keep_ttl)

    def delete(self, key: str) -> bool:
        """Delete a key; False if there was none."""
        return self._call(self._table.delete, key)

    def expire(self, key: str, ttl: Seconds) -> bool:
        """Give a key that exists ``ttl`` seconds more (0: for ever); False if there is none."""
        return self._call(self._table.expire, key, ttl)

    def ttl(self, key: str) -> float | None:
        """Seconds left, None if it never expires. KeyError where there is no such key."""
        return self._call(self._table.ttl, key)

    def incr(self, key: str, by: int = 1) -> int:
        """See :meth:`dmqcache.store.table.table.Table.incr`."""
        return self._call(self._table.incr, key, by)

    def pop(self, key: str, *default: Any) -> Any:
        """Take a key; no other thread gets the same value."""
        return self._call(self._table.pop, key, *default)

    def setdefault(self, key: str, default: Value | None = None) -> Value:
        """The value; if there is none, ``default``, which is then written. ValueError where that is None."""
        return self._call(self._table.setdefault, key, default)

    def update(self, *args: Any, **pairs: Value) -> None:
        """Write many, as one call."""
        self._call(lambda: self._table.update(*args, **pairs))

    def clear(self) -> None:
        """Delete everything."""
        self._call(self._table.clear)

    def flush(self) -> int:
        """See :meth:`dmqcache.store.table.table.Table.flush`."""
        return self._call(self._table.flush)

    def delete_matching(self, kind: MatchKind | str, pattern: str, on: MatchOn | str = MatchOn.NAME) -> int:
        """Delete what :meth:`match` finds, as one call; returns how many."""
        return self._call(self._table.delete_matching, kind, pattern, on)

    def scan(self, after: str | None = None, prefix: str = "", count: int | None = None) -> list[str]:
        """See :meth:`dmqcache.store.table.table.Table.scan`."""
        return self._call(self._table.scan, after, prefix, count)

    def match(self, kind: MatchKind | str, pattern: str, on: MatchOn | str = MatchOn.NAME) -> list[str]:
        """See :meth:`dmqcache.store.table.table.Table.match`."""
        return self._call(self._table.match, kind, pattern, on)

    def copy(self) -> dict[str, Value]:
        """All keys and values of one moment."""
        return self._call(lambda: dict(self._table.items()))

    def cached(
        self, ttl: Seconds | None = None, key: Callable[..., str] | None = None
    ) -> Callable[[Cached], Cached]:
        """See :meth:`dmqcache.store.table.table.Table.cached`. For plain functions."""
        return read_through(self, ttl, key)

    def subscribe(self, callback: Callable[[Change], object], prefix: str = "") -> Callable[[], None]:
        """Call ``callback``, on the node's thread, with each change of a key that starts with ``prefix``."""
        forget = self._call(self._table.subscribe, callback, prefix)
        return lambda: self._call(forget)

    def watch(self, prefix: str = "") -> SyncWatch:
        """``for change in table.watch("user:")``: waits for each change from now on, of a key that changed
        more than once for the latest. Ends when the loop is left, it is closed, which ``with`` does, or the
        node stops."""
        return SyncWatch(self._call, self._post, self._watches, self._table, prefix)


class SyncWatch:
    """The changes of a table, for one thread that waits for them."""

    def __init__(
        self, call: Call, post: Post, watches: weakref.WeakSet[SyncWatch], table: Table, prefix: str
    ) -> None:
        self._call = call
        self._watches = watches
        self._waiting: dict[str, Change] = {}
        self._closed = False
        self._something = threading.Condition()
        self._forget = call(table.subscribe, weakly(self._came), prefix)
        self._end = weakref.finalize(self, post, self._forget)
        self._end.atexit = False
        watches.add(self)

    def _came(self, change: Change) -> None:
        with self._something:
            self._waiting[change.key] = change
            self._something.notify()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        with self._something:
            self._something.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                raise StopIteration
            return self._waiting.pop(next(iter(self._waiting)))

    def close(self) -> None:
        """Watch no longer, from any thread; what was not taken yet is still given."""
        if self._closed:
            return
        self._watches.discard(self)
        self._end.detach()
        with suppress(RuntimeError):  # the node has stopped meanwhile
            self._call(self._forget)
        with self._something:
            self._closed = True
            self._something.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncBytes(MutableMapping[bytes, bytes]):
    """``table.bytes`` of a table of a node in a thread, from any thread."""

    def __init__(self, call: Call, view: BytesView) -> None:
        self._call = call
        self._view = view

    def __getitem__(self, key: bytes) -> bytes:
        return self._call(self._view.__getitem__, key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._call(self._view.__setitem__, key, value)

    def __delitem__(self, key: bytes) -> None:
        self._call(self._view.__delitem__, key)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._call(lambda: list(self._view)))

    def items(self) -> ItemsView[bytes, bytes]:
        """Keys and values of one moment."""
        return self._call(lambda: dict(self._view.items())).items()

    def values(self) -> ValuesView[bytes]:
        """The values of one moment."""
        return self._call(lambda: dict(self._view.items())).values()

    def __len__(self) -> int:
        return self._call(self._view.__len__)

    def __contains__(self, key: object) -> bool:
        return self._call(self._view.__contains__, key)

    def pop(self, key: bytes, *default: Any) -> Any:
        """Take a key; no other thread gets the same value."""
        return self._call(self._view.pop, key, *default)

    def popitem(self) -> tuple[bytes, bytes]:
        """Take the first key and its value; no other thread gets the same. KeyError where there is none."""
        return self._call(self._view.popitem)

    def setdefault(self, key: bytes, default: bytes | None = None) -> bytes:
        """The value; if there is none, ``default``, which is then written. TypeError where that is None."""
        return self._call(self._view.setdefault, key, default)

    def update(self, *args: Any, **pairs: bytes) -> None:
        """Write many, as one call."""
        self._call(lambda: self._view.update(*args, **pairs))

    def clear(self) -> None:
        """Delete everything."""
        self._call(self._view.clear)
