"""What a table looks like beside itself: its items and values, and with bytes in place of texts.

Views hold nothing: they read and write the table that they are of.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import (
    Callable,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    ValuesView,
)
from typing import Final

from dmqcache.store.table.cell import Cell, Value
from dmqcache.store.table.changes import Watched
from dmqcache.store.table.read_through import Cached, Seconds, read_through

#: Within a class that has ``bytes`` the name is another thing's.
Bytes = bytes
Shown = Callable[[], Iterator[tuple[str, Value]]]


#: The names of a table that are for programs.
API: Final = frozenset(
    (
        "bytes",
        "cached",
        "check",
        "clear",
        "delete",
        "delete_matching",
        "expire",
        "flush",
        "get",
        "incr",
        "items",
        "keys",
        "match",
        "name",
        "pop",
        "popitem",
        "scan",
        "set",
        "setdefault",
        "settings",
        "subscribe",
        "takes",
        "ttl",
        "update",
        "values",
        "watch",
    )
)


class Items(ItemsView[str, Value]):
    """``table.items()``."""

    def __init__(self, table: MutableMapping[str, Value], shown: Shown) -> None:
        """``shown``: reads all keys and values without counting hits."""
        super().__init__(table)
        self._shown = shown

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return self._shown()


class Values(ValuesView[Value]):
    """``table.values()``."""

    def __init__(self, table: MutableMapping[str, Value], shown: Shown) -> None:
        """``shown``: reads all keys and values without counting hits."""
        super().__init__(table)
        self._shown = shown

    def __iter__(self) -> Iterator[Value]:
        return (value for _, value in self._shown())

    def __contains__(self, value: object) -> bool:
        return any(held == value for held in self)


class BytesItems(ItemsView[bytes, bytes]):
    """``table.bytes.items()``."""

    def __init__(self, view: BytesView, items: ItemsView[str, Value]) -> None:
        """``items``: those of the table itself."""
        super().__init__(view)
        self._items = items

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return ((_bytes(key), _bytes(value)) for key, value in self._items)


class BytesValues(ValuesView[bytes]):
    """``table.bytes.values()``."""

    def __init__(self, view: BytesView, values: ValuesView[Value]) -> None:
        """``values``: those of the table itself."""
        super().__init__(view)
        self._values = values

    def __iter__(self) -> Iterator[bytes]:
        return map(_bytes, self._values)

    def __contains__(self, value: object) -> bool:
        return any(held == value for held in self)


class BytesView(MutableMapping[bytes, bytes]):
    """``table.bytes``: any bytes in, the same out. An integer is read as its digits."""

    def __init__(self, table: MutableMapping[str, Value]) -> None:
        self._table = table

    def __getitem__(self, key: bytes) -> bytes:
        try:
            return _bytes(self._table[_text(key)])
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._table[_text(key)] = _text(value)

    def __delitem__(self, key: bytes) -> None:
        try:
            del self._table[_text(key)]
        except KeyError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[bytes]:
        return map(_bytes, self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and _text(key) in self._table

    def __repr__(self) -> str:
        return f"{self._table!r}.bytes"

    def items(self) -> ItemsView[bytes, bytes]:
        """Keys and values in the keys' order. To look through them counts no hits."""
        return BytesItems(self, self._table.items())

    def values(self) -> ValuesView[bytes]:
        """The values in the keys' order."""
        return BytesValues(self, self._table.values())

    def clear(self) -> None:
        self._table.clear()


def _text(data: bytes) -> str:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"the bytes of a table are bytes, not {type(data).__name__}")
    return bytes(data).decode("utf-8", "surrogateescape")


def _bytes(value: Value) -> bytes:
    return str(value).encode("utf-8", "surrogateescape")


class MappedCells(Watched, MutableMapping[str, Value]):
    """What a table has for being a mapping, beside what reads and writes single keys."""

    def __eq__(self, other: object) -> bool:
        """As :class:`collections.abc.Mapping` defines it: whether both hold the same keys and values now, of
        whatever kind the other mapping is. Times to live and versions do not count. So, as a dict, a table
        has no hash."""
        return self is other or Mapping.__eq__(self, other)

    def __dir__(self) -> list[str]:
        """What programs use. All else is the store's, and may change at any time."""
        return sorted({name for name in dir(MutableMapping) if name[:2] == "__"} | API)

    def __repr__(self) -> str:
        return f"<Table {self.name!r} of {len(self)} cells>"

    @abstractmethod
    def scan(self, after: str | None = None, prefix: str = "", count: int | None = None) -> list[str]:
        """Keys in order: those above ``after`` that start with ``prefix``, at most ``count``."""

    @abstractmethod
    def flush(self) -> int:
        """Delete everything that any node wrote before now; returns how many cells that were here."""

    @abstractmethod
    def set(self, key: str, value: Value | Bytes, ttl: Seconds | None = None, keep_ttl: bool = False) -> None:
        """Write a value."""

    @abstractmethod
    def takes(self, value: Value | Bytes) -> bool:
        """Whether the value is one that :meth:`set` takes."""

    def as_shown(self, cell: Cell) -> Cell:
        """A live cell as who reads sees it: a table may put its values together when somebody asks."""
        return cell

    def readied(self, keys: Iterable[str]) -> Generator[None, None, object]:
        """Such a table does in pieces what reading these keys will need, and returns what holds it."""
        yield from ()
        return None

    def items(self) -> ItemsView[str, Value]:
        """Keys and values in the keys' order. To look through them counts no hits."""
        return Items(self, self._shown)

    def values(self) -> ValuesView[Value]:
        """The values in the keys' order."""
        return Values(self, self._shown)

    def _shown(self) -> Iterator[tuple[str, Value]]:
        for key in self.scan():
            cell = self.live_cell(key)
            if cell is not None and cell.value is not None:
                yield key, cell.value

    @property
    def bytes(self) -> BytesView:
        """The same table with bytes for keys and values."""
        return BytesView(self)

    def clear(self) -> None:
        """Delete everything: a :meth:`flush`."""
        self.flush()

    def popitem(self) -> tuple[str, Value]:
        """Take the first key and its value. KeyError where there is none."""
        for key in self.scan(count=1):
            return key, self.pop(key)
        raise KeyError("the table is empty")

    def cached(
        self, ttl: Seconds | None = None, key: Callable[..., str] | None = None
    ) -> Callable[[Cached], Cached]:
        """A decorator: what the function returns is kept here, for ``ttl``, and looked up the next time. For
        functions and coroutines that return a text or an integer; None, and what is too long for the table,
        is not kept. ``key``: from the
        arguments; else the function's module and name and the arguments as they are printed. TypeError where
        these tell nothing apart: of a lambda, or an object that is printed as an address in memory."""
        return read_through(self, ttl, key)
