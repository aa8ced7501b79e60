"""The store of one node: builds its parts, and passes on to them what the bus tells of nodes.

This file only composes. A local change is named in every outbox (``outbox/``); dmqcache nodes are told of it
and compared with by ``native/``, Kamailio nodes by ``kamailio/``; what wins is for ``table/`` to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dmqcache.bus.bus import Bus
from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.node import OWN_TAG, Node, other_wire
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.kamailio import htable
from dmqcache.store.kamailio.behind import Behind
from dmqcache.store.kamailio.collisions import Collisions
from dmqcache.store.kamailio.compare import KamailioCompare
from dmqcache.store.kamailio.dialect import Dialects
from dmqcache.store.kamailio.doubles import Doubles
from dmqcache.store.kamailio.hearsay import Hearsay
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.htable import Htable
from dmqcache.store.kamailio.in_turn import InTurn
from dmqcache.store.kamailio.kamailio_courier import KamailioCourier
from dmqcache.store.kamailio.relay import Relay
from dmqcache.store.kamailio.sync_requests import SyncRequests
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.native import replica
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.donor import Donor
from dmqcache.store.native.floor_questions import FloorQuestions
from dmqcache.store.native.floors import Floors
from dmqcache.store.native.initial_sync import InitialSync
from dmqcache.store.native.native_courier import NativeCourier
from dmqcache.store.native.repair import Repair
from dmqcache.store.native.replica import Replica
from dmqcache.store.native.with_node import Ways
from dmqcache.store.outbox.burials import Burials
from dmqcache.store.outbox.emptying import Emptying
from dmqcache.store.outbox.memory_bound import Memory
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.sweeping import Sweeping
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.changes import Home
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.leaves import LeafIndexes
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table

log = logging.getLogger("dmqcache.store")

#: Bytes of a value in JSON that fit one datagram (65,507) with a key and the SIP head. A larger one is
#: refused when it is written, not lost on its way; over TCP the operator's limit counts.
MAX_UDP_VALUE_BYTES: Final = 56_000
#: Seconds until a Kamailio that is back is told what changed: dmqcache nodes merge within that time.
RETURN_PAUSE_S: Final = 1.0
#: Milliseconds before its last answer in which a node may already have missed what others told it.
LOST_BEFORE_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What an operator may choose. Defaults, meaning and cost stand in ``dmqcache.config.options``."""

    outbox_limit: int
    repair_interval: float
    tombstone_ttl: float
    tombstone_limit: int
    max_value_bytes: int
    #: How long a message a Kamailio node receives, where an operator says so.
    kamailio_message_bytes: Mapping[NodeURI, int]
    join_wait: float


class Store:
    """Tables that are the same on every node."""

    def __init__(
        self,
        tables: Iterable[TableSettings],
        bus: Bus,
        runtime: Runtime,
        options: StoreOptions,
        home: Home | None = None,
    ) -> None:
        """``home``: what the tables of a node that runs know of its loop."""
        self.options = options
        self.bus = bus
        self.runtime = runtime
        self.clock = Clock(runtime.now, runtime.wall_ms)
        self.counters = StoreCounters()
        self.identity = f"{bus.local.uri}#{runtime.token()[:8]}"
        self.tables: dict[str, Table] = {}
        #: The way into each table for what other nodes wrote.
        self.arrivals: dict[str, KamailioArrivals] = {}
        self._ground = Ground(runtime, self.clock, self.counters, self.tables)
        #: Unix ms up to which what was read from disk had been told; None: nothing was read.
        self._restored_until: int | None = None
        self.outboxes = Outboxes(
            self._ground, bus.local.uri, options.outbox_limit, self._overflowed, self._nodes_changed
        )
        self.waiters = self.outboxes.waiters
        self.emptying = Emptying(
            self._ground,
            self.outboxes,
            lambda node: self.repair.want(node),
            lambda: self.initial_sync.looks_for_others,
        )
        self._burials = Burials(self._ground, self.outboxes)
        self.memory = Memory(self._ground, self.outboxes, lambda: self.compare_all())
        self._sweeping = Sweeping(self._ground, self.outboxes, lambda: self.repair.want_all())
        for settings in tables:
            self._add_table(settings, home)
        self._build_kamailio()
        self._build_native()
        bus.register_peer(self.replica)
        bus.register_peer(self.htable)

    def _add_table(self, settings: TableSettings, home: Home | None) -> None:
        if settings.name in self.tables:
            raise ValueError(f"the table {settings.name!r} is declared twice")
        largest = self.options.max_value_bytes
        if self.bus.local.uri.transport == "udp" and settings.dmqreplicate:
            largest = min(largest, MAX_UDP_VALUE_BYTES)
        limits = TableLimits(largest, self.options.tombstone_ttl, self.options.tombstone_limit)
        listener = self._listener(settings.name) if settings.dmqreplicate else self._burials.alone()
        table = Table(
            settings, self.clock, identity=self.identity, limits=limits, listener=listener, home=home
        )
        self.tables[settings.name] = table
        self.arrivals[settings.name] = KamailioArrivals(table, self.counters)

    def _listener(self, name: str) -> TableListener:
        """Who is told what happens in a table that other nodes have as well."""
        return TableListener(
            changed=self.outboxes.on_change(name),
            overwritten=lambda cell: self.collisions.overwritten(self.arrivals[name], cell),
            flushed=lambda apart: self._flushed(self.tables[name], apart),
            buried=self._burials.quietly,
            unknown_died=lambda keys: self._burials.unknown_died(self.tables[name], keys),
            expired=lambda cell: self._expired(self.tables[name], cell),
            redates=lambda pieces: self._redate(name, pieces),
            floor_raised=lambda floor: self.compare.flushed(),
        )

    def _redate(self, name: str, pieces: Iterator[int]) -> None:
        ground = self._ground
        in_steps(self.runtime, ground.counted(name, pieces), lambda: None, lambda: ground.stopped)

    def _build_kamailio(self) -> None:
        """The parts that talk with Kamailio nodes."""
        ground, boxes, arrivals, nodes = self._ground, self.outboxes, self.arrivals, self.bus.nodes
        channel = Channel(self.bus, htable.CHANNEL)
        dialects, doubles = Dialects(nodes), Doubles()
        self.collisions = Collisions(ground, boxes, arrivals, dialects)
        self.held_back = HeldBack(
            ground,
            dialects,
            self.options.kamailio_message_bytes,
            self._tell_again,
            lambda node: self.compare.overflowed(node),
        )
        self._kamailio_courier = KamailioCourier(
            ground, boxes, channel, arrivals, dialects, self.collisions, self.held_back, doubles
        )
        in_turn = InTurn(ground)
        self.compare = KamailioCompare(
            ground, boxes, channel, arrivals, nodes, self.held_back, doubles, in_turn.busy
        )
        self.sync_requests = SyncRequests(ground, boxes)
        self.htable = Htable(
            ground,
            arrivals,
            dialects,
            self.held_back,
            self.collisions,
            self.compare,
            in_turn,
            self.sync_requests,
            Relay(boxes, dialects),
        )

    def _tell_again(self, node: NodeURI, table: str, keys: list[str]) -> None:
        outbox = self.outboxes.get(node)
        if outbox is not None:
            self.outboxes.name_keys(self.tables[table], keys, [outbox])

    def _build_native(self) -> None:
        """The parts that talk with dmqcache nodes."""
        ground, boxes = self._ground, self.outboxes
        channel = Channel(self.bus, replica.CHANNEL)
        leaves = LeafIndexes(self.runtime)
        self._answers = AnswerReader(ground, boxes, lambda node: self.repair.overflowed(node))
        self._floors = Floors(ground, boxes, channel, self._answers)
        self._native_courier = NativeCourier(ground, boxes, channel, self._floors, self._answers)
        self.donor = Donor(ground, boxes, channel, leaves)
        self.repair = Repair(
            Ways(ground, boxes, channel, leaves, self._floors, self._answers),
            local=self.bus.local.uri,
            interval=self.options.repair_interval,
            on_end=self._compared,
        )
        seeds = self.bus.settings.others()
        self.initial_sync = InitialSync(
            ground,
            boxes,
            self.repair,
            self.bus.nodes,
            seeds,
            self.compare.adopt,
            self.options.join_wait,
        )
        self.replica = Replica(
            ground,
            boxes,
            self.arrivals,
            self._floors,
            FloorQuestions(ground, channel, self._answers),
            self.donor,
            self.repair,
            nodes=self,
            hearsay=Hearsay(boxes),
            behind=Behind(ground, boxes),
            merged=self.collisions.collect,
        )

    @property
    def ready(self) -> bool:
        """Whether the initial sync is done."""
        return self._ground.ready

    def compare_all(self) -> None:
        """Compare the tables with every node that answers, as soon as may be. What was evicted here comes
        back from dmqcache nodes, as far as it fits."""
        partial = any(table.partial for table in self.tables.values())
        for node in self.outboxes.replicas():
            self.outboxes[node].wanted_whole |= partial
            self.repair.want(node)
        self.compare.all_later()

    def congested(self) -> bool:
        """Whether writers should wait: see :meth:`~dmqcache.store.outbox.outboxes.Outboxes.congested`."""
        return self.outboxes.congested()

    # -- life ------------------------------------------------------------------------------------------

    def start(self, seeds: bool) -> None:
        """Begin to sweep and to repair. ``seeds``: there are nodes to get the state from."""
        self.initial_sync.start(seeds)
        self._sweeping.sweep()
        self.repair.start()

    def restored(self, saved_ms: int) -> None:
        """The tables were read from disk, as they were at ``saved_ms`` (Unix ms) or later; what is older, all
        Kamailio nodes had been told: see :meth:`told_until`. Before :meth:`start`."""
        self.outboxes.absent_since = self._restored_until = saved_ms - LOST_BEFORE_MS

    def told_until(self) -> int | None:
        """Unix ms up to which every Kamailio had surely heard what the tables hold; None: there is none. It
        is kept beside them, as what waits in the outboxes is not: what a Kamailio shows to a node that comes
        back from its disk may be older than what that one could not tell it any more."""
        until = [
            self.outboxes.told_until(outbox, self._last_answer_ms(self.bus.nodes.get(outbox.node)))
            for outbox in self.outboxes.of_kamailios()
        ]
        if self.outboxes.absent_since is not None:
            until.append(self.outboxes.absent_since)
        # One that an earlier process of this node knew has heard nothing of this one before it is met.
        return min(until, default=self._restored_until)

    def stop(self) -> None:
        """No more timers; the tables can still be read."""
        self._ground.stopped = True
        self.outboxes.stop()
        self.repair.stop()
        self.htable.stop()
        self.waiters.stop()

    # -- what happens in the tables ----------------------------------------------------------------------

    def _flushed(self, table: Table, apart: Iterator[list[str]]) -> None:
        self._floors.tell_all(table)
        self._burials.tell(table, apart)

    def _expired(self, table: Table, cell: Cell) -> None:
        """Kamailio expires nothing in a table without autoexpire: it is told."""
        if not table.settings.autoexpire and self.outboxes.designated:
            self.outboxes.name_keys(table, [cell.key], self.outboxes.of_kamailios())

    # -- nodes -------------------------------------------------------------------------------------------

    def node_up(self, node: Node) -> None:
        """A node answers: new, or back, or started anew."""
        if node.local:
            return
        wire = other_wire(node.supported)
        if wire is not None:
            self._refuse(node, wire)
            return
        native = node.ours
        returned = node.uri in self.outboxes
        courier = self._native_courier if native else self._kamailio_courier
        # What a dmqcache node back at the same time knows goes first: a Kamailio keeps what comes last.
        pause, life = (0.0, node.instance) if native else (RETURN_PAUSE_S, "")
        outbox = self.outboxes.open(node.uri, courier, native, pause, life)
        if native:
            self.repair.node_up(node.uri)
            if returned:
                self.compare.all_later()
        else:
            self.htable.node_up(node.uri, node.names)
        self.initial_sync.node_up(node.uri, native)
        self.outboxes.pump(outbox)

    def _refuse(self, node: Node, wire: str) -> None:
        """A node of this software that speaks another wire is no Kamailio: neither side tells the other
        anything. It is said each time when it comes."""
        if node.uri in self.outboxes:
            self.node_left(node)
        words = "%s speaks %s and this node %s: they share no tables; upgrade the older one"
        log.warning(words, node.uri, wire, OWN_TAG)

    def node_down(self, node: Node) -> None:
        """A node stopped answering; what changes meanwhile is kept for it."""
        outbox = self.outboxes.get(node.uri)
        if outbox is not None:
            self.outboxes.close(outbox, self._last_heard_ms(node))
            self.repair.forget(node.uri)
            self.htable.node_down(node.uri)
            self._answers.forget(node.uri)
            self.outboxes.closed()
            self.waiters.check()

    def node_left(self, node: Node) -> None:
        """A node said goodbye: nothing is kept for it."""
        self.node_down(node)
        self.htable.node_left(node.uri)
        self.outboxes.drop(node.uri)

    def _last_heard_ms(self, node: Node) -> int:
        """Unix ms when a node surely was there: how long its silence took to be noticed does not matter."""
        return self._last_answer_ms(node) - LOST_BEFORE_MS

    def _last_answer_ms(self, node: Node | None) -> int:
        """Unix ms when a node answered last."""
        silent = 0.0 if node is None or node.last_answer is None else self.clock.now() - node.last_answer
        return self.clock.wall_ms() - int(silent * 1000)

    def _nodes_changed(self, took_over: bool) -> None:
        """``took_over``: this node now is the one that looks after the Kamailio nodes."""
        watch = bool(self.outboxes.of_kamailios())
        for arrivals in self.arrivals.values():
            arrivals.watch = watch
        if took_over and watch:
            self.compare.took_over()

    def _overflowed(self, outbox: Outbox) -> None:
        """More changed than is kept for a node that is there."""
        if outbox.native:
            self.repair.overflowed(outbox.node)
        else:
            self.compare.overflowed(outbox.node)

    def _compared(self, node: NodeURI, outcome: str, ready: bool) -> None:
        """A comparison with a dmqcache node ended. ``ready``: that one has the whole state."""
        if ready and outcome != "failed":
            self.outboxes.absent_since = None
        self.initial_sync.compared(node, outcome, ready)
        self.waiters.check()
