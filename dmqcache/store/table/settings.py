"""How a table is declared: in Kamailio's own notation, by a bare name, or as a table of a TOML file.

Owns the names, defaults and limits of a table's settings. What they do when cells are written and read is
``table.py``'s business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dmqcache.store.table.db_fields import FIELDS, DbFields

#: A table's name goes into every cell on the wire, into metrics' labels and ``$sht(name=>key)``.
MAX_TABLE_NAME_LENGTH = 64
#: Kamailio makes ``2 ** size`` buckets and takes 2 to 31 (htable's documentation, parameter ``htable``).
MIN_SIZE, MAX_SIZE = 2, 31
#: Seconds; Kamailio keeps it in a C int.
MAX_AUTOEXPIRE_S = 2**31 - 1
#: Kamailio keeps the start of a counter in a C int.
MIN_INITVAL, MAX_INITVAL = -(2**31), 2**31 - 1

_NAME = re.compile(r"[A-Za-z0-9_.:@+/-]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
_FIELDS = ("size", "autoexpire", "initval", "updateexpire", "dmqreplicate", "removals", *FIELDS)
#: What stands between two ``;``: a text in quotes may hold one.
_PART = re.compile(r"""(?:[^;'"]|'[^']*'|"[^"]*")+""")


class Removals(StrEnum):
    """What follows when cells vanish on a Kamailio that was there all the time and said nothing: somebody
    flushed or reloaded its table."""

    #: They stay removed there, and stay on all other nodes: as between Kamailio nodes.
    LEAVE = "leave"
    #: They are sent to it again.
    REFILL = "refill"
    #: They are deleted on all nodes.
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class TableSettings:
    """One table's settings. Names and meaning are Kamailio's (htable, parameter ``htable``).

    :meth:`parse` checks what operators write; the constructor takes what it is given.
    """

    name: str
    #: Kamailio's number of buckets as a power of two. Has no effect here: kept so that a declaration can be
    #: copied from a Kamailio and back.
    size: int | None = None
    #: Seconds that a cell lives after it was set; 0: for ever.
    autoexpire: int = 0
    #: Where a counter that is not there yet starts; None: an increment starts from 0, a read finds nothing.
    initval: int | None = None
    #: Whether a set starts the time to live anew (True) or leaves the time of an existing cell as it is.
    updateexpire: bool = True
    #: Whether changes go to other nodes. Kamailio's default is 0, as its tables are local first; a dmqcache
    #: table exists to be shared, so here it is 1.
    dmqreplicate: bool = True
    #: What follows a flush or reload on a Kamailio.
    removals: Removals = Removals.LEAVE
    #: The database that it is loaded from and stored in; None: it has none.
    db: DbFields | None = None

    @classmethod
    def parse(cls, declared: str | Mapping[str, Any]) -> TableSettings:
        """Read ``users=>size=12;autoexpire=3600``, a bare ``users``, or a mapping with a ``name``.

        Raises ValueError with one line that names the field and says what is valid.
        """
        if isinstance(declared, str):
            name, fields = _split(declared)
        elif isinstance(declared, Mapping):
            name, fields = _unpack(declared)
        else:
            raise ValueError(f"a table is declared by a text or a mapping, not by {declared!r}")
        values: dict[str, Any] = {}
        for field, value in fields:
            if field in values:
                raise ValueError(f"table {name!r}: {field} is given twice")
            values[field] = value if field in FIELDS else _value(name, field, value)
        db = DbFields.parse(name, values)
        return cls(name, **{field: value for field, value in values.items() if field not in FIELDS}, db=db)

    def __str__(self) -> str:
        """Kamailio's notation; ``parse`` reads it back to the same settings, but for what only dmqcache
        knows, and the database, which each node has its own."""
        fields = [f"autoexpire={self.autoexpire}"]
        if self.size is not None:
            fields.insert(0, f"size={self.size}")
        if self.initval is not None:
            fields.append(f"initval={self.initval}")
        fields += [f"updateexpire={self.updateexpire:d}", f"dmqreplicate={self.dmqreplicate:d}"]
        return f"{self.name}=>{';'.join(fields)}"


def _split(text: str) -> tuple[str, list[tuple[str, Any]]]:
    """``name=>a=1;b=2`` as its name and pairs. A last ``;`` is allowed, as in Kamailio."""
    name, arrow, rest = text.strip().partition("=>")
    name = _checked_name(name.strip())
    if arrow and not rest.strip():
        raise ValueError(f"table {name!r}: nothing follows '=>'; write e.g. {name}=>autoexpire=3600")
    pairs: list[tuple[str, Any]] = []
    for part in _parts(name, rest):
        if not part.strip():
            continue
        field, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"table {name!r}: {part.strip()!r} is not written as field=value")
        pairs.append((field.strip(), _unquoted(value.strip())))
    return name, pairs


def _parts(name: str, text: str) -> list[str]:
    """What stands between the semicolons that are not in quotes."""
    if _PART.sub("", text).strip(";"):
        raise ValueError(f"table {name!r}: a quotation mark in {text.strip()!r:.60} is not closed")
    return _PART.findall(text)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _unpack(mapping: Mapping[str, Any]) -> tuple[str, list[tuple[str, Any]]]:
    """A mapping as its name and pairs."""
    if "name" not in mapping:
        raise ValueError('a table has no name; write name = "..."')
    name = _checked_name(mapping["name"])
    return name, [(str(field), value) for field, value in mapping.items() if field != "name"]


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"table name {name!r}: use letters, digits and _ . : @ + / - only")
    if len(name) > MAX_TABLE_NAME_LENGTH:
        raise ValueError(f"table name {name!r}: at most {MAX_TABLE_NAME_LENGTH} characters")
    return name


def _value(table: str, field: str, value: Any) -> int | bool | Removals:
    """The value of one field, checked."""
    if field == "size":
        return _integer(table, field, value, MIN_SIZE, MAX_SIZE)
    if field == "autoexpire":
        return _integer(table, field, value, 0, MAX_AUTOEXPIRE_S)
    if field == "initval":
        return _integer(table, field, value, MIN_INITVAL, MAX_INITVAL)
    if field in ("updateexpire", "dmqreplicate"):
        return _flag(table, field, value)
    if field == "removals":
        return _removals(table, value)
    raise ValueError(f"table {table!r}: unknown field {field!r}; valid are {', '.join(_FIELDS)}")


def _integer(table: str, field: str, value: Any, low: int, high: int) -> int:
    number: int | None = None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None or not low <= number <= high:
        raise ValueError(f"table {table!r}: {field}={value!s:.40}: must be an integer from {low} to {high}")
    return number


def _flag(table: str, field: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1, "0", "1"):
        return bool(int(value))
    raise ValueError(f"table {table!r}: {field}={value!s:.40}: must be 0 or 1")


def _removals(table: str, value: Any) -> Removals:
    try:
        return Removals(value)
    except ValueError:
        words = ", ".join(Removals)
        raise ValueError(f"table {table!r}: removals={value!s:.40}: must be one of {words}") from None
