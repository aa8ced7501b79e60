"""When to compare with which dmqcache node, one at a time. How that goes: ``repair_session.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.native.native_message import Done
from dmqcache.store.native.repair_session import Session
from dmqcache.store.native.with_node import Ways

#: Seconds from an outbox's overflow to the repair.
OVERFLOW_PAUSE_S: Final = 1.0
#: Seconds for which the node with the greater address waits when two meet: the other's comparison may do.
SECOND_S: Final = 1.0
#: Seconds until a node that was still filling its tables is looked at again, at first and at last. What it
#: lacks it asks for itself; one that has got nothing for the latter is compared with like any other.
FILLING_S: Final = (0.1, 1.0)


@dataclass(slots=True)
class _Filling:
    """A node that starts."""

    #: How many cells it had, and since when: monotonic seconds.
    cells: int
    since: float
    #: Seconds until it is looked at again.
    pause: float = FILLING_S[0]


class Repair:
    """The sessions of one store."""

    def __init__(
        self,
        ways: Ways,
        *,
        local: NodeURI,
        interval: float,
        on_end: Callable[[NodeURI, str, bool], None],
    ) -> None:
        """``interval``: seconds between two comparisons, about. ``on_end(node, outcome, ready)``: a
        comparison has ended "equal", "repaired" or "failed"; ``ready``: the node has the whole state."""
        self._ways = ways
        self._ground = ways.ground
        self._outboxes = ways.outboxes
        self._local = local
        self._interval = interval
        self._on_end = on_end
        self.session: Session | None = None
        #: Nodes to compare with, the next first.
        self._due: dict[NodeURI, None] = {}
        self._filling: dict[NodeURI, _Filling] = {}
        self._id = 0

    def start(self) -> None:
        """From now on compare now and then."""
        self._tick()

    def _tick(self) -> None:
        if self._ground.stopped:
            return
        if self._ground.ready:
            self._compare_with_one()
        pause = self._interval * (0.75 + self._ground.runtime.random() / 2)
        self._ground.runtime.call_later(pause, self._tick)

    def _next_id(self) -> int:
        self._id += 1
        return self._id

    def node_up(self, node: NodeURI) -> None:
        """A dmqcache node answers: new, or back."""
        self._want_later(node, 0 if node > self._local else SECOND_S)

    def overflowed(self, node: NodeURI) -> None:
        """More changed than is kept for a node that is there: find what, when the worst is over."""
        self._want_later(node, OVERFLOW_PAUSE_S)

    def _want_later(self, node: NodeURI, delay: float) -> None:
        self._ground.runtime.call_later(delay, lambda: self.want(node))

    def want(self, node: NodeURI, first: bool = False) -> None:
        """Compare with ``node`` as soon as may be."""
        if first:
            self._due = {node: None, **self._due}
        else:
            self._due.setdefault(node)
        self._ground.runtime.call_later(0, self._next)

    def want_all(self) -> None:
        """Compare with each node that answers: of each it is to be known what time it is there."""
        for node in self._outboxes.replicas():
            self.want(node)

    def forget(self, node: NodeURI) -> None:
        """``node`` is gone."""
        self._filling.pop(node, None)
        self._due.pop(node, None)
        session = self._session_with(node)
        if session is not None:
            session.end("failed")

    def stop(self) -> None:
        """Ask nobody any more."""
        self._due.clear()
        if self.session is not None:
            self.session.end("failed")

    def heard(self, node: NodeURI) -> None:
        """``node`` sent cells, or the end of them, that we had asked for."""
        session = self._session_with(node)
        if session is not None:
            session.heard()

    def done(self, node: NodeURI, done: Done) -> None:
        """``node`` says that it has sent all of one want."""
        session = self._session_with(node)
        if session is not None:
            session.done(done)

    def _session_with(self, node: NodeURI) -> Session | None:
        return self.session if self.session is not None and self.session.node == node else None

    def _compare_with_one(self) -> None:
        """Compare with one node, chosen by chance, unless a session is under way. Nodes for which changes
        were forgotten, or that came and were not compared with yet, come first: the repair that was to
        follow at once may have failed."""
        nodes = self._outboxes.replicas()
        nodes = [node for node in nodes if self._is_urgent(node)] or nodes
        if nodes and self.session is None and not self._due:
            self.want(nodes[int(self._ground.runtime.random() * len(nodes))])

    def _is_urgent(self, node: NodeURI) -> bool:
        outbox = self._outboxes[node]
        return outbox.needs_repair() or outbox.wanted_whole

    def _next(self) -> None:
        if self.session is not None or not self._due or self._ground.stopped:
            return
        node = next(iter(self._due))
        del self._due[node]
        outbox = self._outboxes.get(node)
        if outbox is None or not outbox.open:
            self._next()
            return
        is_filling = partial(self._is_filling, node)
        self.session = Session(self._ways.to(node), self._ended, self._next_id, is_filling)
        self.session.start()

    def _is_filling(self, node: NodeURI, cells: int) -> bool:
        """Whether a node that starts, and has so many cells now, has just got more."""
        now = self._ground.clock.now()
        filling = self._filling.setdefault(node, _Filling(cells, now))
        if filling.cells != cells:
            filling.cells, filling.since = cells, now
        return now - filling.since < FILLING_S[1]

    def _ended(self, session: Session, outcome: str) -> None:
        self.session = None
        filling = self._filling.get(session.node)
        if outcome == "early" and filling is not None:
            self._want_later(session.node, filling.pause)
            filling.pause = min(FILLING_S[1], 2 * filling.pause)
            self._ground.runtime.call_later(0, self._next)
            return
        self._filling.pop(session.node, None)
        self._ground.counters.repairs[outcome] += 1
        outbox = self._outboxes.get(session.node)
        if outcome != "failed" and outbox is not None:
            outbox.mended()
            outbox.compared = True
            outbox.wanted_whole &= not session.thorough
        self._on_end(session.node, outcome, session.donor_ready)
        self._ground.runtime.call_later(0, self._next)
