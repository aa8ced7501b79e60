"""The store of one node: its tables, an outbox for each remote node, and the peers that fill and empty them.

This file only connects: a local change is named in every outbox; a node that comes gets an outbox with the
courier that speaks its language, and is compared with; a node that goes loses it. Whether the node has all
it needs to serve readers is ``join.py``'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from dmqcache.bus.bus import Bus
from dmqcache.bus.node import Node
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.compare import KamailioCompare
from dmqcache.store.kamailio.htable import Htable
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.native.donor import Donor
from dmqcache.store.native.initial_sync import Join
from dmqcache.store.native.message import NativeMessage, encode
from dmqcache.store.native.repair import Repair
from dmqcache.store.native.replica import Replica
from dmqcache.store.outbox.numbering import Numbering
from dmqcache.store.outbox.outbox import DEFAULT_LIMIT, Outbox
from dmqcache.store.outbox.waiters import Waiters
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.clock import MAX_AHEAD_MS, Clock
from dmqcache.store.table.leaves import LeafIndexes
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import MAX_VALUE_BYTES, Table

#: Bytes of a value in JSON that fit one datagram (65,507) with a key and the SIP head. A larger one is
#: refused when it is written, not lost on its way; over TCP the operator's limit counts.
MAX_UDP_VALUE_BYTES: Final = 56_000
#: Seconds between two sweeps, and cells of one: at most 50,000 expirations a second, 1 ms of work at once.
SWEEP_S: Final = 0.1
SWEEP_CELLS: Final = 5_000
#: Seconds until a Kamailio that is back is told what changed: dmqcache nodes merge within that time.
RETURN_PAUSE_S: Final = 1.0
#: Milliseconds before its last answer in which a node may already have missed what others told it.
LOST_BEFORE_MS: Final = 1_000
#: Seconds from an outbox's overflow to the repair.
OVERFLOW_PAUSE_S: Final = 1.0
#: Keys that wait for every live node above which writers are asked to wait: a fifth of a second's work.
CONGESTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What an operator may choose; meaning and cost stand in ``dmqcache.config.options``."""

    outbox_limit: int = DEFAULT_LIMIT
    repair_interval: float = 10.0
    tombstone_ttl: float = 900.0
    tombstone_limit: int = 100_000
    max_value_bytes: int = MAX_VALUE_BYTES


class Store:
    """Tables that are the same on every node."""

    def __init__(
        self,
        tables: Iterable[TableSettings],
        bus: Bus,
        runtime: Runtime,
        options: StoreOptions | None = None,
    ) -> None:
        self.options = options or StoreOptions()
        self.bus = bus
        self.runtime = runtime
        self.clock = Clock(runtime.now, runtime.wall_ms)
        self.counters = StoreCounters()
        self.identity = f"{bus.local.uri}#{runtime.token()[:8]}"
        self.tables: dict[str, Table] = {}
        self.arrivals: dict[str, KamailioArrivals] = {}
        self.outboxes: dict[NodeURI, Outbox] = {}
        self.leaves = LeafIndexes(runtime)
        self.donor = Donor(self)
        self.repair = Repair(self)
        self.compare = KamailioCompare(self)
        self.collisions = Collisions(self)
        self.waiters = Waiters(self)
        self.join = Join(self)
        self.replica = Replica(self)
        self.htable = Htable(self)
        #: Whether this dmqcache node is the one that looks after the Kamailio nodes.
        self.designated = True
        self._number = 0
        self._numbering = Numbering()
        self._flushing = False
        self._heard: dict[NodeURI, float] = {}
        self._lanes: dict[str, list[dict[str, int]]] = {}
        #: Nothing is sent any more.
        self.stopped = False
        for settings in tables:
            self._add_table(settings)
        bus.register_peer(self.replica)
        bus.register_peer(self.htable)

    def _add_table(self, settings: TableSettings) -> None:
        if settings.name in self.tables:
            raise ValueError(f"the table {settings.name!r} is declared twice")
        largest = self.options.max_value_bytes
        if self.bus.local.uri.transport == "udp" and settings.dmqreplicate:
            largest = min(largest, MAX_UDP_VALUE_BYTES)
        table = Table(settings, self.clock, identity=self.identity, max_value_bytes=largest)
        table.tombstone_ttl = self.options.tombstone_ttl
        table.tombstone_limit = self.options.tombstone_limit
        lanes = self._lanes[settings.name] = []
        if settings.dmqreplicate:
            table.on_change = self._change_hook(settings.name, lanes)
            table.on_flush = lambda keys: self._flushed(table, keys)
            table.on_expire = lambda cell: self._expired(table, cell)
        self.tables[settings.name] = table
        self.arrivals[settings.name] = KamailioArrivals(table, self.counters)

    @property
    def ready(self) -> bool:
        """Whether the initial sync is over."""
        return self.join.ready

    # -- life ------------------------------------------------------------------------------------------

    def start(self, seeds: bool) -> None:
        """Begin to sweep and to repair. ``seeds``: there are nodes to get the state from."""
        self.join.start(seeds)
        self._sweep()
        self._tick()

    def stop(self) -> None:
        """No more timers; the tables can still be read."""
        self.stopped = True
        for outbox in self.outboxes.values():
            outbox.shut()
        self.repair.stop()
        self.compare.stop()
        self.waiters.stop()

    def _sweep(self) -> None:
        if self.stopped:
            return
        self._numbering.note(self._number, self.clock.wall_ms())
        held = any(outbox.overflowed or not outbox.open for outbox in self.outboxes.values())
        behind = any(
            outbox.open and (outbox.overflowed or outbox.waiting() > 0)
            for outbox in self.outboxes.values()
            if outbox.courier is self.replica
        )
        for table in self.tables.values():
            table.sweep(SWEEP_CELLS)
            table.collect(SWEEP_CELLS, held, behind)
        self.runtime.call_later(SWEEP_S, self._sweep)

    def _tick(self) -> None:
        if self.stopped:
            return
        if self.ready:
            self.repair.tick()
        interval = self.options.repair_interval
        self.runtime.call_later(interval * (0.75 + self.runtime.random() / 2), self._tick)

    # -- changes ---------------------------------------------------------------------------------------

    def _change_hook(self, name: str, lanes: list[dict[str, int]]) -> Callable[[Cell], None]:
        changes = self.counters.changes
        origin = (name, "local")

        def changed(cell: Cell) -> None:
            number = self._number = self._number + 1
            key = cell.key
            for lane in lanes:
                lane.setdefault(key, number)
            changes[origin] += 1
            if not self._flushing:
                self._flushing = True
                self.runtime.call_later(0, self.flush)

        return changed

    def flush(self) -> None:
        """Send what waits to every node that takes it."""
        self._flushing = False
        for outbox in list(self.outboxes.values()):
            self.pump(outbox)

    def pump(self, outbox: Outbox) -> None:
        """Send what waits to one node, now or after its pause; tell those who wait for it."""
        if self.stopped:
            return
        outbox.pump()
        self.waiters.check()
        pause = outbox.ready_in()
        if pause > 0 and outbox.open and not outbox.alarmed:
            outbox.alarmed = True
            self.runtime.call_later(pause, lambda: self._pause_over(outbox))

    def _pause_over(self, outbox: Outbox) -> None:
        outbox.alarmed = False
        self.pump(outbox)

    def number(self) -> int:
        """The number of the latest local change."""
        return self._number

    def congested(self) -> bool:
        """Whether writers should wait: even the node that keeps up best has much to be told. A slower one
        holds up nobody: its names are bounded, and beyond that it is repaired."""
        backlogs = [outbox.backlog() for outbox in self.outboxes.values() if outbox.open]
        return min(backlogs, default=0) > CONGESTED

    def name_keys(self, table: Table, keys: Iterable[str], outboxes: Iterable[Outbox]) -> None:
        """Have these nodes told (again) what these keys hold."""
        self._number += 1
        for outbox in outboxes:
            lane = outbox.lane(table)
            for key in keys:
                lane.setdefault(key, self._number)
            self.pump(outbox)

    def tell_back(self, name: str, keys: list[str], node: NodeURI) -> None:
        """``node`` sent something older than what we hold."""
        outbox = self.outboxes.get(node)
        if outbox is not None:
            self.name_keys(self.tables[name], keys, [outbox])

    def _expired(self, table: Table, cell: Cell) -> None:
        """Kamailio expires nothing in a table without autoexpire: it is told."""
        if not table.settings.autoexpire and self.designated:
            self.name_keys(table, [cell.key], self.kamailio_outboxes())

    def merged(self) -> None:
        """Rows of dmqcache nodes were merged: what concerns the Kamailio nodes beside?"""
        self.collisions.collect()

    # -- flushes -----------------------------------------------------------------------------------------

    def _flushed(self, table: Table, keys: list[str]) -> None:
        for outbox in self.outboxes.values():
            if outbox.courier is self.replica:
                self.send_floor(table, outbox.node)
        self.name_keys(table, keys, self.kamailio_outboxes())

    def send_floor(self, table: Table, node: NodeURI) -> None:
        """Tell a dmqcache node of a flush. Lost, it is found again by the next comparison."""
        if table.floor:
            message = NativeMessage(now=self.clock.raw_ms(), floors={table.name: table.floor})
            self.bus.send_message(
                self.replica, encode(message), node, content_type="application/json", fast=True
            )

    def shares(self, name: str) -> bool:
        """Whether this is a table of ours that other nodes have as well."""
        table = self.tables.get(name)
        return table is not None and table.settings.dmqreplicate

    def hear_floor(self, name: str, floor: int) -> None:
        """A dmqcache node knows of a flush."""
        self.tables[name].raise_floor(min(floor, self.clock.wall_ms() + MAX_AHEAD_MS - 1))

    def floors(self, names: Iterable[str]) -> dict[str, int]:
        """The floors of those tables that have one."""
        return {name: floor for name in names if (floor := self.tables[name].floor)}

    # -- nodes -------------------------------------------------------------------------------------------

    def replicas(self) -> list[NodeURI]:
        """The dmqcache nodes that answer."""
        return [
            uri for uri, outbox in self.outboxes.items() if outbox.courier is self.replica and outbox.open
        ]

    def misses_replicas(self) -> bool:
        """Whether a dmqcache node is away that may know what we do not."""
        return any(outbox.courier is self.replica and not outbox.open for outbox in self.outboxes.values())

    def kamailio_outboxes(self) -> list[Outbox]:
        """The outboxes of Kamailio nodes, those that are away too."""
        return [outbox for outbox in self.outboxes.values() if outbox.courier is self.htable]

    def heard_at(self, node: NodeURI) -> float:
        """Monotonic seconds when a dmqcache node last served a want of ours."""
        return self._heard.get(node, 0.0)

    def heard_clock(self, node: NodeURI, wall_ms: int) -> None:
        """A dmqcache node told its wall clock. Of a node that is away nothing is kept."""
        if node in self.outboxes and self.clock.heard(str(node), wall_ms):
            self._clock_corrected()

    def _clock_corrected(self) -> None:
        """Our time is another now: what seemed to be in order may lie far ahead."""
        limit = self.clock.wall_ms() + MAX_AHEAD_MS
        for table in self.tables.values():
            self.counters.clamped[table.name] += table.clamp(limit)

    def heard_from(self, node: NodeURI) -> None:
        """A dmqcache node sent cells, or the end of them, that we had asked for."""
        if node in self.outboxes:
            self._heard[node] = self.clock.now()

    def node_up(self, node: Node) -> None:
        """A node answers: new, or back, or started anew."""
        if node.local:
            return
        speaks = node.ours
        courier: Any = self.replica if speaks else self.htable
        outbox = self.outboxes.get(node.uri)
        returned = outbox is not None
        if outbox is None or outbox.courier is not courier:
            if outbox is not None:
                outbox.shut()
            outbox = Outbox(node.uri, courier, self.clock.now, self.options.outbox_limit)
            outbox.on_overflow = partial(self._overflowed, outbox)
            outbox.ordered = not speaks
            outbox.caught_up = not (speaks and any(table.cells for table in self.tables.values()))
            self.outboxes[node.uri] = outbox
        # What a dmqcache node back at the same time knows goes first: a Kamailio keeps what comes last.
        outbox.reopen(0.0 if speaks or outbox.lost_at is None else RETURN_PAUSE_S)
        self._nodes_changed()
        if speaks:
            first = node.uri > self.bus.local.uri
            self.runtime.call_later(0 if first else 1.0, lambda: self.repair.want(node.uri))
            if returned:
                self.compare.all_later()
        else:
            self.compare.node_up(node.uri, node.names)
        self.join.node_up(node.uri, speaks)
        self.pump(outbox)

    def node_down(self, node: Node) -> None:
        """A node stopped answering; what changes meanwhile is kept for it."""
        outbox = self.outboxes.get(node.uri)
        if outbox is not None:
            outbox.shut()
            if outbox.lost_at is None:
                outbox.lost_at = self._last_heard_ms(node)
                missed = outbox.first_missed()
                if missed is not None:
                    outbox.lost_at = min(outbox.lost_at, self._numbering.before(missed))
            self.repair.forget(node.uri)
            self.compare.forget(node.uri)
            if self.clock.forget(str(node.uri)):
                self._clock_corrected()
            self._nodes_changed()
            self.waiters.check()

    def _last_heard_ms(self, node: Node) -> int:
        """Unix ms when a node surely was there: how long its silence took to be noticed does not matter."""
        silent = 0.0 if node.last_answer is None else self.clock.now() - node.last_answer
        return self.clock.wall_ms() - int(silent * 1000) - LOST_BEFORE_MS

    def node_left(self, node: Node) -> None:
        """A node said goodbye: nothing is kept for it."""
        self.node_down(node)
        self.outboxes.pop(node.uri, None)
        self._heard.pop(node.uri, None)
        self.htable.forget(node.uri)
        self._nodes_changed()

    def _overflowed(self, outbox: Outbox) -> None:
        """More changed than is kept for a node that is there: find what, when the worst is over."""
        if outbox.courier is self.replica:
            self.runtime.call_later(OVERFLOW_PAUSE_S, lambda: self.repair.want(outbox.node))
        else:
            self.compare.overflowed(outbox.node)

    def _nodes_changed(self) -> None:
        for name, lanes in self._lanes.items():
            table = self.tables[name]
            lanes.clear()
            if table.settings.dmqreplicate:
                lanes.extend(outbox.lane(table) for outbox in self.outboxes.values())
        watch = bool(self.kamailio_outboxes())
        for arrivals in self.arrivals.values():
            arrivals.watch = watch
        before = self.designated
        self.designated = all(self.bus.local.uri < uri for uri in self.replicas())
        if self.designated and not before and watch:
            self.compare.took_over()

    def repaired(self, node: NodeURI, outcome: str, ready: bool) -> None:
        """A comparison with a dmqcache node ended. ``ready``: that one has the whole state."""
        self.join.compared(node, outcome, ready)
        self.waiters.check()
