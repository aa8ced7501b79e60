"""How a Kamailio declares its tables, as far as what it shows tells: without ``dmqreplicate``, or with
another ``autoexpire`` than here. Its replies say nothing of either: it takes every change.

Owns what was found out about each node, and the warning. What a node lacks, ``lacking.py`` finds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.table.cell import DEFAULT_TTL, NEVER, Cell
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table

log = logging.getLogger("dmqcache.store")

#: Looks in a row at which a node showed nothing of a table though it takes cells of it.
LOOKS: Final = 3
#: Cells that must show the same other time, within so many seconds.
CELLS: Final = 5
ALIKE_S: Final = 3.0
#: Seconds by which times must differ at least: a repeated set comes up to 30 s late. For short ones a
#: quarter.
LEAST_S: Final = (30.0, 5.0)
#: Cells of one look whose times are kept.
MOST_CELLS: Final = 100


@dataclass(slots=True)
class Shown:
    """What one look at one table brought."""

    #: Cells with an end where this table has none, and without one where it has.
    with_end: bool = False
    without_end: bool = False
    #: By how many seconds the ends differ of cells that live as long as the table says.
    later_by: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Known:
    """What is known of one table of one node."""

    #: Looks that showed nothing, one after the other.
    empty_looks: int = 0
    #: What is wrong, in words.
    autoexpire: str = ""
    hidden: str = ""


class Declared:
    """What was found out about how Kamailio nodes declare their tables."""

    def __init__(self) -> None:
        self._nodes: dict[NodeURI, dict[str, _Known]] = {}

    def forget(self, node: NodeURI) -> None:
        """The node came (back), and may have another configuration; or it is gone."""
        self._nodes.pop(node, None)

    def otherwise(self, node: NodeURI) -> dict[str, str]:
        """What is declared otherwise on a node, by table."""
        tables = self._nodes.get(node, {})
        words = {name: [known.hidden, known.autoexpire] for name, known in tables.items()}
        return {name: ", ".join(filter(None, said)) for name, said in words.items() if any(said)}

    def looked(self, node: NodeURI, table: Table, shown: Shown | None, unshown: int) -> None:
        """A look ended. ``shown``: None, if it showed no cell of the table; ``unshown``: how many cells it
        had taken more than once before."""
        known = self._nodes.setdefault(node, {}).setdefault(table.name, _Known())
        if shown is not None:
            known.empty_looks, known.hidden = 0, ""
            self._judge_times(node, table, known, shown)
        elif unshown:
            known.empty_looks += 1
            if known.hidden or known.empty_looks < LOOKS:
                return
            known.hidden = "no dmqreplicate there"
            self._warn(node, table, "takes changes and shows none of its cells")

    def _judge_times(self, node: NodeURI, table: Table, known: _Known, shown: Shown) -> None:
        here = table.settings.autoexpire
        if not here:
            words = "some autoexpire there, none here" if shown.with_end else ""
        elif shown.without_end:
            words = f"no autoexpire there, {here} here"
        else:
            by = median(shown.later_by) if len(shown.later_by) >= CELLS else 0.0
            alike = [one for one in shown.later_by if abs(one - by) <= ALIKE_S]
            if abs(by) < min(LEAST_S[0], max(LEAST_S[1], here / 4)) or 2 * len(alike) < len(shown.later_by):
                return
            words = f"autoexpire about {max(1, round(here + by))} there, {here} here"
        if words and not known.autoexpire:
            known.autoexpire = words
            self._warn(node, table, f"has another time to live ({words}), or its clock is wrong")

    @staticmethod
    def _warn(node: NodeURI, table: Table, what: str) -> None:
        line = f'modparam("htable", "htable", "{_as_there(table.settings)}")'
        log.warning("table %s: %s %s; its configuration should say %s", table.name, node, what, line)


def _as_there(settings: TableSettings) -> str:
    return str(settings) if settings.dmqreplicate else settings.name


def note_time(shown: Shown, cell: Cell | None, autoexpire: int, expire: int, wall: float, now: float) -> None:
    """Note the end of a cell that a node shows. ``expire``: Unix seconds as it says, 0: none. ``wall``,
    ``now``: our Unix and monotonic seconds."""
    if not autoexpire:
        shown.with_end |= expire > 0
    elif not expire:
        shown.without_end = True
    elif cell is None or not cell.flags & DEFAULT_TTL or cell.expires == NEVER:
        return
    elif len(shown.later_by) < MOST_CELLS:
        later_by = (expire - wall) - (cell.expires - now)
        # Its own time counts from when it was told: so much later says nothing.
        age = autoexpire - (cell.expires - now)
        if not ALIKE_S < later_by <= age + ALIKE_S:
            shown.later_by.append(later_by)
