"""SQLite by the standard library: the file of ``db_sqlite``'s."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dmqcache.database.link import DatabaseError, Row, Untaken, WrongDatabase, one_line

#: Seconds for which another writer of the file is waited for.
BUSY_S: Final = 5.0


class SqliteLink:
    """One file, which must be there."""

    any_bytes = True

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._found: sqlite3.Cursor | None = None
        self._count = 0
        self._insert = ""

    def begin_reading(self, table: str, columns: Sequence[str], count: int) -> None:
        names = ", ".join(map(_quoted, columns))
        order = f" ORDER BY {_quoted(columns[0])}" if count else " LIMIT 0"
        self._count = count
        with self._failing():
            self._found = self._open().execute(f"SELECT {names} FROM {_quoted(table)}{order}")

    def fetch(self) -> Sequence[Row]:
        assert self._found is not None
        with self._failing():
            return self._found.fetchmany(self._count)

    def begin_writing(self, table: str, columns: Sequence[str]) -> None:
        # Texts of any bytes: a parameter that is text must be UTF-8.
        places = ", ".join(["CAST(? AS TEXT)"] * 2 + ["?"] * (len(columns) - 2))
        self._insert = f"INSERT INTO {_quoted(table)} ({', '.join(map(_quoted, columns))}) VALUES ({places})"
        with self._failing():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"DELETE FROM {_quoted(table)}")

    def insert(self, rows: Sequence[Row]) -> list[Untaken]:
        assert self._connection is not None
        untaken: list[Untaken] = []
        with self._failing():
            self._connection.execute("SAVEPOINT rows")
            try:
                self._connection.executemany(self._insert, rows)
            except sqlite3.IntegrityError:
                self._connection.execute("ROLLBACK TO rows")
                for row in rows:
                    try:
                        self._connection.execute(self._insert, row)
                    except sqlite3.IntegrityError as error:
                        untaken.append((row, one_line(error)))
            self._connection.execute("RELEASE rows")
        return untaken

    def commit(self) -> None:
        assert self._connection is not None
        with self._failing():
            self._connection.execute("COMMIT")

    def close(self) -> None:
        connection, self._connection, self._found = self._connection, None, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise WrongDatabase(f"db_url {self._path}: there is no such file")
        if not self._path.is_file():
            raise WrongDatabase(f"db_url {self._path}: this is no file but a {_kind(self._path)}")
        self.close()
        connection = sqlite3.connect(
            self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        self._connection = connection
        return connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = f"{self._path}: {one_line(error)}"
            wrong = "no such" in text or "no column" in text or error.sqlite_errorname == "SQLITE_NOTADB"
            raise (WrongDatabase if wrong else DatabaseError)(text) from None


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "device or socket"


def _quoted(name: str) -> str:
    # What stands in other quotes and is no name becomes a text here.
    return ".".join(f"[{part}]" for part in name.split("."))
