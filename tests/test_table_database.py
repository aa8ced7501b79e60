"""A node whose tables have a database: what an operator sees of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from dmqcache import CacheNode, ConfigError, SyncCacheNode
from tests.database.rows import rows_of, sqlite_file
from tests.test_cache_node_start import free

ROWS = [("a", 0, 0, "x", 0), ("n", 0, 1, "5", 0)]
TABLE = "t=>dbtable=htable;dbmode=1"


def node_of(folder: Path, address: str, *seeds: str, **options: object) -> CacheNode:
    given = {"tables": [TABLE], "db_url": f"sqlite:///{folder}/k.db", "join_wait": 0} | options
    return CacheNode(server_address=address, notification_addresses=list(seeds), **given)  # type: ignore[arg-type]


def test_a_table_is_loaded_at_the_start_and_stored_at_the_stop(tmp_path: Path) -> None:
    sqlite_file(tmp_path / "k.db", ROWS)

    async def scenario() -> None:
        async with node_of(tmp_path, free("127.0.0.97")) as node:
            await node.wait_ready(20)
            assert dict(node.table("t")) == {"a": "x", "n": 5}
            node.table("t")["b"] = "y"

    asyncio.run(scenario())
    assert [row[0] for row in rows_of(tmp_path / "k.db")] == ["a", "b", "n"]


def test_a_node_that_comes_to_others_has_their_state_and_not_the_rows(tmp_path: Path) -> None:
    sqlite_file(tmp_path / "k.db", ROWS)

    async def scenario() -> None:
        first = free("127.0.0.97")
        async with node_of(tmp_path, first, stop_timeout=1) as one:
            await one.wait_ready(20)
            one.table("t").delete("a")
            one.table("t")["n"] = 6
            async with node_of(tmp_path, free("127.0.0.98"), first, tables=["t=>dbtable=htable"]) as two:
                await two.wait_ready(20)
                assert dict(two.table("t")) == {"n": 6}
                assert await two.database.reload("t") == 2
                await two.wait_replicated(1, 20)
                assert dict(one.table("t")) == {"a": "x", "n": 5}, "a reload is for all nodes"

    asyncio.run(scenario())


def test_a_program_without_a_loop_has_the_same(tmp_path: Path) -> None:
    sqlite_file(tmp_path / "k.db", ROWS)
    options = {"server_address": free("127.0.0.97"), "tables": [TABLE], "join_wait": 0}
    with SyncCacheNode(**options, db_url=f"sqlite:///{tmp_path}/k.db") as node:  # type: ignore[arg-type]
        node.wait_ready(20)
        node.table("t")["b"] = "y"
        assert node.store_table("t") == 3
        assert node.reload_table("t") == 0


@pytest.mark.parametrize(
    ("table", "says"),
    [("t=>dbtable=nosuch", "no such table: nosuch"), ("t=>dbtable=htable;cols='k,v'", "no such column: k")],
)
def test_a_wrong_configuration_is_one_line_and_nothing_starts(tmp_path: Path, table: str, says: str) -> None:
    sqlite_file(tmp_path / "k.db")
    with pytest.raises(ConfigError, match=says):
        asyncio.run(node_of(tmp_path, free("127.0.0.97"), tables=[table]).start())


def test_serve_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dmqcache", "serve", "--server-address", free("127.0.0.97")]
    command += ["--client-address", "off", "--http-address", "off", "--table", "t=>dbtable=htable"]
    done = subprocess.run(
        [*command, "--db-url", f"sqlite:///{tmp_path}/none.db"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert f"dmqcache: db_url {tmp_path}/none.db: there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_url_that_names_a_folder_is_wrong_and_not_down(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^db_url .*: this is no file but a folder"):
        asyncio.run(node_of(tmp_path, free("127.0.0.97"), db_url=f"sqlite:///{tmp_path}").start())


def test_a_password_that_is_not_there_is_told_also_where_there_is_no_database(tmp_path: Path) -> None:
    async def scenario() -> None:
        await CacheNode(server_address=free("127.0.0.97"), db_password_file=tmp_path / "none").start()

    with pytest.raises(ConfigError, match=r"^db_password_file .*/none: No such file"):
        asyncio.run(scenario())
