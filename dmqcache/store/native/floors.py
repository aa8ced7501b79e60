"""Flushes among dmqcache nodes: a floor goes with every batch of its table, is acknowledged with it, and is
found by every comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.native_message import NativeMessage, encode
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.floor_raising import is_late, prepare, raise_floor, unprepare
from dmqcache.store.table.table import Table


class Floors:
    """What dmqcache nodes tell each other of flushes."""

    def __init__(self, ground: Ground, outboxes: Outboxes, channel: Channel, answers: AnswerReader) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._answers = answers
        #: By table: who waits until a flush that came late has happened.
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        #: By table: the flush before which all was dated anew that lay ahead, and by how much the clock was
        #: set back then.
        self._dated: dict[str, tuple[int, int]] = {}

    def of(self, names: Iterable[str]) -> dict[str, int]:
        """The floors of those tables that have one."""
        return {name: floor for name in names if (floor := self._ground.tables[name].floor)}

    def hear(self, name: str, floor: int) -> bool:
        """A dmqcache node knows of a flush. False: it lies too far ahead and is not believed."""
        if not self._ground.is_replicated(name):
            return True
        if self._ground.tables[name].floor < floor > self._ground.clock.limit():
            self._ground.counters.refused[name, "future"] += 1
            self._ground.counters.clamped[name] += 1
            return False
        self._date_anew(name, floor)
        raise_floor(self._ground.tables[name], floor)
        return True

    def _date_anew(self, name: str, floor: int) -> None:
        """Where clocks were set back, what lies ahead of a flush may have been written before it: that shows
        when it has the version that it would have had."""
        if self._is_undated(name, floor):
            self._ground.counters.clamped[name] += self._ground.tables[name].redate()

    def _is_undated(self, name: str, floor: int) -> bool:
        table = self._ground.tables[name]
        less = table.clock.set_back_by() if table.floor < floor else 0
        return less > 0 and self._dated.get(name) != (floor, less)

    def when_ready(self, floors: Mapping[str, int], then: Callable[[], None]) -> None:
        """Call ``then`` when each of these floors can be heard in a moment: at once, as nearly always, or
        when large tables have been looked through, in steps. Those that came late have been heard then."""
        for name, floor in floors.items():
            if not self._ground.is_replicated(name) or floor > self._ground.clock.limit():
                continue
            table = self._ground.tables[name]
            undated = self._is_undated(name, floor)
            if undated or is_late(table, floor):
                again = partial(self.when_ready, floors, then)
                if name in self._waiting:
                    self._waiting[name].append(again)
                    return
                self._waiting[name] = [again]
                runtime, stopped = self._ground.runtime, lambda: self._ground.stopped
                if undated:
                    pieces = self._ground.counted(name, table.redate_in_pieces())
                    in_steps(runtime, pieces, partial(self._is_dated, name, floor), stopped)
                else:
                    in_steps(runtime, prepare(table, floor), partial(self._prepared, name, floor), stopped)
                return
        then()

    def _is_dated(self, name: str, floor: int) -> None:
        self._dated[name] = floor, self._ground.tables[name].clock.set_back_by()
        self._go_on(name)

    def _prepared(self, name: str, floor: int) -> None:
        if not self.hear(name, floor):
            # The clock was set meanwhile.
            unprepare(self._ground.tables[name])
        self._go_on(name)

    def _go_on(self, name: str) -> None:
        for then in self._waiting.pop(name):
            then()

    def tell(self, table: Table, node: NodeURI) -> None:
        """Tell a dmqcache node of a flush. Lost, it is found again by the next comparison."""
        if table.floor:
            message = NativeMessage(floors={table.name: table.floor})
            self._channel.send(node, encode(message), self._answers.heard, fast=True)

    def tell_all(self, table: Table) -> None:
        """A table was flushed here. Nodes that are away are told as well: they may not be."""
        self._outboxes.name_flush(table)
        for outbox in self._outboxes.values():
            if outbox.native and not outbox.open:
                self.tell(table, outbox.node)
