"""The folder of one node, and whether the file in it can be used.

Owns the lock on the folder, the form of the file (schema and settings), and what becomes of a file that
cannot be used: it is set aside under another name, never read in part and never deleted. What is read from
it and written to it is ``file.py``'s; what the log says of all this, ``node_disk.py``'s.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

FILE: Final = "tables.sqlite"
LOCK: Final = "lock"
#: "DMQC", by which SQLite files of ours are known (PRAGMA application_id).
APPLICATION: Final = 0x444D5143
#: The form of the file. One of another number is set aside.
FORM: Final = 1
#: Pages of WAL after which SQLite folds it into the file: 16 MiB.
CHECKPOINT_PAGES: Final = 4_096
#: KiB of pages that SQLite keeps in memory. A flush changes thousands of rows all over the file: with 2 MiB,
#: SQLite's own, it writes a page to the WAL and reads it back for every few of them. For 150,000 cells of
#: random keys that took a quarter of the thread's time; for 500,000 a twentieth (and with 64 MiB a fifth).
CACHE_KIB: Final = 16_384
#: What a path says of which nothing is left; a network's file system says ESTALE.
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)

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


class DiskError(Exception):
    """The folder cannot be used; one line that says why and what to do."""


class UnusableError(Exception):
    """The file is there and cannot be used."""


def take(folder: Path) -> int:
    """Make the folder and hold its lock, which the system lets go with the process, however that ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DiskError(
            f"data_dir {folder}: {error.strerror}; name a folder that this user may write to"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DiskError(f"{folder} is in use by another node; give each node a folder of its own") from None
    return lock


def connect(path: Path, whole: bool) -> sqlite3.Connection:
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
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # What a statement over many rows changes, SQLite keeps aside until it is done: else in files
        # in the system's temporary folder, which may be full or read-only, ten times what goes to this one.
        connection.execute("PRAGMA temp_store = MEMORY")
        if made or _is_blank(connection):
            _lay_out(connection)
        else:
            # Nothing is written, and yet a disk that takes nothing is noticed now.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except UnusableError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise  # a full or read-only disk says nothing about the file
        raise UnusableError(f"it is damaged ({error})") from None
    return connection


def _check(connection: sqlite3.Connection, whole: bool) -> None:
    """Whether the file is one of ours, of a form that we know, and, if that is asked, whole."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        if _is_blank(connection):
            return
        raise UnusableError("it is a file of another program")
    if form != FORM:
        raise UnusableError(f"its form is {form}, and this version of dmqcache knows {FORM}")
    if not whole:
        return
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise UnusableError(f"it is damaged ({verdict})")


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


def parts_of(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))]


def set_aside(path: Path, now: str) -> Path:
    """Give the file and its WAL another name, so that somebody can look at them."""
    aside = path.with_name(f"{path.name}.unusable-{now}")
    for part in parts_of(path):
        if part.exists():
            part.rename(aside.with_name(aside.name + part.name.removeprefix(path.name)))
    return aside


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


def is_same(path: Path, opened: os.stat_result) -> bool:
    """Whether what stands at ``path`` is the very file that was opened. DiskError where nobody can tell."""
    try:
        return os.path.samestat(path.stat(), opened)
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise DiskError(str(error.strerror)) from None


def refusal(lock: int) -> str:
    """Why nothing may be written beside the lock, in the system's words, as "Read-only file system"; empty
    where nothing is in the way, or no more than that there is no room.

    SQLite calls all of that a "disk I/O error". And it writes its index of the WAL through mapped memory: on
    some file systems that ends the whole process (SIGBUS) when they take nothing any more. So ask before."""
    try:
        os.utime(lock)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return str(error.strerror)
    return ""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is wrong, not that it cannot be written."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
