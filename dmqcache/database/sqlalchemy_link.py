"""PostgreSQL, MySQL and MariaDB by SQLAlchemy, the extra ``[db]``; loaded only where a URL asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.sql import quoted_name

from dmqcache.database.link import Collided, DatabaseError, Row, Untaken, WrongDatabase, one_line

#: Seconds until a server that does not answer is given up.
CONNECT_S: Final = 5
#: PostgreSQL: readers go on, and no second writer deletes what it does not see yet. (MySQL's and SQLite's
#: deletes wait for each other by themselves.)
LOCK: Final = "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE"

#: What a server says of the transaction that it ends so that another may go on: MySQL's and MariaDB's numbers
#: (deadlock; record has changed since last read), PostgreSQL's SQLSTATE (serialization failure, deadlock).
COLLIDED: Final = frozenset({1213, 1020, "40001", "40P01"})


class SqlalchemyLink:
    """One database on a server."""

    any_bytes = False

    def __init__(self, url: str, password: str) -> None:
        """WrongDatabase where the driver is not installed."""
        try:
            where = sqlalchemy.make_url(url)
            if password:
                where = where.set(password=password)
            # No pool: a connection lives as long as its work, so a server may be restarted at any time.
            self._engine = sqlalchemy.create_engine(
                where, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": CONNECT_S}
            )
        except ModuleNotFoundError as error:
            raise WrongDatabase(f"{url} needs {error.name}: pip install 'dmqcache[db]'") from None
        except (exc.ArgumentError, exc.NoSuchModuleError, TypeError, ValueError) as error:
            raise WrongDatabase(f"{url}: {one_line(error)}") from None
        self._shown = str(url)
        self._connection: sqlalchemy.Connection | None = None
        self._found: sqlalchemy.CursorResult[Any] | None = None
        self._count = 0
        self._insert: Any = None

    def begin_reading(self, table: str, columns: Sequence[str], count: int) -> None:
        source = _table(table, columns)
        query = sqlalchemy.select(*source.columns)
        query = query.order_by(source.columns[columns[0]]) if count else query.limit(0)
        self._count = count
        options = {"stream_results": True, "max_row_buffer": max(1, count)}
        with self._failing():
            self._found = self._open().execution_options(**options).execute(query)

    def fetch(self) -> Sequence[Row]:
        assert self._found is not None
        with self._failing():
            return self._found.fetchmany(self._count)

    def begin_writing(self, table: str, columns: Sequence[str]) -> None:
        target = _table(table, columns)
        self._insert = target.insert()
        self._columns = columns
        with self._failing():
            connection = self._open()
            if self._engine.dialect.name == "postgresql":
                name = connection.dialect.identifier_preparer.format_table(target)
                connection.execute(sqlalchemy.text(LOCK.format(name)))
            connection.execute(target.delete())

    def insert(self, rows: Sequence[Row]) -> list[Untaken]:
        with self._failing():
            return self._insert_some(rows) if rows else []

    def _insert_some(self, rows: Sequence[Row]) -> list[Untaken]:
        """Many at once; where the table does not take one of them, each half by itself."""
        assert self._connection is not None
        before = self._connection.begin_nested()
        try:
            self._connection.execute(
                self._insert, [dict(zip(self._columns, row, strict=True)) for row in rows]
            )
        except (exc.DataError, exc.IntegrityError) as error:
            before.rollback()
            if len(rows) == 1:
                return [(rows[0], one_line(error.orig or error))]
            middle = len(rows) // 2
            return self._insert_some(rows[:middle]) + self._insert_some(rows[middle:])
        before.commit()
        return []

    def commit(self) -> None:
        assert self._connection is not None
        with self._failing():
            self._connection.commit()

    def close(self) -> None:
        connection, self._connection, self._found = self._connection, None, None
        if connection is not None:
            with self._failing():
                connection.close()

    def _open(self) -> sqlalchemy.Connection:
        self.close()
        try:
            self._connection = self._engine.connect()
        except (TypeError, ValueError) as error:
            # Of an option in the URL: PyMySQL takes them as Python's arguments.
            raise WrongDatabase(f"{self._shown}: {one_line(error)}") from None
        return self._connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            # What the server does not understand is wrong here or there; all else may pass.
            kind = WrongDatabase if isinstance(error, exc.ProgrammingError) else DatabaseError
            if _code(error) in COLLIDED:
                kind = Collided
            raise kind(f"{self._shown}: {one_line(error.orig or error)}") from None
        except exc.SQLAlchemyError as error:
            raise DatabaseError(f"{self._shown}: {one_line(error)}") from None


def _code(error: exc.DBAPIError) -> object:
    """The server's own word for what failed: psycopg's ``sqlstate``, PyMySQL's first argument."""
    said = error.orig
    state = getattr(said, "sqlstate", None)
    return state if state or said is None or not said.args else said.args[0]


def _table(name: str, columns: Sequence[str]) -> sqlalchemy.TableClause:
    """Names stand in quotes, as in Kamailio's statements."""
    schema, _, table = name.rpartition(".")
    return sqlalchemy.table(
        quoted_name(table, True),
        *(sqlalchemy.column(quoted_name(column, True)) for column in columns),
        schema=quoted_name(schema, True) if schema else None,
    )
