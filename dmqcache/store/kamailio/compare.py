"""When our tables are compared with a Kamailio's, and with whose.

A Kamailio up to 6.1 tells no versions and never repairs itself. So whenever one comes back, and from time to
time, the designated dmqcache node asks it for its cells. What follows from the answer is ``inquirer.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.node import NodeList
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.kamailio.doubles import Doubles
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.inquirer import Inquirer
from dmqcache.store.kamailio.overtaking import Sent
from dmqcache.store.kamailio.shown_cells import Inquiry
from dmqcache.store.kamailio.wire_types import CellBatch
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.order import walk
from dmqcache.store.table.table import Table
from dmqcache.store.table.tombstones import walk_dead

#: Seconds after a node came back in which the outboxes empty themselves first.
SETTLE_S: Final = 1.5
#: Inquiries in a row while differences are found.
ROUNDS: Final = 5
#: Seconds until a node is asked again that answered none of them, or whose overflow they did not mend;
#: doubles with each time, up to the second number.
DEAF_S: Final = 30.0
DEAF_MOST_S: Final = 300.0
#: Doublings of that pause after which it is that anyway.
MAX_DOUBLINGS: Final = 8
#: Seconds after stray cells until all Kamailio nodes are compared with: Kamailio repeats a message for 30 s.
STRAY_S: Final = 32.0
#: Changes that may still be on their way to a node when it is asked: their keys only seem to differ.
MAX_UNSENT: Final = 500
#: Seconds until a node is looked at again that has more; and until the initial sync is looked at again.
UNSENT_S: Final = 0.5
NOT_READY_S: Final = 1.0
#: Seconds between two routine comparisons, with up to so many cells; with more, in proportion: a Kamailio can
#: be asked for all that it has only, and sends it in one burst.
ROUTINE_S: Final = 60.0
ROUTINE_CELLS: Final = 10_000
#: Keys that are looked at in one piece when counters are looked for.
PIECE: Final = 500


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
        doubles: Doubles,
        is_busy: Callable[[NodeURI], bool],
    ) -> None:
        """``is_busy``: something that the node said is still to be taken in."""
        self._ground = ground
        self._outboxes = outboxes
        self._inquirer = Inquirer(
            ground, outboxes, channel, arrivals, nodes, held_back, doubles, is_busy, self._next
        )
        #: Who is to be asked, for how many rounds and not before when (monotonic seconds).
        self._due: dict[NodeURI, tuple[int, float]] = {}
        #: Who did not agree after all rounds, and until when it is left alone (monotonic seconds).
        self._rests: dict[NodeURI, float] = {}
        #: Who was told after a pause what it lacks, and is asked once more whether it took that.
        self._told: set[NodeURI] = set()
        self._routine = False
        #: Monotonic seconds when all were last to be compared with.
        self._last_all = 0.0
        #: Monotonic seconds until which Kamailio nodes may still send old cells to one another.
        self._stray_until: float | None = None

    def node_up(self, node: NodeURI) -> None:
        """A Kamailio answers: new, or back."""
        self._inquirer.doubt(node)
        self._later(node, SETTLE_S)
        self._stray()
        if not self._routine:
            self._routine = True
            self._last_all = self._ground.clock.now()
            self._ground.runtime.call_later(ROUTINE_S, self._compare_routinely)

    def began_anew(self, node: NodeURI) -> None:
        """A Kamailio asks for all cells, as it does when it starts, or when its operator has it do so."""
        self._inquirer.doubt(node)

    def flushed(self) -> None:
        """A table was flushed, here or elsewhere: what Kamailio nodes still hold of before is looked for when
        none of it is under way any more."""
        if self._routine:
            self._stray()

    def left(self, node: NodeURI) -> dict[str, int]:
        """How many cells were removed on a node without a word and stay so, by table."""
        return self._inquirer.left(node)

    def otherwise(self, node: NodeURI) -> dict[str, str]:
        """What a node declares otherwise than this one, by table, in words."""
        return self._inquirer.declared.otherwise(node)

    def overflowed(self, node: NodeURI) -> None:
        """More changed than could be kept for a Kamailio that is there: only a comparison finds what."""
        self._inquirer.doubt(node)
        self._later(node, SETTLE_S)

    def all_later(self) -> None:
        """A dmqcache node is back: its Kamailio neighbours may hold what lost against ours."""
        for outbox in self._outboxes.of_kamailios():
            if outbox.open:
                self._later(outbox.node, SETTLE_S)

    def took_over(self) -> None:
        """This node now looks after the Kamailio nodes: they may have missed the last sums of counters."""
        for table in self._ground.tables.values():
            in_steps(self._ground.runtime, self._tell_sums(table), lambda: None, self._is_over)
        self.all_later()

    def _tell_sums(self, table: Table) -> Iterator[None]:
        for keys in chain(walk(table, PIECE), walk_dead(table, PIECE)):
            cells = (table.cells.get(key) for key in keys)
            counters = [cell.key for cell in cells if cell is not None and cell.counts is not None]
            if counters:
                self._outboxes.name_keys(table, counters, self._outboxes.of_kamailios())
            yield

    def _is_over(self) -> bool:
        return self._ground.stopped or not self._outboxes.designated

    def forget(self, node: NodeURI) -> None:
        """A node is gone."""
        self._due.pop(node, None)
        self._rests.pop(node, None)
        self._told.discard(node)
        self._inquirer.forget(node)

    def stop(self) -> None:
        """Ask nobody any more."""
        self._due.clear()
        self._inquirer.stop()

    def cells_came(
        self, node: NodeURI, batch: CellBatch, sent: Sent | None = None, ends: bool = False
    ) -> Iterator[None]:
        """A Kamailio sent cells, asked or unasked; returns the pieces of taking them in. ``sent``: when, as
        far as its message tells; ``ends``: its answer ends with it."""
        if not self._inquirer.is_asking(node) and batch.cells:
            self._stray()
        return self._inquirer.cells_came(node, batch, sent, ends)

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
        self._all_if_due()
        self._ground.runtime.call_later(ROUTINE_S, self._compare_routinely)

    def _all_if_due(self) -> None:
        """Compare with all, unless they are large and that was done not long ago."""
        cells = sum(len(table) for table in self._ground.tables.values())
        now = self._ground.clock.now()
        if cells <= ROUTINE_CELLS or now - self._last_all >= ROUTINE_S * cells / ROUTINE_CELLS - 1.0:
            self._last_all = now
            for outbox in self._outboxes.of_kamailios():
                if outbox.open and self._rests.get(outbox.node, 0.0) <= now:
                    self._later(outbox.node, SETTLE_S)

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
        # While old cells come, no mending lasts: that a node did not agree then says nothing of now.
        self._rests.clear()
        self._all_if_due()
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
        if not self._due or not self._ground.ready:
            if self._due and not self._ground.ready:
                runtime.call_later(NOT_READY_S, self._next)
            return
        now = self._ground.clock.now() + 0.001
        may_ask = self._inquirer.may_ask
        node = next((node for node, (_, at) in self._due.items() if at <= now and may_ask(node)), None)
        if node is None:
            return  # Each has a call of its own to come, or waits for the end of an inquiry.
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
            self._told.discard(inquiry.node)
            outbox.mended()
        elif inquiry.cut_short:
            self._later(inquiry.node, SETTLE_S, rounds)
        elif rounds > 1:
            self._later(inquiry.node, SETTLE_S, rounds - 1)
        else:
            self._rest(inquiry, outbox, rounds)

    def _rest(self, inquiry: Inquiry, outbox: Outbox, rounds: int) -> None:
        """It did not agree after all rounds: it is left alone for a while, or asked seldom."""
        now = self._ground.clock.now()
        if self._rests.get(inquiry.node, 0.0) <= now:
            self._rests[inquiry.node] = now + DEAF_MOST_S
        if inquiry.answered and outbox.overflowed and inquiry.node not in self._told:
            # The link may be well again, and all may agree now.
            self._told.add(inquiry.node)
            self._later(inquiry.node, SETTLE_S, rounds)
            return
        self._told.discard(inquiry.node)
        if not inquiry.answered or outbox.overflowed:
            # Its doublings count down from one round, for as long as the node stays as it is: bounded, as no
            # number holds what they come to after days.
            pause = min(DEAF_MOST_S, DEAF_S * 2.0 ** min(MAX_DOUBLINGS, 1 - rounds))
            self._later(inquiry.node, pause, max(-MAX_DOUBLINGS, rounds - 1))
