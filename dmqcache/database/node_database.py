"""When a node's tables are loaded from their database and stored in it, and what follows.

- **At the start**, once it is known that no other node has anything of a table, its rows become cells that
  lose to whatever anybody writes (``store/table/seeds.py``). Where others have the table, it comes from them:
  rows that are older than a delete must not bring a key back.
- **Stored** (``dbmode=1`` at the stop, ``htable.store``): in one transaction, so that the rows are those of
  before or all of now; two nodes that store at once do so one after the other. Cells that the database's
  table does not take are left out, unless it takes none. A table that should have been
  loaded and was not is never stored over its rows; one of which single rows could not be loaded is not at a
  stop, as these rows would be gone: somebody must ask for that.
- **Reloaded** (``htable.reload``): the database counts. What differs is written, what is not there is
  deleted, on all nodes; what anybody wrote meanwhile stays.

A database that is down stops nothing: the bus has the tables, or the load is tried again until it comes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import islice
from typing import Final, TypeVar

from dmqcache.database.db_url import DbUrl
from dmqcache.database.db_worker import DbWorker
from dmqcache.database.layout import Columns, Layout, Loaded, Refused, Stored, Unpacker, name_of
from dmqcache.database.link import Collided, DatabaseError, Link, WrongDatabase
from dmqcache.database.sqlite_link import SqliteLink
from dmqcache.store.table.cell import NEVER, Cell
from dmqcache.store.table.clock import MAX_COUNT
from dmqcache.store.table.listing import listed
from dmqcache.store.table.seeds import Seed, is_untouched, seed
from dmqcache.store.table.table import Table

log = logging.getLogger("dmqcache.database")

Result = TypeVar("Result")

#: Seconds between two tries to load from a database that is down.
AGAIN_S: Final = 10.0
#: Seconds for which a node that stops waits for the database.
CLOSE_S: Final = 60.0
#: How often a table is stored whose rows another node writes at the same moment, and seconds at most between.
STORE_TRIES: Final = 8
COLLIDED_S: Final = 0.5
#: Cells looked at in one step of the loop, about a millisecond.
STEP: Final = 500
#: Seconds by which a cell's end may differ from its row's, which has whole ones.
TIME_SLACK: Final = 1.5


def link_of(url: DbUrl, password: str) -> Link:
    """What speaks to the database. WrongDatabase where a package is missing."""
    if url.path:
        return SqliteLink(url.path)
    try:
        from dmqcache.database.sqlalchemy_link import SqlalchemyLink
    except ModuleNotFoundError as error:
        raise WrongDatabase(f"{url} needs {error.name}: pip install 'dmqcache[db]'") from None
    return SqlalchemyLink(url.sqlalchemy, password)


class NodeDatabase:
    """The database of one node's tables."""

    def __init__(self, link: Link, columns: Columns, tables: Mapping[str, Table]) -> None:
        self._link = link
        self._step = min(columns.fetch_rows, STEP)
        self._fetch_rows = columns.fetch_rows
        self._tables = {name: table for name, table in tables.items() if table.settings.db is not None}
        self._layouts = {
            name: Layout(table.settings.db, columns)
            for name, table in self._tables.items()
            if table.settings.db is not None
        }
        self._worker = DbWorker()
        self._lock = asyncio.Lock()
        #: Tables that are to be loaded yet: they are not stored.
        self._owed = set(self._tables)
        #: By table, the number of rows that could not be loaded and are in the database still.
        self._unread: dict[str, int] = {}
        self._trying: asyncio.Task[None] | None = None

    # -- the start ---------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See whether all tables and columns are there, before the node joins. WrongDatabase; of a database
        that is down only a warning."""
        try:
            for layout in self._layouts.values():
                columns = layout.read if not layout.writable else (*layout.read, *layout.written)
                await self._do(self._link.begin_reading, layout.table, tuple(dict.fromkeys(columns)), 0)
        except WrongDatabase:
            raise
        except DatabaseError as error:
            log.warning("the database is down, the tables come from other nodes or later: %s", error)
        finally:
            await self._let_go()

    async def fill(self) -> None:
        """Load the tables of which no node has anything; those that wait for a database that is down are
        loaded when it comes. Raises nothing."""
        for name, table in self._tables.items():
            if not is_untouched(table):
                log.info("table %s has cells already: its rows in the database are left alone", name)
                self._owed.discard(name)
        if not await self._load_owed():
            self._trying = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            if await self._load_owed(logging.DEBUG):
                return

    async def _load_owed(self, level: int = logging.WARNING) -> bool:
        """Load what is to be loaded; whether nothing is left."""
        try:
            for name in sorted(self._owed):
                await self._load(name)
                self._owed.discard(name)
        except DatabaseError as error:
            log.log(level, "tables not loaded yet: %s: %s", ", ".join(sorted(self._owed)), error)
        return not self._owed

    async def _load(self, name: str) -> None:
        table, began = self._tables[name], time.monotonic()
        count = 0
        async with self._lock:
            async for part, unpacker in self._read(name):
                wall = time.time()
                lines = seed(
                    table,
                    [Seed(key, value, at - wall if at else None) for key, value, at in part],
                )
                for line in lines:
                    unpacker.refused.add("", line)
                count += len(part) - len(lines)
        log.info(
            "table %s: cells loaded from the database in %.1f s: %d", name, time.monotonic() - began, count
        )

    async def _read(self, name: str) -> AsyncIterator[tuple[list[Loaded], Unpacker]]:
        """The cells of a table of the database, a few at a time; says in the end which rows are none."""
        layout = self._layouts[name]
        unpacker = layout.unpacker(time.time())
        try:
            await self._do(self._link.begin_reading, layout.table, layout.read, self._fetch_rows)
            while rows := await self._do(self._link.fetch):
                cells = iter(unpacker.take(rows))
                while part := list(islice(cells, self._step)):
                    yield part, unpacker
                    await asyncio.sleep(0)
            yield unpacker.end(), unpacker
        finally:
            await self._let_go()
        self._unread[name] = unpacker.refused.count
        _say_refused(name, f"some rows of {layout.table} are no cells", unpacker.refused)
        if unpacker.refused.count and _is_stored_at_stop(self._tables[name]):
            log.warning(
                "table %s is not stored at the stop, which would delete these rows: mend them and reload, or "
                "let htable.store replace them",
                name,
            )

    # -- later -------------------------------------------------------------------------------------------

    async def reload(self, name: str) -> int:
        """Make a table what its database says, on all nodes; returns how many keys changed. LookupError: it
        has no database. DatabaseError, and what was not read is as it was."""
        table = self._table(name)
        latest = table.clock.version() + MAX_COUNT
        changed, seen = 0, set()
        async with self._lock:
            async for part, unpacker in self._read(name):
                for cell in part:
                    seen.add(cell.key)
                    changed += _apply(table, cell, latest, unpacker.refused)
            for some in listed(table, self._step):
                for key in some:
                    held = table.live_cell(key)
                    if key not in seen and held is not None and held.last_modified() <= latest:
                        changed += table.delete(key)
                await asyncio.sleep(0)
        self._owed.discard(name)
        log.info("table %s reloaded from the database, keys that changed: %d", name, changed)
        return changed

    async def store(self, name: str) -> int:
        """Make the database say what a table holds; returns how many cells. LookupError: it has no database.
        DatabaseError, and its rows are as they were."""
        table, layout = self._table(name), self._layouts[name]
        if not layout.writable:
            raise DatabaseError(f"table {name} has cols: what is packed from several is not written back")
        if name in self._owed:
            raise DatabaseError(
                f"table {name} was not loaded from its database yet: not stored over its rows"
            )
        refused, count = Refused(), 0
        async with self._lock:
            for left in reversed(range(STORE_TRIES)):
                refused = Refused()
                try:
                    count = await self._write(table, layout, refused)
                    break
                except Collided:
                    if not left:
                        raise
                    await asyncio.sleep(random.uniform(0, COLLIDED_S))
        self._unread.pop(name, None)
        _say_refused(name, f"some cells are not stored in {layout.table}", refused)
        log.info("table %s: cells stored in the database: %d", name, count)
        return count

    async def _write(self, table: Table, layout: Layout, refused: Refused) -> int:
        """One transaction that writes a table anew; returns how many cells. DatabaseError where there are
        some and none is taken: what is wrong is the database's table then."""
        count, expiring, why = 0, table.settings.autoexpire > 0, ""
        try:
            await self._do(self._link.begin_writing, layout.table, layout.written)
            for some in listed(table, self._step):
                if not some:
                    await asyncio.sleep(0)
                    continue
                rows = layout.pack(_stored(table, some), time.time(), self._link.any_bytes, expiring, refused)
                untaken = await self._do(self._link.insert, rows)
                for row, why in untaken:
                    refused.add(name_of(row), why)
                count += len(rows) - len(untaken)
            if why and not count:
                raise DatabaseError(f"{layout.table} takes no row: {why}")
            await self._do(self._link.commit)
        finally:
            await self._let_go()
        return count

    async def close(self, store: bool) -> None:
        """Store the tables that are to be (``dbmode=1``), unless ``store`` is false. Raises nothing."""
        if self._trying is not None:
            self._trying.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                for name, table in self._tables.items():
                    if store and _is_stored_at_stop(table):
                        await self._store_at_stop(name)
        except TimeoutError:
            log.error("the database does not answer: the tables' last state is not stored")
        self._worker.close()

    async def _store_at_stop(self, name: str) -> None:
        try:
            if unread := self._unread.get(name):
                raise DatabaseError(f"rows that could not be loaded ({unread}) would be deleted")
            await self.store(name)
        except DatabaseError as error:
            log.error("table %s is not stored: %s", name, error)

    # -- helpers -----------------------------------------------------------------------------------------

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            raise LookupError(f"table {name} has no database")
        return self._tables[name]

    async def _do(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await self._worker.do(lambda: work(*arguments))

    async def _let_go(self) -> None:
        await self._worker.do(self._link.close)


def _is_stored_at_stop(table: Table) -> bool:
    return table.settings.db is not None and bool(table.settings.db.dbmode)


def _apply(table: Table, cell: Loaded, latest: int, refused: Refused) -> bool:
    """Write one cell of the database unless it is there, or was written after ``latest``; whether it was
    written."""
    held = table.live_cell(cell.key)
    known = table.cells.get(cell.key)
    if known is not None and known.last_modified() > latest:
        return False
    left = cell.expires - time.time() if cell.expires else None
    if left is not None and left <= 0:
        return False
    if held is not None and _same(held.value, cell.value) and _same_time(table, held, left):
        return False
    try:
        table.set(cell.key, cell.value, left)
    except ValueError as error:
        refused.add(cell.key, error)
        return False
    return True


def _same_time(table: Table, held: Cell, left: float | None) -> bool:
    """Whether a cell ends when its row says. The database knows whole seconds; a cell whose row has no time
    in a table that gives one begins anew with each load, as in Kamailio."""
    if left is not None:
        return abs(held.expires - table.clock.now() - left) < TIME_SLACK
    return held.expires == NEVER and not table.settings.autoexpire


def _same(one: object, other: object) -> bool:
    return one.__class__ is other.__class__ and one == other


def _stored(table: Table, keys: list[str]) -> list[Stored]:
    found = []
    for key in keys:
        cell = table.live_cell(key)
        if cell is not None and cell.value is not None:
            left = None if cell.expires == NEVER else cell.expires - table.clock.now()
            found.append(Stored(key, cell.value, left))
    return found


def _say_refused(name: str, what: str, refused: Refused) -> None:
    if refused.count:
        log.warning("table %s: %s (%d), the first is %s", name, what, refused.count, refused.first)
