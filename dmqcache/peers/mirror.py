"""A peer that mirrors what the Kamailio nodes say on a channel, and gives it back to who has lost it.

Owns the life of such a peer: it asks each node that comes up for all that it has, hears what is said, lets
what is over leave in silence, and answers who asks for all, a restarted Kamailio or another dmqcache node. It
says nothing else on the bus: the records are others'. A subclass says what a body means (``dialog_peer.py``,
``presence_peer.py``). Whoever wants to know what becomes of the records is told here.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeVar

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Message, Peer, Reply, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.json_fields import BodyRefused
from dmqcache.peers.record_changes import RecordChange, RecordChanges
from dmqcache.peers.records import Records, RecordsFull

log = logging.getLogger("dmqcache.peers.mirror")

CONTENT_TYPE: Final = "application/json"
#: Seconds between two looks at whose time is over.
SWEEP_S: Final = 1.0
#: Messages to one asker that are not answered yet. A Kamailio's workers take several at once.
IN_FLIGHT: Final = 16
#: Bytes of them. A Kamailio reads from a buffer of 256 KiB (``maxbuffer``); what finds no room there comes
#: again after half a second at the earliest.
IN_FLIGHT_BYTES: Final = 100_000
#: Among the bodies that a node is told: what follows waits until all before it is answered.
FIRST_THAT: Final = b""
#: A Kamailio from 5.8 on drops messages above 32,767 bytes; the head takes some hundred.
MAX_GIVEN_BYTES: Final = 31_000

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
M = TypeVar("M", bound="Mirror[Any, Any]")


@dataclass(slots=True)
class MirrorCounts:
    """Plain numbers. Everything only ever grows."""

    #: What was said, by the name of its action.
    words: Counter[str] = field(default_factory=Counter)
    #: Reason -> bodies that could not be used, and what was of no use.
    refused: Counter[str] = field(default_factory=Counter)
    #: Records that were told to who asked, and acknowledged.
    given: int = 0
    #: Records that left because their time was over and nobody had removed them.
    left: int = 0


class Mirror(Peer, Generic[K, R]):
    """What all mirrors have in common."""

    __slots__ = (
        *("_asking", "_givings", "_iterated", "_leaving", "_listeners", "_sweeping"),
        *("counts", "records"),
    )

    #: The body that asks for everything.
    sync_body: bytes

    def __init__(self, channel: str) -> None:
        super().__init__(channel=channel)
        self.counts = MirrorCounts()
        self.records: Records[K, R] = Records(self.word_of, self._changed)
        self._listeners: list[Callable[[RecordChange[R]], object]] = []
        #: Those that :meth:`changes` has given and that have not ended.
        self._iterated: list[RecordChanges[R]] = []
        #: What goes now goes as its time is over.
        self._leaving = False
        self._givings: dict[NodeURI, _Giving] = {}
        #: Nodes that have asked before they were known to be at their address.
        self._asking: set[NodeURI] = set()
        self._sweeping = False

    # -- what a subclass says ----------------------------------------------------------------------------

    @abstractmethod
    def hear(self, body: bytes, now: float) -> bool:
        """Take one body in; whether it asks for everything. BodyRefused; RecordsFull."""

    @abstractmethod
    def body_of(self, key: K, node: Node, now: float) -> bytes | None:
        """The body that gives a record to ``node``; None: this one is not given."""

    @abstractmethod
    def word_of(self, record: R, stale: bool) -> str:
        """What a record is, in one word, for metrics."""

    def records_in(self, body: bytes) -> int:
        """How many records a body gives."""
        return 1

    def changed(self, before: R | None, after: R | None) -> None:
        """A record came, changed or went."""

    def over(self, key: K, record: R, now: float) -> None:
        """A record has left because its time was over."""

    # -- who wants to know -------------------------------------------------------------------------------

    def tell_changes(self, told: Callable[[RecordChange[R]], object]) -> Callable[[], None]:
        """From now on ``told`` is told each change as it happens, on the thread of the bus; what is returned
        ends that."""
        self._listeners.append(told)

        def forget() -> None:
            if told in self._listeners:
                self._listeners.remove(told)

        return forget

    def listen(self, heard: Callable[[R | None, R | None], object]) -> Callable[[], None]:
        """The same: ``heard`` is told a record before and after the change, None where there is none."""
        return self.tell_changes(lambda change: heard(change.before, change.after))

    def changes(self) -> RecordChanges[R]:
        """``async for change in peer.changes()``: each change from now on, see :class:`RecordChanges`. Ends
        when the node stops."""
        found: RecordChanges[R] = RecordChanges(self.tell_changes, self._iterated.remove)
        self._iterated.append(found)
        return found

    def on_stop(self) -> None:
        for one in list(self._iterated):
            one.close()

    def _changed(self, before: R | None, after: R | None) -> None:
        self.changed(before, after)
        if self._listeners:
            change = RecordChange(before, after, expired=self._leaving)
            for told in list(self._listeners):
                try:
                    told(change)
                except Exception:
                    log.exception("a callback of the changes on channel %s failed", self.channel)

    # -- the bus -----------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Unix time; 0 for a peer that is on no bus."""
        return 0.0 if self.runtime is None else self.runtime.wall_ms() / 1000

    def handle(self, message: Message) -> Reply:
        if message.node is None:
            return Reply(403, "Not A Node")
        try:
            asks = self.hear(message.body, self.now)
        except BodyRefused as refused:
            self.counts.refused[refused.reason] += 1
            return Reply(400)
        except RecordsFull:
            self.counts.refused["full"] += 1
            return Reply(500, "Full")
        self._let_time_pass()
        if asks and message.node.active:
            self._give(message.node)
        elif asks:
            self._asking.add(message.node.uri)
        return Reply(200)

    def ask(self, node: Node) -> None:
        """Ask for everything."""
        if self.bus is not None:
            self.bus.send_message(self, self.sync_body, node.uri, content_type=CONTENT_TYPE)

    def on_node_up(self, node: Node) -> None:
        self.ask(node)
        if node.uri in self._asking:
            self._asking.discard(node.uri)
            self._give(node)

    def on_node_down(self, node: Node) -> None:
        self._asking.discard(node.uri)
        giving = self._givings.pop(node.uri, None)
        if giving is not None:
            giving.end()

    def on_node_left(self, node: Node) -> None:
        self.on_node_down(node)

    # -- giving, and time --------------------------------------------------------------------------------

    def _give(self, node: Node) -> None:
        """Tell ``node`` everything. One that asks again begins anew: it has been restarted."""
        before = self._givings.get(node.uri)
        if before is not None:
            before.end()
        giving = self._givings[node.uri] = _Giving(self, node, self.bodies(node))
        giving.go_on()

    def _give_some(self, node: Node, bodies: Iterator[bytes]) -> None:
        """Tell ``node`` these, beside whatever else it is being told."""
        _Giving(self, node, bodies).go_on()

    def given(self, giving: _Giving) -> None:
        """All is told, or the node has gone."""
        if self._givings.get(giving.node.uri) is giving:
            del self._givings[giving.node.uri]

    def bodies(self, node: Node) -> Iterator[bytes]:
        """What ``node`` is to be told, each record as it is when its turn comes; and :data:`FIRST_THAT`."""
        yield from self.bodies_of(self.records.listed(), node)

    def bodies_of(self, keys: Iterable[K], node: Node) -> Iterator[bytes]:
        """The same of some records."""
        for key in keys:
            body = self.body_of(key, node, self.now) if self.records.get(key) is not None else None
            if body is not None and len(body) > MAX_GIVEN_BYTES:
                self.counts.refused["too_large_to_give"] += 1
            elif body is not None:
                yield body

    def _let_time_pass(self) -> None:
        if not self._sweeping and not self.records.idle and self.runtime is not None:
            self._sweeping = True
            self.runtime.call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = self.now
        self._leaving = True
        try:
            left = self.records.sweep(now)
        finally:
            self._leaving = False
        for key, record in left:
            self.counts.left += 1
            self.over(key, record, now)
        self._let_time_pass()


class _Giving:
    """Everything for one node, or a part of it, a few messages at a time."""

    def __init__(self, mirror: Mirror[Any, Any], node: Node, bodies: Iterator[bytes]) -> None:
        self.node = node
        self._mirror = mirror
        self._bodies: Iterator[bytes] | None = bodies
        self._under_way = 0
        self._bytes = 0
        #: Nothing more is said until all is answered.
        self._waits = False

    def end(self) -> None:
        """Say no more."""
        self._bodies = None

    def go_on(self) -> None:
        bus = self._mirror.bus
        while self._bodies is not None and bus is not None and self._has_room():
            body = next(self._bodies, None)
            if body is None:
                self.end()
                break
            if body == FIRST_THAT:
                self._waits = self._under_way > 0
                continue
            self._under_way += 1
            self._bytes += len(body)
            answered = partial(self._answered, self._mirror.records_in(body), len(body))
            bus.send_message(
                self._mirror, body, self.node.uri, content_type=CONTENT_TYPE, on_response=answered
            )
        if self._bodies is None and not self._under_way:
            self._mirror.given(self)

    def _has_room(self) -> bool:
        return not self._waits and self._under_way < IN_FLIGHT and self._bytes < IN_FLIGHT_BYTES

    def _answered(self, records: int, size: int, response: Response) -> None:
        self._under_way -= 1
        self._bytes -= size
        self._waits = self._waits and self._under_way > 0
        if response.status == 200:
            self._mirror.counts.given += records
        elif response.local or response.status == 404:
            self.end()
        self.go_on()


def among(peers: Mapping[str, Peer], kind: type[M]) -> M | None:
    """The mirror of this kind among a node's peers; None: it was not loaded."""
    return next((peer for peer in peers.values() if isinstance(peer, kind)), None)
