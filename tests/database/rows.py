"""An SQLite file with tables as Kamailio's scripts make them, for the tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

#: Of the columns: name, key_type, value_type, value, expires.
Row = tuple[object, ...]

SCHEMA = (
    "CREATE TABLE {} (id INTEGER PRIMARY KEY NOT NULL, key_name VARCHAR(64) DEFAULT '' NOT NULL, "
    "key_type INTEGER DEFAULT 0 NOT NULL, value_type INTEGER DEFAULT 0 NOT NULL, "
    "key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INTEGER DEFAULT 0 NOT NULL)"
)


def sqlite_file(path: Path, rows: Iterable[Row] = (), table: str = "htable") -> str:
    """Make the file with one table; its URL."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(SCHEMA.format(table))
        connection.executemany(
            f"INSERT INTO {table} (key_name, key_type, value_type, key_value, expires) VALUES (?,?,?,?,?)",
            list(rows),
        )
    return f"sqlite:///{path}"


def change(path: Path, *statements: str) -> None:
    """What an operator does with the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rows_of(path: Path, table: str = "htable") -> list[Row]:
    """Name, key_type, value_type, value and expires of all rows, by name."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        found = connection.execute(
            f"SELECT key_name, key_type, value_type, key_value, expires FROM {table} ORDER BY key_name"
        )
        return found.fetchall()
