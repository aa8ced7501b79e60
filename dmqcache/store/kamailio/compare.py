"""Comparing our tables with a Kamailio's: ask for all its cells, merge, send what it lacks or has wrong.

A Kamailio up to 6.1 tells no versions and never repairs itself. So whenever one comes back, and from time to
time, the designated dmqcache node asks it for its cells. What it lacks it gets: a dump may be incomplete, so
a missing cell is never taken for a delete. What a cell means that differs, ``kamailio_cells.py`` says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.shown_cells import Inquiry, KamailioCells
from dmqcache.store.kamailio.wire_types import CellBatch
from dmqcache.store.kamailio.wire_write import SYNC_REQUEST, carriable
from dmqcache.store.table.cell import NEVER, Cell
from dmqcache.store.table.table import Table

if TYPE_CHECKING:
    from dmqcache.store.outbox.outbox import Outbox
    from dmqcache.store.store import Store

log = logging.getLogger("dmqcache.store")

#: Seconds after a node came back in which the outboxes empty themselves first.
SETTLE_S: Final = 1.5
#: Seconds of quiet after a Kamailio's 200 until its cells count as all here: its last batches may be lost
#: and sent again after T1 (0.5 s).
QUIET_S: Final = 0.8
#: Seconds of quiet after which cells without a 200 count as all here: the 200 was lost.
LOST_ANSWER_S: Final = 2.0
#: Seconds without any sign after which the question is put again: it was lost.
ASK_AGAIN_S: Final = 1.2
#: Seconds without a cell after which an inquiry is given up.
SILENCE_S: Final = 5.0
#: Inquiries in a row while differences are found.
ROUNDS: Final = 5
#: Seconds until a node is asked again that answered none of them, or whose overflow they did not mend;
#: doubles with each time, up to ROUTINE_S.
DEAF_S: Final = 30.0
#: Seconds after stray cells until all Kamailio nodes are compared with: Kamailio repeats a message for 30 s.
STRAY_S: Final = 32.0
#: Names that may still be on their way to a node when it is asked: they only seem to differ.
FEW: Final = 500
#: Seconds between two looks at an outbox that is to become emptier first.
DRAIN_S: Final = 0.1
#: Cells looked at in one step when searching for those that a Kamailio lacks: about 2 ms.
STEP: Final = 10_000
#: Seconds between two routine comparisons, and the cells up to which they are made: a Kamailio sends its
#: tables in one burst.
ROUTINE_S: Final = 300.0
ROUTINE_CELLS: Final = 50_000
#: Nodes remembered that asked for cells before they had answered us; anybody can claim to be one.
MAX_WANTING: Final = 64


class KamailioCompare:
    """The inquiries of one store, one at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._inquiry: Inquiry | None = None
        self._cells = KamailioCells(store, self._ours_wins)
        #: Who is to be asked, for how many rounds and not before when (monotonic seconds).
        self._due: dict[NodeURI, tuple[int, float]] = {}
        self._wanting: dict[NodeURI, str | None] = {}
        self._routine = False
        #: Monotonic seconds until which Kamailio nodes may still send old cells to one another.
        self._stray_until: float | None = None

    # -- when --------------------------------------------------------------------------------------------

    def node_up(self, node: NodeURI, names: Iterable[NodeURI] = ()) -> None:
        """A Kamailio answers: new, or back. ``names``: other forms of its address."""
        self._store.htable.forget_dialect(str(node))
        for name in (node, *names):
            if name in self._wanting:
                only = self._wanting.pop(name)
                self._store.htable.serve_late(self._store.outboxes[node], only)
        self._later(node, SETTLE_S)
        self._stray()
        if not self._routine:
            self._routine = True
            self._store.runtime.call_later(ROUTINE_S, self._compare_routinely)

    def ask_later(self, node: NodeURI, only: str | None) -> None:
        """A Kamailio that has not answered us yet asks for our cells: it gets them when it has."""
        if len(self._wanting) >= MAX_WANTING:
            del self._wanting[next(iter(self._wanting))]
        self._wanting[node] = only

    def overflowed(self, node: NodeURI) -> None:
        """More changed than could be kept for a Kamailio that is there: only a comparison finds what."""
        self._later(node, SETTLE_S)

    def all_later(self) -> None:
        """A dmqcache node is back: its Kamailio neighbours may hold what lost against ours."""
        for outbox in self._store.kamailio_outboxes():
            if outbox.open:
                self._later(outbox.node, SETTLE_S)

    def took_over(self) -> None:
        """This node now looks after the Kamailio nodes: they may have missed the last sums of counters."""
        for table in self._store.tables.values():
            keys = [cell.key for cell in table.cells.values() if cell.counts is not None]
            if keys:
                self._store.name_keys(table, keys, self._store.kamailio_outboxes())
        self.all_later()

    def stop(self) -> None:
        """Ask nobody any more."""
        self._due.clear()
        self._wanting.clear()
        if self._inquiry is not None:
            self._end(self._inquiry, False)

    def _compare_routinely(self) -> None:
        if self._store.stopped:
            return
        self._all_if_small()
        self._store.runtime.call_later(ROUTINE_S, self._compare_routinely)

    def _all_if_small(self) -> None:
        if sum(len(table) for table in self._store.tables.values()) <= ROUTINE_CELLS:
            self.all_later()

    def _stray(self) -> None:
        """Kamailio nodes may send old cells to one another, and repeat that for a while: one has come and
        asks all others, or one has sent its cells to everybody, as it does if it does not know who asks."""
        waits = self._stray_until is not None
        self._stray_until = self._store.clock.now() + STRAY_S
        if not waits:
            self._store.runtime.call_later(STRAY_S, self._stray_over)

    def _stray_over(self) -> None:
        until, now = self._stray_until, self._store.clock.now()
        self._stray_until = None
        if self._store.stopped:
            return
        self._all_if_small()
        if until is not None and until > now + 0.001:
            self._stray_until = until
            self._store.runtime.call_later(until - now, self._stray_over)

    def forget(self, node: NodeURI) -> None:
        """A node is gone."""
        self._due.pop(node, None)
        self._wanting.pop(node, None)
        if self._inquiry is not None and self._inquiry.node == node:
            self._end(self._inquiry, False)

    def _later(self, node: NodeURI, delay: float, rounds: int = ROUNDS) -> None:
        at = self._store.clock.now() + delay
        held_rounds, held_at = self._due.get(node, (rounds, at))
        self._due[node] = (max(rounds, held_rounds), min(at, held_at))
        self._store.runtime.call_later(delay, self._next)

    def _next(self) -> None:
        store = self._store
        if self._inquiry is not None or not self._due or not store.ready:
            if self._due and not store.ready:
                store.runtime.call_later(1.0, self._next)
            return
        now = store.clock.now() + 0.001
        node = next((node for node, (_, at) in self._due.items() if at <= now), None)
        if node is None:
            return  # Each has a call of its own to come.
        rounds, _ = self._due.pop(node)
        outbox = store.outboxes.get(node)
        if outbox is None or not outbox.open or not (store.designated or outbox.overflowed):
            store.runtime.call_later(0, self._next)
            return
        if outbox.waiting() > FEW:
            self._later(node, 0.5, rounds)
            return
        inquiry = self._ask(node, False, lambda clean: self._compared(inquiry, clean, rounds))

    def _compared(self, inquiry: Inquiry, clean: bool, rounds: int) -> None:
        outbox = self._store.outboxes.get(inquiry.node)
        if outbox is None or not outbox.open:
            return
        if clean:
            outbox.mended()
        elif inquiry.cut_short:
            self._later(inquiry.node, SETTLE_S, rounds)
        elif rounds > 1:
            self._later(inquiry.node, SETTLE_S, rounds - 1)
        elif not inquiry.answered or outbox.overflowed:
            self._later(inquiry.node, min(ROUTINE_S, DEAF_S * 2.0 ** (1 - rounds)), rounds - 1)

    # -- asking ------------------------------------------------------------------------------------------

    def adopt(self, nodes: list[NodeURI], then: Callable[[bool], None]) -> None:
        """Take over the cells of one Kamailio, then look at a second one for what its flood lost."""
        if not nodes or self._inquiry is not None or nodes[0] not in self._store.outboxes:
            then(False)
            return

        def next_one(complete: bool) -> None:
            if complete and nodes[1:]:
                self.adopt(nodes[1:], lambda _: then(True))
            else:
                then(complete)

        self._ask(nodes[0], True, next_one)

    def _ask(self, node: NodeURI, adopt: bool, then: Callable[[bool], None]) -> Inquiry:
        store = self._store
        now = store.clock.now()
        inquiry = Inquiry(node, adopt, then, now, store.clock.wall_ms(), now)
        self._inquiry = inquiry
        self._question(inquiry)
        self._watch(inquiry)
        return inquiry

    def _question(self, inquiry: Inquiry) -> None:
        """Ask, once: a Kamailio sends all its cells anew for each copy of the question."""
        store, node = self._store, inquiry.node
        inquiry.asked = store.clock.now()
        if inquiry.sending is not None:
            inquiry.sending.cancel()

        def answered(response: Response) -> None:
            if inquiry.ended:
                return
            inquiry.answered = response.status == 200
            if not inquiry.answered:
                self._end(inquiry, False)

        inquiry.sending = store.bus.send_message(
            store.htable,
            SYNC_REQUEST,
            node,
            content_type="application/json",
            on_response=answered,
            timeout=60.0,
            repeat=False,
        )

    def _watch(self, inquiry: Inquiry) -> None:
        if inquiry.ended:
            return
        now = self._store.clock.now()
        quiet = now - inquiry.heard
        came = inquiry.heard > inquiry.began
        # The 200 comes after the cells, and is lost as easily.
        if quiet >= (QUIET_S if inquiry.answered else LOST_ANSWER_S) and (inquiry.answered or came):
            self._find_lacking(inquiry)
            return
        if quiet > SILENCE_S:
            self._end(inquiry, False)
            return
        if not came and not inquiry.answered and now - inquiry.asked >= ASK_AGAIN_S:
            self._question(inquiry)
        self._store.runtime.call_later(0.2, lambda: self._watch(inquiry))

    def _end(self, inquiry: Inquiry, complete: bool) -> None:
        if inquiry.ended:
            return
        inquiry.ended = True
        self._inquiry = None
        if inquiry.sending is not None:
            inquiry.sending.cancel()
        store = self._store
        if not inquiry.adopt:
            clean = complete and not inquiry.differences
            outcome = "equal" if clean else "repaired" if complete else "failed"
            store.counters.repairs[outcome] += 1
            outbox = store.outboxes.get(inquiry.node)
            if clean and outbox is not None:
                outbox.lost_at = None
            complete = clean
        inquiry.then(complete)
        store.runtime.call_later(0, self._next)

    # -- what comes --------------------------------------------------------------------------------------

    def cells_came(self, node: NodeURI, batch: CellBatch) -> None:
        """A Kamailio sent cells, asked or unasked."""
        inquiry = self._inquiry if self._inquiry is not None and self._inquiry.node == node else None
        if inquiry is not None:
            inquiry.heard = self._store.clock.now()
        elif batch.cells:
            self._stray()
        self._cells.came(inquiry, batch, str(node))

    def _ours_wins(self, inquiry: Inquiry, table: Table, key: str) -> None:
        inquiry.differences += 1
        if not inquiry.adopt:
            self._tell(inquiry, table, key)

    def _tell(self, inquiry: Inquiry, table: Table, key: str) -> None:
        outbox = self._store.outboxes.get(inquiry.node)
        if outbox is None:
            return
        if self._is_full(outbox):
            # More would make it forget all: the next round finds the rest.
            inquiry.cut_short = True
            return
        self._store.counters.repair_cells["out"] += 1
        self._store.name_keys(table, [key], [outbox])

    @staticmethod
    def _is_full(outbox: Outbox) -> bool:
        return outbox.backlog() >= max(1, outbox.limit // 2)

    # -- what did not come -------------------------------------------------------------------------------

    def _find_lacking(self, inquiry: Inquiry) -> None:
        if inquiry.adopt:
            self._end(inquiry, True)
            return
        cells = (
            (table, cell)
            for table in self._store.tables.values()
            if table.settings.dmqreplicate
            for cell in list(table.cells.values())
        )
        self._look_for_lacking(inquiry, cells)

    def _look_for_lacking(self, inquiry: Inquiry, cells: Iterator[tuple[Table, Cell]]) -> None:
        if inquiry.ended:
            return
        store = self._store
        outbox = store.outboxes[inquiry.node]
        if self._is_full(outbox):
            store.runtime.call_later(DRAIN_S, lambda: self._look_for_lacking(inquiry, cells))
            return
        some = list(islice(cells, min(STEP, max(1, outbox.limit // 4))))
        for table, cell in some:
            lacks = cell.key not in inquiry.seen.get(table.name, ())
            if not lacks or cell.value is None or cell.last_modified() >= inquiry.began_ms:
                continue
            if table.settings.autoexpire and cell.expires == NEVER:
                # A Kamailio shows no cell that has no time where others have one: it may hold it.
                self._tell(inquiry, table, cell.key)
            elif carriable(cell.key, cell.value) is None:
                self._ours_wins(inquiry, table, cell.key)
        if some:
            store.runtime.call_later(0, lambda: self._look_for_lacking(inquiry, cells))
        else:
            self._end(inquiry, True)
