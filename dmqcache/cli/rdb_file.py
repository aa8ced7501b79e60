"""The strings of a Redis' RDB file (``dump.rdb``) as rows of a backup, by the package ``rdb-py``.

The table of a row is the number of Redis' database. Lists, hashes and what else is no string have no place in
a table: they are left out and counted. Bytes that are no UTF-8 stand in texts as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dmqcache.cli.client import CommandFailed

#: What such a file begins with.
MAGIC: Final = b"REDIS"
#: Kinds of items that are no keys.
_NO_KEYS: Final = frozenset({"select_db", "resize_db", "aux_field", "checksum"})


class RdbFile:
    """One file, read from its beginning."""

    def __init__(self, file: Path) -> None:
        """CommandFailed where the package is missing, or the file is of a form that it does not know."""
        self._file = file
        #: Keys that hold no string.
        self.others = 0
        try:
            import rdb
        except ModuleNotFoundError:
            raise CommandFailed(f"{file} is a Redis' file, and needs: pip install rdb-py") from None
        try:
            self._items = iter(rdb.RdbDecoder(file))
        except ValueError as error:
            raise CommandFailed(f"{file}: {error}") from None

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows, as those of a backup. CommandFailed, after those before it, where the file is damaged."""
        database = told = met = 0
        try:
            for item in self._items:
                met += item["type"] not in _NO_KEYS
                if item["type"] == "select_db":
                    database = item["db"]
                elif item["type"] == "resize_db":
                    told += item["db_size"]
                elif item["type"] == "string":
                    row: dict[str, Any] = {"table": str(database), "key": _text(item["key"])}
                    row["value"] = _text(item["value"])
                    if item["expiry"] is not None:
                        row["expires_at"] = item["expiry"] / 1000
                    yield row
                elif item["type"] not in _NO_KEYS:
                    self.others += 1
        except ValueError as error:
            raise CommandFailed(f"{self._file}: {error}") from None
        # The package says nothing of streams and modules' types; the file says how many keys there are.
        self.others += max(0, told - met)


def is_rdb(file: Path) -> bool:
    """Whether the file is one of Redis'. OSError."""
    with file.open("rb") as held:
        return held.read(len(MAGIC)) == MAGIC


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
