"""The fields of a table's declaration that concern its database: ``dbtable``, ``dbmode``, ``cols``,
``coldelim`` and ``colnull``, with the names, meanings and defaults of Kamailio's htable.

Owns their limits. Which database, and what its rows mean, is ``database``'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Names of tables and columns: they go into SQL, in quotes.
COLUMN: Final = re.compile(r"[A-Za-z0-9_$-]{1,64}")
#: As in declarations; a schema may stand before the table.
FIELDS: Final = ("dbtable", "dbmode", "cols", "coldelim", "colnull")


@dataclass(frozen=True, slots=True)
class DbFields:
    """Where a table is loaded from, and what is written back."""

    #: The table of the database; ``schema.table`` where it is not in the first one.
    dbtable: str
    #: Whether the table is written back when the node stops.
    dbmode: bool = False
    #: The columns where they are not the usual ones: the key, and what becomes the value. Nothing is written
    #: back then.
    cols: tuple[str, ...] = ()
    #: What stands between the columns that are packed into one value.
    coldelim: str = ","
    #: What stands for a NULL in a packed value.
    colnull: str = "*"

    @classmethod
    def parse(cls, table: str, given: Mapping[str, Any]) -> DbFields | None:
        """The fields of the declaration of ``table``; None: it has no database. ValueError in one line."""
        fields = {name: value for name, value in given.items() if name in FIELDS}
        if not fields:
            return None

        def refuse(field: str, why: str) -> ValueError:
            return ValueError(f"table {table!r}: {field}={fields[field]!s:.40}: {why}")

        dbtable = fields.get("dbtable", "")
        if not dbtable:
            others = ", ".join(name for name in fields if name != "dbtable")
            if others and any(fields[name] not in ("0", 0, False) for name in fields if name != "dbtable"):
                raise ValueError(f"table {table!r}: {others} without a dbtable; add dbtable=NAME")
            return None
        if not isinstance(dbtable, str) or not all(map(COLUMN.fullmatch, dbtable.split("."))):
            raise refuse("dbtable", "use letters, digits and _ $ - only")
        if fields.get("dbmode", 0) not in (0, 1, "0", "1"):
            raise refuse("dbmode", "must be 0 or 1")
        delimiter, null = fields.get("coldelim", ","), fields.get("colnull", "*")
        if not isinstance(delimiter, str) or len(delimiter) != 1:
            raise refuse("coldelim", "must be one character")
        if not isinstance(null, str) or len(null) > 1:
            raise refuse("colnull", "must be one character, or empty")
        cols = _columns(fields.get("cols", ()))
        if cols is None:
            raise refuse("cols", "must be at least two columns, as 'key,value'")
        return cls(dbtable, bool(int(fields.get("dbmode", 0))), cols, delimiter, null)

    def __str__(self) -> str:
        """Kamailio's notation of what is not the default."""
        parts = [f"dbtable={self.dbtable}"]
        if self.dbmode:
            parts.append("dbmode=1")
        if self.cols:
            parts.append(f"cols='{','.join(self.cols)}'")
        if self.coldelim != ",":
            parts.append(f"coldelim='{self.coldelim}'")
        if self.colnull != "*":
            parts.append(f"colnull='{self.colnull}'")
        return ";".join(parts)


def _columns(value: Any) -> tuple[str, ...] | None:
    """The names, or None where they are none."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return None
    if any(not isinstance(name, str) or not COLUMN.fullmatch(name) for name in names):
        return None
    return tuple(names) if len(names) != 1 and (names or value == ()) else None
