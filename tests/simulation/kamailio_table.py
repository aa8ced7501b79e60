"""A Kamailio's hash table as its htable module keeps it: whole seconds, last arrived wins, no tombstones.

The model of what is stored and when it dies, by version; what is said of it on the wire is in
``kamailio_htable.py``. Written from what is known of running nodes (the project's notes on the wire and on
Kamailio's pitfalls).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dmqcache.store.table.settings import TableSettings

Value = str | int


@dataclass(slots=True)
class Slot:
    """One cell."""

    value: Value
    #: Unix seconds; 0: never.
    expire: int = 0
    #: 6.2: Unix ms of the last change, 0: none known.
    stamp: int = 0


def c_int(number: float) -> int:
    """What is left of a number in a C int, read through a double."""
    number = int(number)
    return number if -(2**31) <= number < 2**31 else -(2**31)


def c_string(text: str) -> str:
    """Its reader of JSON leaves out what is escaped as a NUL."""
    return text.replace("\0", "")


class KamailioTable:
    """One table."""

    def __init__(self, settings: TableSettings, version: tuple[int, int]) -> None:
        self.settings = settings
        #: It compares ``last_modified``.
        self.stamped = version >= (6, 2)
        #: A cell that is replaced keeps the time that comes with it (from 6.1.3 on).
        self.keeps_times = version >= (6, 1)
        self.slots: dict[str, Slot] = {}

    def get(self, key: str, now: int) -> Value | None:
        """The value; None if there is none or its time (whole Unix seconds) is over."""
        slot = self.slots.get(key)
        return None if slot is None or self._is_over(slot, now) else slot.value

    def items(self, now: int) -> dict[str, Slot]:
        """What lives."""
        return {key: slot for key, slot in self.slots.items() if not self._is_over(slot, now)}

    def _is_over(self, slot: Slot, now: int) -> bool:
        return self.settings.autoexpire > 0 and slot.expire != 0 and slot.expire < now

    def sweep(self, now: int) -> None:
        """The module's timer."""
        for key in [key for key, slot in self.slots.items() if self._is_over(slot, now)]:
            del self.slots[key]

    def set(self, key: str, value: Value, now: int, *, left: int = 0, stamp: int = 0) -> bool:
        """Apply a set from anywhere. ``left``: seconds to live, 0 or less: the table's own. ``stamp``: what
        came with it, 0: nothing. False: 6.2 dropped it as not newer."""
        slot = self.slots.get(key)
        if self.stamped and stamp and slot is not None and slot.stamp >= stamp:
            return False
        # Without autoexpire a time is kept, and shown, and has no effect.
        left_or_own = left if left > 0 else self.settings.autoexpire
        expire = now + left_or_own if left_or_own > 0 else 0
        if slot is None:
            self.slots[key] = Slot(value, expire, stamp)
            return True
        if self._in_place(slot, value):
            slot.value = value
            if self.settings.updateexpire:
                slot.expire = expire
            if stamp:
                slot.stamp = stamp
            return True
        if not self.settings.updateexpire:
            expire = slot.expire
        elif left > 0 and not self.keeps_times:
            # A cell that is replaced and was given a time gets none at all.
            expire = 0
        self.slots[key] = Slot(value, expire, stamp)
        return True

    @staticmethod
    def _in_place(slot: Slot, value: Value) -> bool:
        if isinstance(value, int):
            return True
        return isinstance(slot.value, str) and len(value) <= len(slot.value)

    def local_stamp(self, key: str, wall_ms: int) -> int:
        """The version of a local write: max(now, stored + 1); 0 where this version keeps none."""
        slot = self.slots.get(key)
        if not self.stamped:
            return 0
        return max(wall_ms, slot.stamp + 1 if slot is not None else 0)

    def set_time(self, key: str, seconds: int, now: int) -> None:
        """Give a cell a time from now; 0 or less: for ever. Nothing without autoexpire."""
        slot = self.slots.get(key)
        if slot is not None and self.settings.autoexpire:
            slot.expire = now + seconds if seconds > 0 else 0

    def delete(self, key: str) -> None:
        """Forget a cell and its version."""
        self.slots.pop(key, None)

    def remove(self, number: int, pattern: str, on_values: bool) -> None:
        """Delete all that match: actions 5 (regular expression) and 6 (prefix)."""
        expression = re.compile(pattern, re.IGNORECASE | re.MULTILINE) if number == 5 else None
        for key, slot in list(self.slots.items()):
            text = slot.value if on_values else key
            if not isinstance(text, str):
                continue
            if expression.search(text) if expression is not None else text.startswith(pattern):
                del self.slots[key]

    def dump(self, now: int) -> list[tuple[str, Slot]]:
        """What a sync request gets. In a table with autoexpire, cells without a time are left out too."""
        return [
            (key, slot)
            for key, slot in self.slots.items()
            if not self.settings.autoexpire or slot.expire > now
        ]
