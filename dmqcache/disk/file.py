"""The file: SQLite in WAL mode, one row a cell, one transaction a flush.

SQLite rather than LMDB: measured with rows of 100 bytes in batches of 20,000 it writes 220,000 rows a second
and reads 1,000,000 (LMDB: 340,000 and 2,500,000), more than any node takes in; it is part of Python, its file
is half as large and grows as it must, a full disk is an error that is told, not a signal, and anybody can
look into it with ``sqlite3``. With ``synchronous=FULL`` what is committed survives a power failure as well.

Rows go in many at a time, by one statement: SQLite lets Python's other threads run while a statement runs, so
the event loop waits for none. Owns the schema, the lock on the folder and what becomes of a file that cannot
be used: it is set aside under another name, never read in part and never deleted.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from dmqcache.store.table.kept import PLAIN, KeptPart, KeptRow, rows_of, spelt

FILE: Final = "tables.sqlite"
LOCK: Final = "lock"
#: "DMQC", by which SQLite files of ours are known (PRAGMA application_id).
APPLICATION: Final = 0x444D5143
#: The form of the file. One of another number is set aside.
FORM: Final = 1
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
#: Pages of WAL after which SQLite folds it into the file: 16 MiB.
CHECKPOINT_PAGES: Final = 4_096

_SCHEMA: Final = (
    """CREATE TABLE cells (
        name TEXT NOT NULL,
        key NOT NULL CHECK (typeof(key) IN ('text', 'blob')),
        value CHECK (typeof(value) IN ('text', 'blob', 'integer', 'null')),
        version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
        ttl INTEGER NOT NULL CHECK (typeof(ttl) = 'integer'),
        at INTEGER NOT NULL CHECK (typeof(at) = 'integer'),
        flags INTEGER NOT NULL CHECK (typeof(flags) = 'integer'),
        counts BLOB CHECK (typeof(counts) IN ('blob', 'null')),
        PRIMARY KEY (name, key)
    ) WITHOUT ROWID""",
    """CREATE TABLE tables (
        name TEXT PRIMARY KEY,
        floor INTEGER NOT NULL CHECK (typeof(floor) = 'integer'),
        forgot INTEGER NOT NULL CHECK (typeof(forgot) = 'integer'),
        known INTEGER NOT NULL CHECK (typeof(known) = 'integer')
    ) WITHOUT ROWID""",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
)
_ROW: Final = "(?, ?, ?, ?, ?, ?, ?)"
_PLAIN_ROW: Final = "(?, ?, ?, 0, 0, 0, NULL)"
_PUT: Final = (
    # "WHERE true": else SQLite would take ON for that of a join.
    "INSERT INTO cells SELECT ?, * FROM (VALUES {}) WHERE true "
    "ON CONFLICT (name, key) DO UPDATE SET value = excluded.value, version = excluded.version, "
    "ttl = excluded.ttl, at = excluded.at, flags = excluded.flags, counts = excluded.counts"
)
_DROP: Final = "DELETE FROM cells WHERE name = ? AND key IN ({})"


class DiskError(Exception):
    """The folder cannot be used; one line that says why and what to do."""


class FileGoneError(DiskError):
    """The file or the lock was removed or replaced under the node: nobody would find what is written."""


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
    """One open file. Used by one thread at a time. Every method may raise sqlite3.Error: the disk is full, or
    gone."""

    def __init__(self, connection: sqlite3.Connection, lock: int, path: Path) -> None:
        self._connection = connection
        self._lock = lock
        self.path = path
        self._opened = path.stat()
        self._gone = False

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
            yield
        except BaseException:
            self.roll_back()
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
            if not (_is_same(self.path, self._opened) and self._is_locked()):
                self._gone = True
                raise FileGoneError(f"{FILE} or {LOCK} was removed or replaced; a new file is written whole")
            self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """As if nothing had been written since :meth:`begin`."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _is_locked(self) -> bool:
        return _is_same(self.path.with_name(LOCK), os.fstat(self._lock))

    def _open_anew(self) -> None:
        """A new file in the same folder, under its lock as before. What stands there now is set aside."""
        folder = self.path.parent
        if not folder.is_dir():
            raise DiskError(f"{folder} is gone")
        if not self._is_locked():
            lock = _take(folder)
            os.close(self._lock)
            self._lock = lock
        if self.path.exists():
            _set_aside(self.path, str(self.path.stat().st_mtime_ns))
        connection = _connect(self.path, whole=False)
        self._connection.close()
        self._connection, self._opened, self._gone = connection, self.path.stat(), False

    def size(self) -> int:
        """Bytes on disk, the part in the WAL too."""
        return sum(path.stat().st_size for path in _parts(self.path) if path.exists())

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
    lock = _take(folder)
    path = folder / FILE
    try:
        try:
            return Opened(DiskFile(_connect(path, whole), lock, path))
        except _UnusableError as error:
            aside = _set_aside(path, now)
            return Opened(DiskFile(_connect(path, whole), lock, path), aside, str(error))
    except (sqlite3.Error, OSError, _UnusableError) as error:
        os.close(lock)
        reason = error.strerror if isinstance(error, OSError) else error
        raise DiskError(f"{path}: {reason}") from None


def verify(path: Path) -> str:
    """Look through the whole file; returns what is wrong with it, or nothing. It takes as long as to read
    it, and may be done on a thread of its own beside that."""
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    finally:
        connection.close()
    return "" if verdict == "ok" else f"it is damaged ({verdict})"


def begin_anew(opened: DiskFile, now: str) -> Path:
    """Close a file whose rows turned out to be wrong, and set it aside; returns its new name. The lock is
    let go as well: open the folder again."""
    opened.close()
    return _set_aside(opened.path, now)


def _is_same(path: Path, opened: os.stat_result) -> bool:
    """Whether what stands at ``path`` is the very file that was opened."""
    try:
        return os.path.samestat(path.stat(), opened)
    except OSError:
        return False


class _UnusableError(Exception):
    """The file is there and cannot be used."""


def _take(folder: Path) -> int:
    """Make the folder and hold its lock, which the system lets go with the process, however that ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DiskError(f"{folder}: {error.strerror}; name a folder that this user may write to") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DiskError(f"{folder} is in use by another node; give each node a folder of its own") from None
    return lock


def _connect(path: Path, whole: bool) -> sqlite3.Connection:
    made = not path.exists()
    if made:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if not made:
            _check(connection, whole)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # They are looked at where a file is looked through. For each row that is written they would take
        # 1.5 of 4 microseconds, and a table holds nothing but texts and integers.
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if made or _is_blank(connection):
            _lay_out(connection)
        else:
            # Nothing is written, and yet a disk that takes nothing is noticed now.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except _UnusableError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise  # a full or read-only disk says nothing about the file
        raise _UnusableError(f"it is damaged ({error})") from None
    return connection


def _check(connection: sqlite3.Connection, whole: bool) -> None:
    """Whether the file is one of ours, of a form that we know, and, if that is asked, whole."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        if _is_blank(connection):
            return
        raise _UnusableError("it is a file of another program")
    if form != FORM:
        raise _UnusableError(f"its form is {form}, and this version of dmqcache knows {FORM}")
    if not whole:
        return
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _UnusableError(f"it is damaged ({verdict})")


def _is_blank(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(count == 0)


def _lay_out(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORM}")
    connection.execute("COMMIT")


def _parts(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))]


def _set_aside(path: Path, now: str) -> Path:
    """Give the file and its WAL another name, so that somebody can look at them."""
    aside = path.with_name(f"{path.name}.unusable-{now}")
    for part in _parts(path):
        if part.exists():
            part.rename(aside.with_name(aside.name + part.name.removeprefix(path.name)))
    return aside
