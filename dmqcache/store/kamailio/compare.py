"""When our tables are compared with a Kamailio's, and with whose.

A Kamailio up to 6.1 tells no versions and never repairs itself. So whenever one comes back, and from time to
time, the designated dmqcache node asks it for its cells. What follows from the answer is ``inquirer.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dmqcache.bus.node import NodeList
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.inquirer import Inquirer
from dmqcache.store.kamailio.shown_cells import Inquiry
from dmqcache.store.kamailio.wire_types import CellBatch
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outboxes import Outboxes

#: Seconds after a node came back in which the outboxes empty themselves first.
SETTLE_S: Final = 1.5
#: Inquiries in a row while differences are found.
ROUNDS: Final = 5
#: Seconds until a node is asked again that answered none of them, or whose overflow they did not mend;
#: doubles with each time, up to ROUTINE_S.
DEAF_S: Final = 30.0
#: Doublings of that pause after which it is ROUTINE_S anyway.
MAX_DOUBLINGS: Final = 8
#: Seconds after stray cells until all Kamailio nodes are compared with: Kamailio repeats a message for 30 s.
STRAY_S: Final = 32.0
#: Changes that may still be on their way to a node when it is asked: their keys only seem to differ.
MAX_UNSENT: Final = 500
#: Seconds until a node is looked at again that has more; and until the initial sync is looked at again.
UNSENT_S: Final = 0.5
NOT_READY_S: Final = 1.0
#: Seconds between two routine comparisons, and the cells up to which they are made: a Kamailio sends its
#: tables in one burst.
ROUTINE_S: Final = 300.0
ROUTINE_CELLS: Final = 50_000


class KamailioCompare:
    """The comparisons of one store."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        channel: Channel,
        arrivals: Mapping[str, KamailioArrivals],
        nodes: NodeList,
        held_back: HeldBack,
    ) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._inquirer = Inquirer(ground, outboxes, channel, arrivals, nodes, held_back, self._next)
        #: Who is to be asked, for how many rounds and not before when (monotonic seconds).
        self._due: dict[NodeURI, tuple[int, float]] = {}
        self._routine = False
        #: Monotonic seconds until which Kamailio nodes may still send old cells to one another.
        self._stray_until: float | None = None

    def node_up(self, node: NodeURI) -> None:
        """A Kamailio answers: new, or back."""
        self._later(node, SETTLE_S)
        self._stray()
        if not self._routine:
            self._routine = True
            self._ground.runtime.call_later(ROUTINE_S, self._compare_routinely)

    def overflowed(self, node: NodeURI) -> None:
        """More changed than could be kept for a Kamailio that is there: only a comparison finds what."""
        self._later(node, SETTLE_S)

    def all_later(self) -> None:
        """A dmqcache node is back: its Kamailio neighbours may hold what lost against ours."""
        for outbox in self._outboxes.of_kamailios():
            if outbox.open:
                self._later(outbox.node, SETTLE_S)

    def took_over(self) -> None:
        """This node now looks after the Kamailio nodes: they may have missed the last sums of counters."""
        for table in self._ground.tables.values():
            keys = [cell.key for cell in table.cells.values() if cell.counts is not None]
            if keys:
                self._outboxes.name_keys(table, keys, self._outboxes.of_kamailios())
        self.all_later()

    def forget(self, node: NodeURI) -> None:
        """A node is gone."""
        self._due.pop(node, None)
        self._inquirer.forget(node)

    def stop(self) -> None:
        """Ask nobody any more."""
        self._due.clear()
        self._inquirer.stop()

    def cells_came(self, node: NodeURI, batch: CellBatch) -> None:
        """A Kamailio sent cells, asked or unasked."""
        if not self._inquirer.is_asking(node) and batch.cells:
            self._stray()
        self._inquirer.cells_came(node, batch)

    def adopt(self, nodes: list[NodeURI], then: Callable[[bool], None]) -> None:
        """Take over the cells of one Kamailio, then look at a second one for what its flood lost."""
        if not nodes or self._inquirer.busy or nodes[0] not in self._outboxes:
            then(False)
            return

        def next_one(complete: bool) -> None:
            if complete and nodes[1:]:
                self.adopt(nodes[1:], lambda _: then(True))
            else:
                then(complete)

        self._inquirer.ask(nodes[0], True, next_one)

    # -- all of them -------------------------------------------------------------------------------------

    def _compare_routinely(self) -> None:
        if self._ground.stopped:
            return
        self._all_if_small()
        self._ground.runtime.call_later(ROUTINE_S, self._compare_routinely)

    def _all_if_small(self) -> None:
        if sum(len(table) for table in self._ground.tables.values()) <= ROUTINE_CELLS:
            self.all_later()

    def _stray(self) -> None:
        """Kamailio nodes may send old cells to one another, and repeat that for a while: one has come and
        asks all others, or one has sent its cells to everybody, as it does if it does not know who asks."""
        waits = self._stray_until is not None
        self._stray_until = self._ground.clock.now() + STRAY_S
        if not waits:
            self._ground.runtime.call_later(STRAY_S, self._stray_over)

    def _stray_over(self) -> None:
        until, now = self._stray_until, self._ground.clock.now()
        self._stray_until = None
        if self._ground.stopped:
            return
        self._all_if_small()
        if until is not None and until > now + 0.001:
            self._stray_until = until
            self._ground.runtime.call_later(until - now, self._stray_over)

    # -- one of them -------------------------------------------------------------------------------------

    def _later(self, node: NodeURI, delay: float, rounds: int = ROUNDS) -> None:
        at = self._ground.clock.now() + delay
        held_rounds, held_at = self._due.get(node, (rounds, at))
        self._due[node] = (max(rounds, held_rounds), min(at, held_at))
        self._ground.runtime.call_later(delay, self._next)

    def _next(self) -> None:
        runtime = self._ground.runtime
        if self._inquirer.busy or not self._due or not self._ground.ready:
            if self._due and not self._ground.ready:
                runtime.call_later(NOT_READY_S, self._next)
            return
        now = self._ground.clock.now() + 0.001
        node = next((node for node, (_, at) in self._due.items() if at <= now), None)
        if node is None:
            return  # Each has a call of its own to come.
        rounds, _ = self._due.pop(node)
        outbox = self._outboxes.get(node)
        if outbox is None or not outbox.open or not (self._outboxes.designated or outbox.overflowed):
            runtime.call_later(0, self._next)
            return
        if outbox.waiting() > MAX_UNSENT:
            self._later(node, UNSENT_S, rounds)
            return
        inquiry = self._inquirer.ask(node, False, lambda clean: self._compared(inquiry, clean, rounds))

    def _compared(self, inquiry: Inquiry, clean: bool, rounds: int) -> None:
        outbox = self._outboxes.get(inquiry.node)
        if outbox is None or not outbox.open:
            return
        if clean:
            outbox.mended()
        elif inquiry.cut_short:
            self._later(inquiry.node, SETTLE_S, rounds)
        elif rounds > 1:
            self._later(inquiry.node, SETTLE_S, rounds - 1)
        elif not inquiry.answered or outbox.overflowed:
            # Its doublings count down from one round, for as long as the node stays as it is: bounded, as no
            # number holds what they come to after days.
            pause = min(ROUTINE_S, DEAF_S * 2.0 ** min(MAX_DOUBLINGS, 1 - rounds))
            self._later(inquiry.node, pause, max(-MAX_DOUBLINGS, rounds - 1))
