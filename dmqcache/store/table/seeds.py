"""Cells that a table begins with: where nobody has anything else of a key.

They get the least version that there is, the same on every node, so whatever anybody wrote, deleted or
flushed wins over them, whenever it comes; and nodes that begin with the same cells agree at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from dmqcache.store.table.cell import DEFAULT_TTL, MAX_TTL_S, NEVER, Value
from dmqcache.store.table.checks import checked_key, checked_value
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.table import Table

#: The version of the first millisecond.
SEED: Final = version_at(1)


class Seed(NamedTuple):
    """One cell."""

    key: str
    value: Value
    #: Seconds left; None: the table's own time.
    left: float | None = None


def is_untouched(table: Table) -> bool:
    """Whether the table holds nothing, and nothing is remembered of it: no delete, no flush."""
    return not (table.cells or table.floor or table.forgot)


def seed(table: Table, seeds: Iterable[Seed]) -> list[str]:
    """Bring in the cells of whose keys the table knows nothing; all nodes are told. Returns why others were
    not taken: a line for each."""
    wrong = []
    now, default = table.clock.now(), table.settings.autoexpire
    for key, value, left in seeds:
        try:
            key, value = checked_key(key), checked_value(value, table.max_value_bytes)
        except ValueError as error:
            wrong.append(f"{key[:60]!r}: {error}")
            continue
        if key in table.cells or table.floor >= SEED or (left is not None and left <= 0):
            continue
        if left is None:
            ttl, expires = default * 1000, now + default if default else NEVER
        else:
            left = min(left, MAX_TTL_S)
            ttl, expires = max(1, round(left * 1000)), now + left
        flags = DEFAULT_TTL if left is None and default else 0
        cell = table._new_cell(key)
        table._enliven(cell, value, SEED, ttl, expires, flags)
        table.listener.changed(cell)
    return wrong
