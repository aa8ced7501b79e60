"""The file: SQLite in WAL mode, one row a cell, one transaction a flush.

SQLite rather than LMDB: measured with rows of 100 bytes in batches of 20,000 it writes 220,000 rows a second
and reads 1,000,000 (LMDB: 340,000 and 2,500,000), more than any node takes in; it is part of Python, its file
is half as large and grows as it must, a full disk is an error that is told, not a signal, and anybody can
look into it with ``sqlite3``. With ``synchronous=FULL`` what is committed survives a power failure as well.

Rows go in many at a time, by one statement: SQLite lets Python's other threads run while a statement runs,
so the event loop waits for none. Owns what is read and written. Whose the folder is, the form of the file,
and what becomes of one that cannot be used, is ``folder.py``'s.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from dmqcache.disk.folder import (
    FILE,
    LOCK,
    DiskError,
    UnusableError,
    connect,
    is_damage,
    is_same,
    parts_of,
    refusal,
    set_aside,
    take,
)
from dmqcache.store.table.kept import PLAIN, KeptPart, KeptRow, rows_of, spelt

#: Rows fetched at once when the file is read: some 5 ms until they are in a table.
READ_ROWS: Final = 2_000
#: Rows of one statement. Each size is a statement that is kept prepared.
SIZES: Final = (4_000, 1_500, 500, 200, 50, 15, 5, 1)
#: So few rows are one statement, of the next larger size, the last row several times: to write it again takes
#: some microseconds, another statement several milliseconds if the thread must wait for its turn after it.
FEW: Final = 200
#: Values of one statement at most; SQLite takes 32,766. While Python hands them over, the event loop waits: a
#: millisecond, and as long again for its turn on a busy machine, so seldom is better than little.
MAX_VALUES: Final = 12_000
_ROW: Final = "(?, ?, ?, ?, ?, ?, ?)"
_PLAIN_ROW: Final = "(?, ?, ?, 0, 0, 0, NULL)"
_PUT: Final = (
    # "WHERE true": else SQLite would take ON for that of a join.
    "INSERT INTO cells SELECT ?, * FROM (VALUES {}) WHERE true "
    "ON CONFLICT (name, key) DO UPDATE SET value = excluded.value, version = excluded.version, "
    "ttl = excluded.ttl, at = excluded.at, flags = excluded.flags, counts = excluded.counts"
)
_DROP: Final = "DELETE FROM cells WHERE name = ? AND key IN ({})"


class FileGoneError(DiskError):
    """The file or the lock was removed, replaced or damaged under the node: nobody would find what is
    written."""


class TableState(NamedTuple):
    """What is kept of a whole table: three versions, see :class:`~dmqcache.store.table.cells.Cells`."""

    floor: int
    forgot: int
    known: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that can be used, and what there was to say about it."""

    file: DiskFile
    #: A former file that could not be used, under its new name; None where there was none.
    set_aside: Path | None = None
    why: str = ""


class DiskFile:
    """One open file. Used by one thread at a time. Every method may raise sqlite3.Error, the disk is full for
    one, and those that write a DiskError with the system's word for what is in the way."""

    def __init__(self, connection: sqlite3.Connection, lock: int, path: Path) -> None:
        self._connection = connection
        self._lock = lock
        self.path = path
        self._opened = path.stat()
        self._gone = False
        #: There is no file, until a new one can be made.
        self._closed = False

    # -- reading -----------------------------------------------------------------------------------------

    def rows(self, table: str) -> Iterator[list[KeptRow]]:
        """All rows of one table, in parts."""
        found = self._connection.execute(
            "SELECT key, value, version, ttl, at, flags, counts FROM cells WHERE name = ?", (table,)
        )
        while part := found.fetchmany(READ_ROWS):
            yield part

    def names(self) -> list[str]:
        """The tables of which there are rows."""
        return [name for (name,) in self._connection.execute("SELECT DISTINCT name FROM cells")]

    def states(self) -> dict[str, TableState]:
        """What was kept of each table as a whole."""
        found = self._connection.execute("SELECT name, floor, forgot, known FROM tables")
        return {name: TableState(*state) for name, *state in found}

    def notes(self) -> dict[str, int]:
        """The numbers that were noted, by name."""
        return dict(self._connection.execute("SELECT name, number FROM notes"))

    # -- writing: begin, then what there is, then commit ---------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction: what follows is there as a whole, or not at all. After a
        :class:`FileGoneError` into a new file, which holds nothing yet; DiskError where there can be none."""
        if self._gone:
            self._open_anew()
        self._find()
        if why := refusal(self._lock):
            raise DiskError(why)
        with self._worded():
            self._connection.execute("BEGIN IMMEDIATE")

    def put(self, table: str, part: KeptPart) -> None:
        """Keep these cells in place of those of their keys, and nothing of keys that are gone."""
        with self._whole():
            try:
                self._many(_PUT, _PLAIN_ROW, PLAIN, table, part.plain)
            except UnicodeError:
                self._put(table, rows_of(part.plain))
            self._put(table, part.rows)
            try:
                self._many(_DROP, "?", 1, table, part.gone)
            except UnicodeError:
                some = [KeptRow(key, None, 0, 0, 0, 0, None) for key in part.gone]
                self._many(_DROP, "?", 1, table, [spelt(row).key for row in some])

    def _put(self, table: str, rows: Sequence[KeptRow]) -> None:
        width = len(KeptRow._fields)
        try:
            self._many(_PUT, _ROW, width, table, list(chain.from_iterable(rows)))
        except UnicodeError:
            self._many(_PUT, _ROW, width, table, list(chain.from_iterable(map(spelt, rows))))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What fails here takes back all since :meth:`begin`, and what follows before the next one fails."""
        if not self._connection.in_transaction:
            raise sqlite3.OperationalError("an earlier part of the flush has failed")
        try:
            with self._worded():
                yield
        except BaseException:
            self.roll_back()
            raise

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """What SQLite says so that somebody can do something about it."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self._gone = True
                raise FileGoneError(f"{FILE} is damaged ({error}); a new file is written whole") from None
            if why := refusal(self._lock):
                raise DiskError(why) from None
            raise

    def _many(self, statement: str, place: str, width: int, table: str, values: Sequence[Any]) -> None:
        """``values``: of all rows, ``width`` each, one after the other."""
        done, fitting = 0, [size for size in SIZES if size * width <= MAX_VALUES]
        while (left := (len(values) - done) // width) > 0:
            if left <= FEW:
                size = min(size for size in fitting if size >= left)
            else:
                size = max(size for size in fitting if size <= left)
            some = [*values[done : done + size * width]]
            some += some[-width:] * (size - left)
            self._connection.execute(statement.format(", ".join([place] * size)), (table, *some))
            done += size * width

    def drop_up_to(self, table: str, floor: int) -> None:
        """Keep nothing that a flush has killed."""
        with self._whole():
            self._connection.execute("DELETE FROM cells WHERE name = ? AND version <= ?", (table, floor))

    def drop_all(self, table: str) -> None:
        """Keep nothing of a table."""
        with self._whole():
            self._connection.execute("DELETE FROM cells WHERE name = ?", (table,))

    def note(self, states: dict[str, TableState], numbers: dict[str, int]) -> None:
        """Keep these of tables, and these numbers."""
        with self._whole():
            some = [(name, *state) for name, state in states.items()]
            self._connection.executemany("INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?)", some)
            self._connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", list(numbers.items()))

    def commit(self) -> None:
        """From now on all of it is on disk. FileGoneError: it is not, as nobody would find it."""
        with self._whole():
            self._find()
            self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """As if nothing had been written since :meth:`begin`."""
        if not self._closed and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _find(self) -> None:
        """FileGoneError where nobody else would find the file that is open here."""
        if not (is_same(self.path, self._opened) and self._is_locked()):
            self._gone = True
            raise FileGoneError(f"{FILE} or {LOCK} was removed or replaced; a new file is written whole")

    def _is_locked(self) -> bool:
        return is_same(self.path.with_name(LOCK), os.fstat(self._lock))

    def _open_anew(self) -> None:
        """A new file in the same folder, under its lock as before. What stands there now is set aside."""
        folder = self.path.parent
        try:
            if not folder.is_dir():
                raise DiskError(f"{folder} is gone")
            if not self._is_locked():
                lock = take(folder)
                os.close(self._lock)
                self._lock = lock
            if self.path.exists():
                set_aside(self.path, str(self.path.stat().st_mtime_ns))
            # Before there is a new one: SQLite removes the WAL of a file that it closes by its name, and
            # takes a file of the same number on another file system for the one that it had opened.
            self._closed = True
            self._connection.close()
            try:
                self._connection, self._closed = connect(self.path, whole=False), False
            except sqlite3.Error:
                # Nothing of it is in use, and each try would leave one more.
                for part in parts_of(self.path):
                    part.unlink(missing_ok=True)
                raise
            self._opened, self._gone = self.path.stat(), False
        except OSError as error:
            raise DiskError(str(error.strerror)) from None

    def size(self) -> int:
        """Bytes on disk, the part in the WAL too."""
        return sum(path.stat().st_size for path in parts_of(self.path) if path.exists())

    def close(self) -> None:
        """Fold the WAL in and let go of the folder."""
        try:
            self._connection.close()
        finally:
            os.close(self._lock)


def open_file(folder: Path, now: str, whole: bool = True) -> Opened:
    """Open the file in a folder, or make one. ``now`` is part of the name of a file that is set aside.
    ``whole``: look through all of it now; else :func:`verify` is for the caller. DiskError where the folder
    itself cannot be used."""
    lock = take(folder)
    path = folder / FILE
    try:
        try:
            return Opened(DiskFile(connect(path, whole), lock, path))
        except UnusableError as error:
            aside = set_aside(path, now)
            return Opened(DiskFile(connect(path, whole), lock, path), aside, str(error))
    except (sqlite3.Error, OSError, UnusableError) as error:
        os.close(lock)
        reason = error.strerror if isinstance(error, OSError) else error
        raise DiskError(f"{path}: {reason}") from None


def begin_anew(opened: DiskFile, now: str) -> Path:
    """Close a file whose rows turned out to be wrong, and set it aside; returns its new name. The lock is
    let go as well: open the folder again."""
    opened.close()
    return set_aside(opened.path, now)
