"""What a row of the database means: Kamailio's htable's columns, arrays, packed values and times.

Pure: rows become cells and cells become rows. Tried beside Kamailio 5.6.3; what that reads as another number
than what is written there (``12x``, ``99999999999``) is refused here and named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from dmqcache.database.link import Row
from dmqcache.store.table.cell import Value
from dmqcache.store.table.counts import fits
from dmqcache.store.table.db_fields import DbFields
from dmqcache.store.table.text_size import apart

#: ``key_type`` of a row that is one value of an array, and ``value_type`` of an integer.
ARRAY: Final = 1
INTEGER: Final = 1
_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,20}")
#: Unix seconds that fit the column of Kamailio's tables (year 2038).
MAX_EXPIRES: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Columns:
    """What holds for all tables: Kamailio's module parameters of the same names."""

    key_name_column: str = "key_name"
    key_type_column: str = "key_type"
    value_type_column: str = "value_type"
    key_value_column: str = "key_value"
    expires_column: str = "expires"
    #: What is put after an array's name to make the key of its number of values.
    array_size_suffix: str = "::size"
    #: Whether times to live are loaded and stored.
    db_expires: bool = False
    #: Rows that are read and written at once.
    fetch_rows: int = 1000


class Loaded(NamedTuple):
    """A cell of the database."""

    key: str
    value: Value
    #: Unix seconds at which it is over; 0: when the table says.
    expires: float = 0


class Stored(NamedTuple):
    """A cell to be written."""

    key: str
    value: Value
    #: Seconds left; None: for ever.
    left: float | None


@dataclass(slots=True)
class Refused:
    """Rows, or cells, that the other side does not take."""

    count: int = 0
    #: What the first one is, and why.
    first: str = ""

    def add(self, key: object, why: object) -> None:
        """One more."""
        self.count += 1
        if not self.first:
            self.first = f"{str(key)[:60]!r}: {why}"


class Layout:
    """The rows of one table."""

    def __init__(self, fields: DbFields, columns: Columns) -> None:
        self._fields = fields
        self._columns = columns
        self.table = fields.dbtable
        usual = (
            columns.key_name_column,
            columns.key_value_column,
            columns.key_type_column,
            columns.value_type_column,
            *((columns.expires_column,) if columns.db_expires else ()),
        )
        #: What is read, the key first.
        self.read: tuple[str, ...] = fields.cols or usual
        #: What is written: as much, and the expiry in any case, as Kamailio's tables have it.
        self.written = (*usual[:4], columns.expires_column)

    @property
    def writable(self) -> bool:
        """Whether rows can be made of cells: not of packed values."""
        return not self._fields.cols

    def unpacker(self, now: float) -> Unpacker:
        """What reads the rows of one load; ``now``: Unix seconds."""
        return Unpacker(self._fields, self._columns, now)

    def pack(
        self, cells: Iterable[Stored], now: float, any_bytes: bool, autoexpire: bool, refused: Refused
    ) -> list[Row]:
        """The rows of cells; ``now``: Unix seconds. A time that would be lost is not stored for ever:
        without ``db_expires`` such a cell of a table without ``autoexpire`` is left out."""
        rows: list[Row] = []
        for cell in cells:
            expires = 0
            if cell.left is not None and self._columns.db_expires:
                expires = min(int(now + cell.left), MAX_EXPIRES)
            elif cell.left is not None and not autoexpire:
                refused.add(cell.key, "it has a time to live, which is stored with db_expires only")
                continue
            text, kind = str(cell.value), int(isinstance(cell.value, int))
            if any_bytes:
                rows.append((_bytes(cell.key), _bytes(text), 0, kind, expires))
            elif _is_text(cell.key) and _is_text(text):
                rows.append((apart(cell.key), apart(text), 0, kind, expires))
            else:
                refused.add(cell.key, "it holds bytes that are no text of this database")
        return rows


@dataclass(slots=True)
class Unpacker:
    """Reads the rows of one table, in the order of their keys."""

    _fields: DbFields
    _columns: Columns
    _now: float
    refused: Refused = field(default_factory=Refused)
    #: Cells whose time was over.
    expired: int = 0
    _arrays: Counter[str] = field(default_factory=Counter)
    #: The last cell: a later row of the same key takes its place.
    _last: Loaded | None = None

    def take(self, rows: Iterable[Row]) -> list[Loaded]:
        """The cells of some rows, but for the last one."""
        cells = [] if self._last is None else [self._last]
        for row in rows:
            try:
                cell = self._packed(row) if self._fields.cols else self._usual(row)
            except (ValueError, UnicodeError) as error:
                self.refused.add(row[0], error)
                continue
            if cell is not None and cells and cells[-1].key == cell.key:
                cells[-1] = cell
            elif cell is not None:
                cells.append(cell)
        self._last = cells.pop() if cells else None
        return cells

    def end(self) -> list[Loaded]:
        """After the last row: the last cell, and the numbers of values of the arrays."""
        suffix = self._columns.array_size_suffix
        sizes = [Loaded(name + suffix, count) for name, count in self._arrays.items()]
        return sizes if self._last is None else [self._last, *sizes]

    def _usual(self, row: Row) -> Loaded | None:
        name, text = _text(row[0]), _text(row[1])
        if not name:
            raise ValueError("the key is empty")
        value: Value = text
        if _number(row[3], "value type") == INTEGER:
            value = _number(text, "value")
        expires = _number(row[4] or 0, "expiry") if len(row) > 4 else 0
        if 0 < expires <= self._now:
            self.expired += 1
            return None
        if _number(row[2], "key type") == ARRAY:
            number = self._arrays[name]
            self._arrays[name] += 1
            name = f"{name}[{number}]"
        return Loaded(name, value, max(0, expires))

    def _packed(self, row: Row) -> Loaded:
        name = _text(row[0])
        if not name:
            raise ValueError("the key is empty")
        null = self._fields.colnull
        return Loaded(name, self._fields.coldelim.join(null if v is None else _text(v) for v in row[1:]))


def name_of(row: Row) -> str:
    """The key of a row that :meth:`Layout.pack` has made."""
    return _text(row[0])


def _text(value: Any) -> str:
    if value is None:
        raise ValueError("it is NULL")
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _number(value: Any, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = _text(value)
    if not _DIGITS.fullmatch(text) or not fits(int(text)):
        raise ValueError(f"the {what} {text[:40]!r} is no integer of 64 bits")
    return int(text)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:
        return False
    return "\0" not in text
