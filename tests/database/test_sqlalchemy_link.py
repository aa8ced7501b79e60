"""What SQLAlchemy's drivers say becomes ours; the statements are tried on SQLite here, on real servers in
tests/interop/test_databases.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from dmqcache.database import sqlalchemy_link
from dmqcache.database.link import DatabaseError, WrongDatabase
from dmqcache.database.sqlalchemy_link import SqlalchemyLink
from tests.database.rows import rows_of, sqlite_file
from tests.ports import free_port

COLUMNS = ("key_name", "key_value", "key_type", "value_type", "expires")


@pytest.fixture
def on_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's driver knows no time limit for connecting."""
    real = sqlalchemy.create_engine
    monkeypatch.setattr(
        sqlalchemy_link.sqlalchemy, "create_engine", lambda url, poolclass, connect_args: real(url)
    )


def test_rows_are_read_in_parts_and_written_as_a_whole(on_sqlite: None, tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    link = SqlalchemyLink(sqlite_file(path, [("b", 0, 0, "v", 0), ("a", 0, 1, "5", 0)]), "")
    link.begin_reading("htable", COLUMNS, 1)
    assert [tuple(row) for row in (*link.fetch(), *link.fetch(), *link.fetch())] == [
        ("a", "5", 0, 1, 0),
        ("b", "v", 0, 0, 0),
    ]
    link.begin_writing("htable", COLUMNS)
    link.insert([("c", "w", 0, 0, 9)])
    link.close()
    assert [row[0] for row in rows_of(path)] == ["a", "b"]
    link.begin_writing("htable", COLUMNS)
    link.insert([])
    link.insert([("c", "w", 0, 0, 9)])
    link.commit()
    link.close()
    assert rows_of(path) == [("c", 0, 0, "w", 9)]


def test_a_server_that_is_down_is_no_mistake() -> None:
    link = SqlalchemyLink(
        f"postgresql+psycopg://u@127.0.0.1:{free_port('127.0.0.1', 'tcp')}/db", "secret-word"
    )
    with pytest.raises(DatabaseError, match="refused") as caught:
        link.begin_reading("htable", COLUMNS, 0)
    assert not isinstance(caught.value, WrongDatabase)
    assert "secret-word" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_driver_that_is_not_there_is_named() -> None:
    with pytest.raises(WrongDatabase, match="psycopg2: pip install"):
        SqlalchemyLink("postgresql+psycopg2://h/db", "")
    with pytest.raises(WrongDatabase, match="nonsense"):
        SqlalchemyLink("postgresql+nonsense://h/db", "")
