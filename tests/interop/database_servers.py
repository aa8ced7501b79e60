"""Real databases for the tests: an SQLite file, a PostgreSQL and a MariaDB server of the test's own, from
Debian's packages. Each says how Kamailio and dmqcache reach it, and runs statements as its owner.
"""

import contextlib
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy

from tests.interop.daemon import Daemon, wait_until

PASSWORD = "Of-the-database-7"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
#: As `kamdbctl` makes it.
SCHEMA = (
    "CREATE TABLE {table} (id {serial} PRIMARY KEY NOT NULL, key_name VARCHAR(64) DEFAULT '' NOT NULL, "
    "key_type INTEGER DEFAULT 0 NOT NULL, value_type INTEGER DEFAULT 0 NOT NULL, "
    "key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INTEGER DEFAULT 0 NOT NULL)"
)


class SqliteFile:
    """A file that both read."""

    module = "db_sqlite"
    serial = "INTEGER"

    def __init__(self, host: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="dmqc-sqlite-"))
        self._path = self._directory / "kamailio.sqlite"
        self.kamailio_url = self.url = f"sqlite:///{self._path}"
        sqlite3.connect(self._path).close()

    def start(self) -> None:
        """There is nothing to be started."""

    def run(self, *statements: str) -> list[Any]:
        """The rows of the last one."""
        with contextlib.closing(sqlite3.connect(self._path)) as connection, connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class _Server:
    """A server program of a user of its own (neither takes root)."""

    user = ""
    name = ""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._directory = Path(tempfile.mkdtemp(prefix=f"dmqc-{self.name}-"))
        shutil.chown(self._directory, self.user, self.user)
        self.data = self._directory / "data"
        self._daemon: Daemon | None = None
        self._engine: sqlalchemy.Engine | None = None

    def as_user(self, *command: object) -> list[str]:
        """The words that run a command as the server's user."""
        return [
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.user}",
            "--clear-groups",
            *map(str, command),
        ]

    def made(self, command: Sequence[str]) -> None:
        """Run what makes the server's files."""
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._directory, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def started(self, command: Sequence[str], url: str) -> None:
        """Start the server and wait until it answers."""
        self._daemon = Daemon(self.name, command, Path(tempfile.gettempdir()) / f"{self._directory.name}.log")
        self._engine = sqlalchemy.create_engine(
            url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT"
        )
        self._daemon.wait_ready(self._answers, START_TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            return bool(self.run("SELECT 1"))
        except sqlalchemy.exc.OperationalError as error:
            raise OSError(str(error)) from error

    def run(self, *statements: str) -> list[Any]:
        """The rows of the last one."""
        assert self._engine is not None
        rows: list[Any] = []
        with self._engine.connect() as connection:
            for statement in statements:
                done = connection.execute(sqlalchemy.text(statement))
                rows = [tuple(row) for row in done] if done.returns_rows else []
        return rows

    def stop(self) -> None:
        """End the server, as an operator does."""
        assert self._daemon is not None
        daemon = self._daemon
        daemon.process.send_signal(self.signal)
        wait_until(lambda: not daemon.running, STOP_TIMEOUT_S, f"the end of {self.name}")

    signal = 15

    def close(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.log.unlink(missing_ok=True)
        shutil.rmtree(self._directory, ignore_errors=True)


class Postgres(_Server):
    """PostgreSQL that asks for a password."""

    module = "db_postgres"
    serial = "SERIAL"
    user = name = "postgres"
    signal = 2  # a fast shutdown: it waits for no client

    def __init__(self, host: str) -> None:
        super().__init__(host, 5432)
        self.kamailio_url = f"postgres://kamailio:{PASSWORD}@{host}:{self.port}/postgres"
        self.url = f"postgres://kamailio@{host}:{self.port}/postgres"
        self._programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        secret = self._directory / "password"
        secret.write_text(PASSWORD)
        shutil.chown(secret, self.user)
        initdb = [self._programs / "initdb", "-D", self.data, "-U", "kamailio", "-A", "scram-sha-256"]
        self.made(self.as_user(*initdb, f"--pwfile={secret}", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"))

    def start(self) -> None:
        server = [self._programs / "postgres", "-D", self.data, "-h", self.host, "-p", self.port]
        url = self.kamailio_url.replace("postgres:", "postgresql+psycopg:", 1)
        self.started(self.as_user(*server, "-k", self._directory, "-F"), url)


class MariaDB(_Server):
    """MariaDB with one user, who has a password."""

    module = "db_mysql"
    serial = "INTEGER AUTO_INCREMENT"
    user = name = "mysql"

    def __init__(self, host: str) -> None:
        super().__init__(host, 3306)
        self.kamailio_url = f"mysql://kamailio:{PASSWORD}@{host}:{self.port}/kamailio"
        self.url = f"mysql://kamailio@{host}:{self.port}/kamailio"
        self._options = ["--no-defaults", f"--datadir={self.data}"]
        made = [
            "mariadb-install-db",
            *self._options,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        self.made(self.as_user(*made))
        self._first = self._directory / "first.sql"
        self._first.write_text(
            "CREATE DATABASE IF NOT EXISTS kamailio CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS kamailio@'%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON kamailio.* TO kamailio@'%';\n"
        )
        shutil.chown(self._first, self.user)

    def start(self) -> None:
        server = ["mariadbd", *self._options, f"--bind-address={self.host}", f"--port={self.port}"]
        server += [f"--socket={self._directory}/socket", f"--init-file={self._first}", "--skip-name-resolve"]
        self.started(
            self.as_user(shutil.which("mariadbd", path="/usr/sbin:/usr/bin") or "mariadbd", *server[1:]),
            self.kamailio_url.replace("mysql:", "mysql+pymysql:", 1),
        )


Database = SqliteFile | Postgres | MariaDB


def made_table(database: Database, table: str = "htable") -> None:
    """An empty table as Kamailio's scripts make it, in place of what was there."""
    database.run(f"DROP TABLE IF EXISTS {table}", SCHEMA.format(table=table, serial=database.serial))
