"""What SQLAlchemy's drivers say becomes ours; the statements are tried on SQLite here, on real servers in
tests/interop/test_databases.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from dmqcache.database import sqlalchemy_link
from dmqcache.database.link import Collided, DatabaseError, WrongDatabase
from dmqcache.database.sqlalchemy_link import SqlalchemyLink
from tests.database.rows import change, rows_of, sqlite_file
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


def test_rows_that_the_table_does_not_take_are_named_and_the_others_written(
    on_sqlite: None, tmp_path: Path
) -> None:
    path = tmp_path / "k.db"
    url = sqlite_file(path)
    change(path, "CREATE UNIQUE INDEX one ON htable (key_name COLLATE NOCASE)")
    link = SqlalchemyLink(url, "")
    link.begin_writing("htable", COLUMNS)
    some = [(f"k{number}", "v", 0, 0, 0) for number in range(20)]
    assert link.insert(some) == []
    untaken = link.insert(
        [("a", "1", 0, 0, 0), ("K3", "2", 0, 0, 0), ("b", "1", 0, 0, 0), ("A", "2", 0, 0, 0)]
    )
    assert [row[0] for row, _ in untaken] == ["K3", "A"] and "UNIQUE constraint" in untaken[0][1]
    link.commit()
    link.close()
    assert sorted(row[0] for row in rows_of(path)) == sorted([*(row[0] for row in some), "a", "b"])


def test_a_server_that_is_down_is_no_mistake() -> None:
    link = SqlalchemyLink(
        f"postgresql+psycopg://u@127.0.0.1:{free_port('127.0.0.1', 'tcp')}/db", "secret-word"
    )
    with pytest.raises(DatabaseError, match="refused") as caught:
        link.begin_reading("htable", COLUMNS, 0)
    assert not isinstance(caught.value, WrongDatabase)
    assert "secret-word" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["nosuch=1", "read_timeout=x"])
def test_an_option_that_the_driver_does_not_know_is_a_mistake_in_one_line(option: str) -> None:
    url = f"mysql+pymysql://u@127.0.0.1:{free_port('127.0.0.1', 'tcp')}/db?{option}"
    with pytest.raises(WrongDatabase, match=option) as caught:
        SqlalchemyLink(url, "").begin_reading("htable", COLUMNS, 0)
    assert "\n" not in str(caught.value)


def test_a_driver_that_is_not_there_is_named() -> None:
    with pytest.raises(WrongDatabase, match="psycopg2: pip install"):
        SqlalchemyLink("postgresql+psycopg2://h/db", "")
    with pytest.raises(WrongDatabase, match="nonsense"):
        SqlalchemyLink("postgresql+nonsense://h/db", "")


class _Said(Exception):
    """A driver's exception."""

    sqlstate: str | None = None


@pytest.mark.parametrize(
    ("said", "collided"),
    [((1213, "Deadlock found"), True), ((1020, "changed"), True), ((2006, "gone"), False), ((), False)],
)
def test_who_loses_against_another_transaction_may_try_again(
    on_sqlite: None, tmp_path: Path, said: tuple[object, ...], collided: bool
) -> None:
    assert _kind_of(tmp_path, _Said(*said)) is (Collided if collided else DatabaseError)


@pytest.mark.parametrize(("state", "collided"), [("40P01", True), ("40001", True), ("53300", False)])
def test_postgresql_names_the_same_by_its_states(
    on_sqlite: None, tmp_path: Path, state: str, collided: bool
) -> None:
    error = _Said("in words")
    error.sqlstate = state
    assert _kind_of(tmp_path, error) is (Collided if collided else DatabaseError)


def _kind_of(folder: Path, said: Exception) -> type[DatabaseError]:
    """What a link makes of what its driver raises at the commit."""
    link = SqlalchemyLink(sqlite_file(folder / "k.db", []), "")
    link.begin_writing("htable", COLUMNS)
    assert link._connection is not None

    def fail() -> None:
        raise sqlalchemy.exc.OperationalError("COMMIT", None, said)

    link._connection.commit = fail  # type: ignore[method-assign]
    with pytest.raises(DatabaseError) as caught:
        link.commit()
    link._connection.rollback()
    link.close()
    return type(caught.value)
