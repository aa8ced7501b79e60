"""SQLite: any bytes there and back, one transaction, and what is wrong told from what is busy."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.database import sqlite_link
from dmqcache.database.link import DatabaseError, WrongDatabase
from dmqcache.database.sqlite_link import SqliteLink
from tests.database.rows import change, rows_of, sqlite_file

COLUMNS = ("key_name", "key_value", "key_type", "value_type", "expires")


def test_rows_come_in_parts_in_the_order_of_their_keys(tmp_path: Path) -> None:
    sqlite_file(tmp_path / "k.db", [(f"k{number}", 0, 0, "v", 0) for number in (3, 1, 2)])
    link = SqliteLink(str(tmp_path / "k.db"))
    link.begin_reading("htable", ("key_name", "key_value"), 2)
    assert list(link.fetch()) == [("k1", "v"), ("k2", "v")]
    assert list(link.fetch()) == [("k3", "v")] and not list(link.fetch())
    link.close()


def test_what_is_written_replaces_all_when_it_is_committed_and_nothing_before(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    sqlite_file(path, [("old", 0, 0, "v", 0)])
    link = SqliteLink(str(path))
    for commit in (False, True):
        link.begin_writing("htable", COLUMNS)
        link.insert([(b"new\xff", b"a\0\xfe", 0, 0, 0), (b"n", b"5", 0, 1, 7)])
        if commit:
            link.commit()
        link.close()
        assert (rows_of(path)[0][0] == "old") == (not commit)
    assert rows_of(path) == [("n", 0, 1, "5", 7), ("new\udcff", 0, 0, "a\0\udcfe", 0)]
    with closing(sqlite3.connect(path)) as connection:
        types = connection.execute(
            "SELECT DISTINCT typeof(key_name), typeof(key_value) FROM htable"
        ).fetchall()
    assert types == [("text", "text")], "as Kamailio's own"


def test_what_is_not_there_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(WrongDatabase, match="no such file"):
        SqliteLink(str(tmp_path / "none.db")).begin_reading("htable", COLUMNS, 0)
    with pytest.raises(WrongDatabase, match="this is no file but a folder"):
        SqliteLink(str(tmp_path)).begin_reading("htable", COLUMNS, 0)
    with pytest.raises(WrongDatabase, match="this is no file but a device"):
        SqliteLink("/dev/null").begin_reading("htable", COLUMNS, 0)
    sqlite_file(tmp_path / "k.db")
    link = SqliteLink(str(tmp_path / "k.db"))
    with pytest.raises(WrongDatabase, match="no such table: other"):
        link.begin_reading("other", COLUMNS, 0)
    with pytest.raises(WrongDatabase, match="no_such"):
        link.begin_writing("htable", ("key_name", "no_such"))
        link.insert([(b"k", b"1")])
    (tmp_path / "text.db").write_text("not a database, but long enough to be read as one" * 100)
    with pytest.raises(WrongDatabase, match="not a database"):
        SqliteLink(str(tmp_path / "text.db")).begin_reading("htable", COLUMNS, 0)


def test_a_file_that_another_one_writes_is_busy_and_not_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_link, "BUSY_S", 0.0)
    sqlite_file(tmp_path / "k.db")
    with closing(sqlite3.connect(tmp_path / "k.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="locked") as caught:
            SqliteLink(str(tmp_path / "k.db")).begin_writing("htable", COLUMNS)
    assert not isinstance(caught.value, WrongDatabase)


def test_rows_that_the_table_does_not_take_are_named_and_the_others_written(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    sqlite_file(path, [("old", 0, 0, "v", 0)])
    change(path, "CREATE UNIQUE INDEX one ON htable (key_name COLLATE NOCASE)")
    link = SqliteLink(str(path))
    link.begin_writing("htable", COLUMNS)
    assert link.insert([(b"a", b"1", 0, 0, 0)]) == []
    untaken = link.insert([(b"b", b"1", 0, 0, 0), (b"A", b"2", 0, 0, 0), (b"c", b"1", 0, 0, 0)])
    assert [row for row, _ in untaken] == [(b"A", b"2", 0, 0, 0)] and "UNIQUE constraint" in untaken[0][1]
    link.commit()
    link.close()
    assert [row[0] for row in rows_of(path)] == ["a", "b", "c"]
