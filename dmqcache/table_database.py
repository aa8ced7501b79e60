"""The database of a node's tables, put together from the configuration. When rows are read and written is
``database/node_database.py``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dmqcache.config.config import Config, ConfigError
from dmqcache.database.layout import Columns
from dmqcache.database.link import WrongDatabase
from dmqcache.database.node_database import NodeDatabase, link_of
from dmqcache.store.store import Store


class TableDatabase:
    """What a node does with the database of its tables; nothing where it has none."""

    def __init__(self, config: Config, store: Store) -> None:
        """ConfigError where a package or a password is missing."""
        self._database: NodeDatabase | None = None
        self._filling: asyncio.Task[None] | None = None
        password = config.db_password.read() if config.db_password is not None else ""
        if config.db_url is None:
            return
        columns = Columns(*(getattr(config, name) for name in Columns.__slots__))
        try:
            link = link_of(config.db_url, password)
        except WrongDatabase as error:
            raise ConfigError(str(error)) from None
        self._database = NodeDatabase(link, columns, store.tables)
        store.initial_sync.fill_first(self._fill)

    async def check(self) -> None:
        """ConfigError, in one line, where the database has not what the configuration says."""
        if self._database is not None:
            try:
                await self._database.check()
            except WrongDatabase as error:
                raise ConfigError(str(error)) from None

    def _fill(self, then: Callable[[], None]) -> None:
        async def work(database: NodeDatabase) -> None:
            await database.fill()
            then()

        assert self._database is not None
        self._filling = asyncio.create_task(work(self._database))

    async def reload(self, table: str) -> int:
        """Make a table what its database says, on all nodes; returns how many keys changed. LookupError: it
        has no database. DatabaseError says in one line why it is not done."""
        return await self._of(table).reload(table)

    async def store(self, table: str) -> int:
        """Make the database say what a table holds; returns how many cells. Errors as :meth:`reload`."""
        return await self._of(table).store(table)

    def _of(self, table: str) -> NodeDatabase:
        if self._database is None:
            raise LookupError(f"table {table} has no database")
        return self._database

    async def close(self, store: bool) -> None:
        """Store what is to be stored at a stop, and let go of the database."""
        if self._filling is not None:
            self._filling.cancel()
        if self._database is not None:
            await self._database.close(store)
            self._database = None
