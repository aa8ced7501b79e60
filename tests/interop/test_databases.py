"""Real databases with the rows of a real Kamailio: what one wrote the other reads, both ways, on SQLite,
PostgreSQL and MariaDB."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.interop.daemon import wait_until
from tests.interop.database_servers import PASSWORD, Database, MariaDB, Postgres, SqliteFile, made_table
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio

pytestmark = pytest.mark.interop

DECLARED = (
    "users=>size=8;autoexpire=600;dbtable=htable;dbmode=1;",
    "cust=>size=8;dbtable=cust;cols='cid,name,num';",
)
CUSTOMERS = (
    "DROP TABLE IF EXISTS cust",
    "CREATE TABLE cust (cid VARCHAR(9), name VARCHAR(30), num INTEGER)",
    "INSERT INTO cust VALUES ('1', 'n1', 5), ('2', NULL, NULL), ('3', 'a,b', -7)",
)
PACKED = {"1": "n1,5", "2": "*,*", "3": "a,b,-7"}


@pytest.fixture(scope="module", params=[SqliteFile, Postgres, MariaDB])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    database: Database = request.param("127.0.83.1")
    try:
        database.start()
        database.run(*CUSTOMERS)
        yield database
    finally:
        database.close()


@pytest.fixture(autouse=True)
def table(database: Database) -> None:
    made_table(database)


def kamailio(database: Database) -> Kamailio:
    """One that loads both tables from the database."""
    module, url = database.module, database.kamailio_url
    return Kamailio(
        "127.0.83.2",
        tables=DECLARED,
        extra_cfg=f'loadmodule "{module}.so"\n'
        f'modparam("htable","db_url","{url}")\nmodparam("htable","db_expires",1)\n',
    )


def node(database: Database, folder: Path, host: str = "127.0.83.3") -> DmqcacheNode:
    """The same of dmqcache."""
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    extra = ["--db-url", database.url, "--db-password-file", str(secret), "--db-expires", "--join-wait", "0"]
    return DmqcacheNode(host, tables=DECLARED, extra=extra)


def ready(node: DmqcacheNode) -> DmqcacheNode:
    node.wait_ready()
    return node


def test_what_a_kamailio_stored_is_loaded(database: Database, tmp_path: Path) -> None:
    # A 5.6.3 that loaded no row stores none at its stop.
    database.run("INSERT INTO htable (key_name, key_value) VALUES ('k0', 'first')")
    with kamailio(database) as writer:
        for number in range(150):
            writer.set_str("users", f"k{number}", f"v{number}")
        writer.set_int("users", "n", -5)
        writer.set_str("users", "text", "é \"quoted\" 'it' ; , *")
        writer.set_str("users", "timed", "t", ttl=100)
        writer.set_str("users", "empty", "")
        writer.delete("users", "k7")
        held = writer.dump("users")
        writer.stop()
    with node(database, tmp_path) as reader:
        ready(reader)
        assert reader.dump("users") == held and len(held) == 153
        assert 60 < (reader.ttl("users", "timed") or 0) <= 100 < (reader.ttl("users", "n") or 0) <= 600
        assert reader.dump("cust") == PACKED


def test_what_dmqcache_stored_is_loaded_by_a_kamailio(database: Database, tmp_path: Path) -> None:
    with node(database, tmp_path) as writer:
        ready(writer).set_many("users", ((f"k{number}", f"v{number}") for number in range(1500)))
        writer.set_int("users", "n", -5)
        writer.set_str("users", "text", "é \"quoted\" 'it' ; , *")
        writer.set_str("users", "timed", "t", ttl=100)
        writer.delete("users", "k7")
        held = writer.dump("users")
        assert writer.stop() == 0
    with kamailio(database) as reader:
        assert reader.dump("users") == held and len(held) == 1502
        assert 60 < (reader.ttl("users", "timed") or 0) <= 100 < (reader.ttl("users", "n") or 0) <= 600


def test_the_rows_of_an_operator_are_the_same_cells_on_both(database: Database, tmp_path: Path) -> None:
    database.run(
        "INSERT INTO htable (key_name, key_type, value_type, key_value, expires) VALUES "
        "('s', 0, 0, 'text', 0), ('i', 0, 1, '42', 0), ('neg', 0, 1, '-7', 0), ('arr', 1, 0, 'a0', 0), "
        "('arr', 1, 0, 'a0', 0), ('iarr', 1, 1, '5', 0), ('plus', 0, 1, '+5', 0), ('emptyv', 0, 0, '', 0), "
        "('same', 0, 0, 'v', 0), ('same', 0, 0, 'v', 0), ('kt2', 2, 0, 'v', 0), "
        f"('soon', 0, 0, 'v', {int(time.time()) + 300})"
    )
    with kamailio(database) as one, node(database, tmp_path) as other:
        ready(other)
        assert other.dump("users") == one.dump("users")
        assert other.dump("cust") == one.dump("cust") == PACKED
        assert abs((other.ttl("users", "soon") or 0) - (one.ttl("users", "soon") or 0)) <= 2
        assert other.dump("users")["arr::size"] == 2
        listed: dict[str, Any] = {row["name"]: row for row in other.rpc("htable.listTables")}
        theirs: dict[str, Any] = {row["name"]: row for row in one.rpc("htable.listTables")}
        for name in ("users", "cust"):
            for word in ("dbtable", "dbmode", "expire", "size"):
                assert listed[name][word] == theirs[name][word]


def test_store_and_reload_by_rpc_on_both(database: Database, tmp_path: Path) -> None:
    with kamailio(database) as one, node(database, tmp_path) as other:
        ready(other).set_str("users", "k", "ours")
        assert other.rpc("htable.store", "users") == one.rpc("htable.store", "cust").replace("cust", "users")
        assert one.rpc("htable.reload", "users") == "Ok. Htable reloaded."
        assert one.dump("users") == {"k": "ours"}
        one.set_str("users", "more", "theirs")
        one.delete("users", "k")
        one.rpc("htable.store", "users")
        assert other.rpc("htable.reload", "users") == "Ok. Htable reloaded."
        assert other.dump("users") == {"more": "theirs"}


@pytest.mark.parametrize("database", [Postgres, MariaDB], indirect=True)
def test_a_cell_that_is_too_long_for_its_column_keeps_no_other_from_being_stored(
    database: Postgres | MariaDB, tmp_path: Path
) -> None:
    """As with a Kamailio, which was tried too. (SQLite's columns have no end.)"""
    with node(database, tmp_path) as one:
        ready(one).set_many("users", ((f"k{number}", "v") for number in range(700)))
        one.set_str("users", "k5", "x" * 129)
        one.set_str("users", "k" * 65, "v")
        one.rpc("htable.store", "users", timeout=30.0)
    assert database.run("SELECT COUNT(*) FROM htable WHERE key_value = 'v'") == [(699,)]


def test_two_nodes_that_store_at_once_leave_each_key_once(database: Database, tmp_path: Path) -> None:
    with node(database, tmp_path) as one, node(database, tmp_path, "127.0.83.4") as other:
        for each in (one, other):
            ready(each).set_many("users", ((f"k{number}", "v") for number in range(3000)))
        with ThreadPoolExecutor() as threads:
            stored = [
                threads.submit(each.rpc, "htable.store", "users", timeout=30.0) for each in (one, other)
            ]
            assert all("Ok" in each.result() for each in stored)
        assert database.run("SELECT COUNT(*) FROM htable") == [(3000,)]


@pytest.mark.parametrize("database", [Postgres, MariaDB], indirect=True)
def test_a_server_that_goes_and_comes_stops_nothing(database: Postgres | MariaDB, tmp_path: Path) -> None:
    database.run("INSERT INTO htable (key_name, key_value) VALUES ('k', 'v')")
    with node(database, tmp_path) as reader:
        ready(reader)
        database.stop()
        try:
            with pytest.raises(KeyError):
                reader.rpc("htable.reload", "users", timeout=20.0)  # an error has no result
            assert reader.get("users", "k") == "v" and reader.healthy()
            with node(database, tmp_path, "127.0.83.4") as late:
                ready(late)
                assert late.count("users") == 0
                database.start()
                wait_until(
                    lambda: late.get("users", "k") == "v",
                    30,
                    "the table is loaded when the database is there",
                )
        finally:
            if not _answers(database):
                database.start()
        assert reader.rpc("htable.reload", "users", timeout=20.0) == "Ok. Htable reloaded."


def _answers(database: Postgres | MariaDB) -> bool:
    try:
        return database._answers()
    except OSError:
        return False
