"""When tables are loaded and stored, and what others' writes, a missing server and a stop do to that."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dmqcache.database import node_database
from dmqcache.database.db_url import DbUrl
from dmqcache.database.layout import Columns
from dmqcache.database.link import Collided, DatabaseError, WrongDatabase
from dmqcache.database.node_database import NodeDatabase, link_of
from dmqcache.database.sqlite_link import SqliteLink
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.listing import SORTED_AT_ONCE
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from tests.database.rows import change, rows_of, sqlite_file
from tests.waiting import until

ROWS = [("a", 0, 0, "x", 0), ("arr", 1, 0, "p", 0), ("arr", 1, 0, "q", 0), ("n", 0, 1, "5", 0)]
#: A row that is no cell.
ODD = "INSERT INTO htable (key_name, value_type, key_value) VALUES ('odd', 1, '12x')"
CELLS = {"a": "x", "arr::size": 2, "arr[0]": "p", "arr[1]": "q", "n": 5}


class Flaky(SqliteLink):
    """A database that is down until it is mended."""

    down = True
    #: How many transactions are yet to lose against another's.
    loses = 0

    def begin_reading(self, table: str, columns: Sequence[str], count: int) -> None:
        self._fail()
        super().begin_reading(table, columns, count)

    def begin_writing(self, table: str, columns: Sequence[str]) -> None:
        self._fail()
        super().begin_writing(table, columns)

    def commit(self) -> None:
        if self.loses:
            self.loses -= 1
            raise Collided("deadlock found, try again")
        super().commit()

    def _fail(self) -> None:
        if self.down:
            raise DatabaseError("connection refused")


class World:
    """A database file, and a table that is loaded from it."""

    def __init__(self, folder: Path, declared: str = "t=>dbtable=htable;dbmode=1", **columns: object) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "k.db"
        sqlite_file(self.path, ROWS)
        settings = TableSettings.parse(declared)
        clock = Clock(time.monotonic, lambda: time.time_ns() // 1_000_000)
        #: The keys of the writes that other nodes are told of.
        self.told: list[str] = []
        listener = TableListener(lambda cell: self.told.append(cell.key))
        self.table = Table(settings, clock, listener=listener)
        self.link = Flaky(str(self.path))
        self.link.down = False
        tables = {"t": self.table, "other": Table(TableSettings("other"), clock)}
        self.database = NodeDatabase(self.link, Columns(**columns), tables)  # type: ignore[arg-type]


def test_a_table_of_which_nobody_knows_anything_is_loaded(tmp_path: Path) -> None:
    world = World(tmp_path, fetch_rows=1)
    asyncio.run(world.database.fill())
    assert dict(world.table) == CELLS


def test_a_table_that_came_from_other_nodes_is_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.table.set("b", "theirs")
    asyncio.run(world.database.fill())
    assert dict(world.table) == {"b": "theirs"}


def test_a_flushed_table_stays_empty(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.table.flush()
    asyncio.run(world.database.fill())
    assert dict(world.table) == {}


def test_a_store_replaces_all_rows(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def scenario() -> int:
        await world.database.fill()
        world.table.delete("a")
        world.table.set("new", "\udcff")
        return await world.database.store("t")

    assert asyncio.run(scenario()) == 5
    assert rows_of(world.path) == [
        ("arr::size", 0, 1, "2", 0),
        ("arr[0]", 0, 0, "p", 0),
        ("arr[1]", 0, 0, "q", 0),
        ("n", 0, 1, "5", 0),
        ("new", 0, 0, "\udcff", 0),
    ]


def test_cells_that_the_table_does_not_take_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Kamailio's columns are of 64 and 128 characters: one longer cell left a whole table unstored."""
    world = World(tmp_path)
    change(
        world.path,
        "CREATE TRIGGER narrow BEFORE INSERT ON htable WHEN length(NEW.key_value) > 9 "
        "BEGIN SELECT RAISE(ABORT, 'value too long'); END",
    )

    async def scenario() -> int:
        await world.database.fill()
        world.table.set("long\udcff", "x" * 10)
        return await world.database.store("t")

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(scenario()) == len(CELLS)
    assert [row[0] for row in rows_of(world.path)] == sorted(CELLS)
    assert (
        "some cells are not stored in htable (1), the first is 'long\\udcff': value too long" in caplog.text
    )


def test_a_table_that_takes_no_row_keeps_those_that_it_has(tmp_path: Path) -> None:
    world = World(tmp_path)
    change(
        world.path,
        "CREATE TRIGGER none BEFORE INSERT ON htable BEGIN SELECT RAISE(ABORT, 'no more'); END",
    )

    async def scenario() -> None:
        await world.database.fill()
        with pytest.raises(DatabaseError, match="htable takes no row: no more"):
            await world.database.store("t")
        world.table.flush()
        assert await world.database.store("t") == 0

    before = rows_of(world.path)
    assert len(before) == len(ROWS)
    asyncio.run(scenario())
    assert rows_of(world.path) == [], "an empty table is stored as such"


def test_rows_that_could_not_be_loaded_are_not_deleted_by_a_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    change(world.path, ODD)

    async def life(world: World, ask: bool) -> None:
        await world.database.fill()
        world.table.set("new", "x")
        if ask:
            await world.database.store("t")
        await world.database.close(store=True)

    asyncio.run(life(world, ask=False))
    assert {row[0] for row in rows_of(world.path)} == {"a", "arr", "n", "odd"}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "'odd'" in said[0]
    assert said[1].startswith("table t is not stored at the stop, which would delete these rows: mend them")
    assert said[2] == ("table t is not stored: rows that could not be loaded (1) would be deleted")
    world = World(tmp_path / "again")
    change(world.path, ODD)
    asyncio.run(life(world, ask=True))
    keys = [row[0] for row in rows_of(world.path)]
    assert "new" in keys and "odd" not in keys, "who asks for it has been told"


def test_rows_that_were_mended_and_reloaded_are_stored_by_the_stop(tmp_path: Path) -> None:
    world = World(tmp_path)
    change(world.path, ODD)

    async def life() -> None:
        await world.database.fill()
        change(world.path, "UPDATE htable SET key_value = '12' WHERE key_name = 'odd'")
        await world.database.reload("t")
        world.table.set("new", "x")
        await world.database.close(store=True)

    asyncio.run(life())
    assert {"new", "odd"} <= {row[0] for row in rows_of(world.path)}


def test_a_store_that_met_anothers_is_done_again_and_given_up_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_database, "COLLIDED_S", 0.0)

    async def run() -> None:
        world = World(tmp_path)
        await world.database.fill()
        world.table.set("b", "new")
        world.link.loses = node_database.STORE_TRIES - 1
        assert await world.database.store("t") == len(CELLS) + 1
        assert ("b", 0, 0, "new", 0) in rows_of(world.path)
        world.table.set("c", "new")
        world.link.loses = node_database.STORE_TRIES
        with pytest.raises(Collided, match="deadlock"):
            await world.database.store("t")
        assert "c" not in [row[0] for row in rows_of(world.path)]

    asyncio.run(run())


@pytest.mark.parametrize(("mode", "stored"), [(1, True), (0, False)])
def test_the_stop_stores_where_the_declaration_says_so(tmp_path: Path, mode: int, stored: bool) -> None:
    world = World(tmp_path, f"t=>dbtable=htable;dbmode={mode}")

    async def scenario() -> None:
        await world.database.fill()
        world.table.set("new", "v")
        await world.database.close(store=True)

    asyncio.run(scenario())
    assert ("new" in [row[0] for row in rows_of(world.path)]) == stored


def test_a_node_that_never_had_the_table_stores_nothing_over_the_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.link.down = True

    async def scenario() -> None:
        await world.database.check()
        await world.database.fill()
        world.link.down = False
        with pytest.raises(DatabaseError, match="was not loaded"):
            await world.database.store("t")
        await world.database.close(store=True)

    asyncio.run(scenario())
    assert len(rows_of(world.path)) == len(ROWS)
    assert (
        "the database is down, the tables come from other nodes or later: connection refused" in caplog.text
    )
    assert "tables not loaded yet: t: connection refused" in caplog.text
    assert "table t is not stored: table t was not loaded" in caplog.text


def test_a_database_that_comes_later_fills_in_what_nobody_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_database, "AGAIN_S", 0.01)
    world = World(tmp_path)
    world.link.down = True

    async def scenario() -> None:
        await world.database.fill()
        world.table.set("a", "written meanwhile")
        world.table.set("n", 7)
        world.table.delete("n")
        world.link.down = False
        await until(lambda: not world.database._owed)
        assert "arr::size" in world.table
        assert await world.database.store("t") == 4
        await world.database.close(store=False)

    asyncio.run(scenario())
    assert "n" not in world.table and world.table["a"] == "written meanwhile"


def test_a_reload_makes_the_table_what_the_database_says(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def scenario() -> int:
        await world.database.fill()
        world.table.set("added", "v")
        world.table.set("a", "changed")
        world.table.delete("n")
        change(world.path, "UPDATE htable SET key_value = 'r' WHERE key_value = 'p'")
        world.told.clear()
        return await world.database.reload("t")

    assert asyncio.run(scenario()) == 4
    assert dict(world.table) == {**CELLS, "arr[0]": "r"}
    assert sorted(world.told) == ["a", "added", "arr[0]", "n"], "what is the same is told to nobody"


def test_a_reload_writes_nothing_that_is_so_already_times_included(tmp_path: Path) -> None:
    world = World(tmp_path, "t=>dbtable=htable;dbmode=1;autoexpire=3600", db_expires=True)

    async def scenario() -> tuple[int, int]:
        await world.database.fill()
        world.table.set("timed", "x", 60.4)
        await world.database.store("t")
        world.told.clear()
        first = await world.database.reload("t")
        world.table.set("timed", "x", 600)
        return first, await world.database.reload("t")

    changed = asyncio.run(scenario())
    assert world.table.ttl("timed") == pytest.approx(60.4, abs=2)
    assert changed == (0, 1)


def test_a_reload_leaves_what_is_written_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def scenario() -> None:
        await world.database.fill()
        real, loop = world.link.begin_reading, asyncio.get_running_loop()

        def begin_reading(table: str, columns: Sequence[str], count: int) -> None:
            # Later than anything of before, and before the first row is there.
            until_ms = world.table.clock.wall_ms() + 1
            while world.table.clock.wall_ms() <= until_ms:
                pass
            for key in ("n", "new"):
                loop.call_soon_threadsafe(world.table.set, key, "later")
            real(table, columns, count)

        world.link.begin_reading = begin_reading  # type: ignore[method-assign]
        await world.database.reload("t")

    asyncio.run(scenario())
    assert dict(world.table) == {**CELLS, "n": "later", "new": "later"}


def test_times_begin_anew_with_a_load_or_are_kept(tmp_path: Path) -> None:
    world = World(tmp_path, "t=>dbtable=htable;autoexpire=60", db_expires=True)
    change(world.path, f"UPDATE htable SET expires = {int(time.time()) + 30} WHERE key_name = 'a'")

    async def scenario() -> None:
        await world.database.fill()
        assert 25 < (world.table.ttl("a") or 0) <= 30 < (world.table.ttl("n") or 0)
        world.table.expire("n", 5)
        await world.database.reload("t")
        assert (world.table.ttl("n") or 0) > 50
        await world.database.store("t")

    asyncio.run(scenario())
    left = {row[0]: int(str(row[4])) - time.time() for row in rows_of(world.path)}
    assert 20 < left["a"] <= 30 and 50 < left["n"] <= 60


def test_a_table_with_columns_of_its_own_is_read_only(tmp_path: Path) -> None:
    world = World(tmp_path, "t=>dbtable=htable;cols='key_name,key_value,value_type';dbmode=1")

    async def scenario() -> None:
        await world.database.check()
        await world.database.fill()
        with pytest.raises(DatabaseError, match="not written back"):
            await world.database.store("t")
        await world.database.close(store=True)

    asyncio.run(scenario())
    assert world.table["n"] == "5,1"
    assert len(rows_of(world.path)) == len(ROWS)


def test_wrong_tables_are_found_before_the_start_and_one_without_a_database_has_none(tmp_path: Path) -> None:
    world = World(tmp_path, "t=>dbtable=nosuch")
    with pytest.raises(WrongDatabase, match="no such table: nosuch"):
        asyncio.run(world.database.check())
    with pytest.raises(LookupError, match="has no database"):
        asyncio.run(world.database.store("other"))


def test_rows_that_are_no_cells_are_counted_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    change(
        world.path,
        "INSERT INTO htable (key_name, value_type, key_value) VALUES ('bad', 1, '12x'), ('', 0, 'v')",
    )
    asyncio.run(world.database.fill())
    assert dict(world.table) == CELLS
    assert "table t: some rows of htable are no cells (2), the first is '': the key is empty" in caplog.text


def test_the_loop_goes_on_while_much_is_loaded_and_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    change(
        world.path,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
        "INSERT INTO htable (key_name, key_value) SELECT 'k' || i, 'v' FROM n",
    )

    async def scenario() -> int:
        turns = 0
        work = asyncio.create_task(world.database.fill())
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        work = asyncio.create_task(world.database.store("t"))  # type: ignore[arg-type]
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(scenario()) > 2 * 10_000 / node_database.STEP
    assert "cells stored in the database: 10005" in caplog.text
    assert caplog.text.count(" s: 10005") == 1


def test_a_large_table_is_sorted_some_keys_at_a_time_for_a_store_and_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    scan, waited = Table.scan, list[int]()

    def noting(table: Table, *args: Any, **kwargs: Any) -> list[str]:
        waited.append(len(table.order._born))
        return scan(table, *args, **kwargs)

    def write() -> None:
        for number in range(10 * SORTED_AT_ONCE):
            world.table.set(f"k{waited}{number}", "x")

    async def scenario() -> None:
        await world.database.fill()
        write()
        await world.database.store("t")
        write()
        await world.database.reload("t")

    monkeypatch.setattr(Table, "scan", noting)
    asyncio.run(scenario())
    assert len(world.table) == len(rows_of(world.path))
    assert len(waited) > 1 and max(waited) <= SORTED_AT_ONCE


def test_the_link_is_the_urls(tmp_path: Path) -> None:
    assert isinstance(link_of(DbUrl.parse(f"sqlite:///{tmp_path}/k.db"), ""), SqliteLink)
    assert type(link_of(DbUrl.parse("postgres://u@h/d"), "p")).__name__ == "SqlalchemyLink"
