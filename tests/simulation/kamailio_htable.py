"""A Kamailio's ``htable`` channel: actions and cells in, actions and cells out, with each version's quirks.

Strict where it is strict (5.x refuses an action with an unknown field), careless where it is careless (fields
leak from one cell into the next). Who receives is ``kamailio_model.py``'s business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from dmqcache.store.table.settings import TableSettings
from tests.simulation.kamailio_table import KamailioTable, Value, c_int, c_string

#: Bytes after which a batch of cells is sent.
BATCH_BYTES = 60_000
KNOWN_FIELDS = frozenset({"action", "htname", "cname", "type", "strval", "intval", "mode"})
TEXT, NUMBER = 2, 0


class KamailioHtable:
    """The tables of one Kamailio and what it says of them."""

    def __init__(
        self,
        version: tuple[int, int],
        tables: list[TableSettings],
        wall_ms: Callable[[], int],
        broadcast: Callable[[bytes], None],
    ) -> None:
        """``broadcast`` sends a body to every active node."""
        self.stamped = version >= (6, 2)
        self.tables = {settings.name: KamailioTable(settings, version) for settings in tables}
        self._wall_ms = wall_ms
        self._broadcast = broadcast

    def seconds(self) -> int:
        """Unix time as Kamailio reads it."""
        return self._wall_ms() // 1000

    # -- what comes ------------------------------------------------------------------------------------

    def read(self, body: bytes, sync: Callable[[str | None], None]) -> int:
        """Handle one body; returns the status of the answer. ``sync`` sends all cells to the asker."""
        try:
            root = json.loads(body.decode("utf-8", "surrogateescape"))
        except ValueError:
            return 400
        if not isinstance(root, dict) or not root:
            raise AssertionError(f"a body that crashes a Kamailio: {body[:200]!r}")
        if next(iter(root)) == "cells":
            self._read_cells(root["cells"])
            return 200
        return self._read_action(root, sync)

    def _read_action(self, fields: dict[str, Any], sync: Callable[[str | None], None]) -> int:
        if not self.stamped and not KNOWN_FIELDS.issuperset(fields):
            return 400
        number = c_int(fields.get("action", 0))
        if number == 1:
            sync(fields.get("htname") if self.stamped else None)
            return 200
        table = self.tables.get(fields["htname"])
        if table is None or number not in (2, 3, 4, 5, 6):
            return 500
        now = self.seconds()
        if number == 2:
            stamp = int(fields.get("last_modified", 0)) if self.stamped else 0
            table.set(c_string(fields["cname"]), _value(fields), now, stamp=stamp)
        elif number == 3:
            table.set_time(c_string(fields["cname"]), c_int(fields["intval"]), now)
        elif number == 4:
            table.delete(c_string(fields["cname"]))
        else:
            table.remove(number, c_string(fields["strval"]), fields["mode"] == 1)
        return 200

    def _read_cells(self, cells: list[dict[str, Any]]) -> None:
        now = self.seconds()
        fields: dict[str, Any] = {}
        for cell in cells:
            # Never reset between cells; a string and a number share their place.
            if "strval" in cell:
                fields.pop("intval", None)
            if "intval" in cell:
                fields.pop("strval", None)
            fields.update(cell)
            table = self.tables.get(fields["htname"])
            if table is None:
                continue
            left = int(fields.get("expire", 0)) - now
            stamp = int(cell.get("last_modified", 0)) if self.stamped else 0
            table.set(c_string(fields["cname"]), _value(fields), now, left=left, stamp=stamp)

    # -- what goes -------------------------------------------------------------------------------------

    def batches(self, only: str | None) -> Iterator[bytes]:
        """All cells, in batches, with an empty or partly filled one at the end."""
        cells: list[bytes] = []
        size = 0
        now = self.seconds()
        for name, table in self.tables.items():
            if only not in (None, name) or not table.settings.dmqreplicate:
                continue
            for key, slot in table.dump(now):
                fields: dict[str, Any] = {"htname": name, "cname": key, **_typed(slot.value)}
                fields["expire"] = slot.expire
                if self.stamped and slot.stamp:
                    fields["last_modified"] = slot.stamp
                cells.append(_json(fields))
                size += len(cells[-1]) + 1
                if size >= BATCH_BYTES:
                    yield b'{"cells":[' + b",".join(cells) + b"]}"
                    cells, size = [], 0
        yield b'{"cells":[' + b",".join(cells) + b"]}"

    # -- what its own script does ----------------------------------------------------------------------

    def set(self, table: str, key: str, value: Value, seconds: int | None = None) -> None:
        """``$sht(table=>key) = value``, and with a time ``$shtex(table=>key) = seconds`` after it."""
        held = self.tables[table]
        stamp = held.local_stamp(key, self._wall_ms())
        fields: dict[str, Any] = {"action": 2, "htname": table, "cname": key, **_typed(value)}
        if stamp:
            fields["last_modified"] = stamp
        self._broadcast(_json({**fields, "mode": 1}))
        held.set(key, value, self.seconds(), stamp=stamp)
        if seconds is not None:
            self.expire(table, key, seconds)

    def expire(self, table: str, key: str, seconds: int) -> None:
        """``$shtex(table=>key) = seconds``."""
        self._broadcast(
            _json({"action": 3, "htname": table, "cname": key, "type": NUMBER, "intval": seconds, "mode": 0})
        )
        self.tables[table].set_time(key, seconds, self.seconds())

    def delete(self, table: str, key: str) -> None:
        """``$sht(table=>key) = $null``."""
        self._broadcast(_json({"action": 4, "htname": table, "cname": key, "mode": 0}))
        self.tables[table].delete(key)

    def incr(self, table: str, key: str, by: int) -> None:
        """``$shtinc(table=>key)``: replicated as a set of the sum."""
        value = self.tables[table].get(key, self.seconds())
        start = value if isinstance(value, int) else self.tables[table].settings.initval or 0
        self.set(table, key, c_int(start + by))

    def remove(self, table: str, pattern: str) -> None:
        """``sht_rm_name_re("table=>pattern")``."""
        self._broadcast(_json({"action": 5, "htname": table, "type": TEXT, "strval": pattern, "mode": 0}))
        self.tables[table].remove(5, pattern, False)

    def flush(self, table: str) -> None:
        """``htable.flush``, ``sht_reset(table)``: nobody is told."""
        self.tables[table].slots.clear()

    def reload(self, table: str, rows: dict[str, Value]) -> None:
        """``htable.reload``: what is there goes, the database's rows come, and nobody is told."""
        self.flush(table)
        for key, value in rows.items():
            self.tables[table].set(key, value, self.seconds())

    def sweep(self) -> None:
        """The module's timer."""
        for table in self.tables.values():
            table.sweep(self.seconds())


def _value(fields: dict[str, Any]) -> Value:
    if fields["type"] == TEXT:
        return c_string(fields["strval"])
    return c_int(fields["intval"])


def _typed(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"type": TEXT, "strval": value}
    return {"type": NUMBER, "intval": value}


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
