"""What is left to do after a flush: dead cells are taken apart in steps, and Kamailio nodes told of each key.

Owns the pace. The flush itself was done in one moment, for every reader (``table/floor_raising.py``); of a
million cells the rest takes some tenths of a second, in which others have their turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from dmqcache.bus.loop_steps import in_steps
from dmqcache.store.ground import Ground
from dmqcache.store.outbox.numbering import Promise
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.table import Table


class Burials:
    """The flushes of one node that are not over."""

    def __init__(self, ground: Ground, outboxes: Outboxes) -> None:
        self._ground = ground
        self._outboxes = outboxes
        #: One after the other: with a step of each in every turn, those of many tables would fill it.
        self._waiting: deque[tuple[Iterator[list[str]], Callable[[list[str]], None], Callable[[], None]]] = (
            deque()
        )
        self._at_work = False

    def alone(self) -> TableListener:
        """For a table of which no other node is told."""
        return TableListener(flushed=self.quietly, buried=self.quietly)

    def quietly(self, apart: Iterator[list[str]]) -> None:
        """Take the cells apart: a flush of which nobody is told key by key."""
        self._bury(apart, lambda keys: None, lambda: None)

    def tell(self, table: Table, apart: Iterator[list[str]]) -> None:
        """The same, and Kamailio nodes, to which a flush means nothing, are told that the keys are gone. Who
        waits for acknowledgements of all that was written so far waits for them too."""
        boxes = self._outboxes
        kamailios = boxes.of_kamailios()
        if not kamailios:
            self.quietly(apart)
            return
        promise = Promise(boxes.latest_number())
        for outbox in kamailios:
            outbox.promises.append(promise)

        def name(keys: list[str]) -> None:
            # Of a key that lives again each node was told by whoever wrote it.
            boxes.name_keys(table, [key for key in keys if key not in table.cells], kamailios)

        def end() -> None:
            promise.last = boxes.latest_number()
            boxes.waiters.check()

        self._bury(apart, name, end)

    def unknown_died(self, table: Table, keys: list[str]) -> None:
        """Kamailio nodes were told of these keys by this node, and who made the flush did not know them."""
        dead = [key for key in keys if key not in table.cells]
        self._outboxes.name_keys(table, dead, self._outboxes.of_kamailios())

    def _bury(
        self, apart: Iterator[list[str]], name: Callable[[list[str]], None], end: Callable[[], None]
    ) -> None:
        self._waiting.append((apart, name, end))
        if not self._at_work or self._ground.stopped:
            in_steps(self._ground.runtime, self._pieces(), lambda: None)

    def _pieces(self) -> Iterator[None]:
        self._at_work = True
        try:
            while self._waiting:
                apart, name, end = self._waiting.popleft()
                for keys in apart:
                    name(keys)
                    # A node that stops has no more steps: what is left is done in this one.
                    if not self._ground.stopped:
                        yield
                end()
        finally:
            self._at_work = False
