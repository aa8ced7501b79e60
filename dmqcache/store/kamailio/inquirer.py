"""Asking Kamailio nodes for all their cells, and telling each what it lacks or has wrong.

What a cell means that differs, ``shown_cells.py`` says; what to do about one that is missing,
``lacking.py``; when to ask whom, ``compare.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dmqcache.bus.node import NodeList
from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.kamailio.baselines import Baselines
from dmqcache.store.kamailio.declared import Declared
from dmqcache.store.kamailio.doubles import Doubles, single
from dmqcache.store.kamailio.held_back import HeldBack
from dmqcache.store.kamailio.lacking import Lacking, room_in
from dmqcache.store.kamailio.overtaking import Sent
from dmqcache.store.kamailio.shown_cells import Inquiry, ShownCells
from dmqcache.store.kamailio.wire_types import CellBatch
from dmqcache.store.kamailio.wire_write import SYNC_REQUEST
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.table import Table

log = logging.getLogger("dmqcache.store")

#: Seconds of quiet after a Kamailio's 200 until its cells count as all here: its last batches may be lost
#: and sent again after T1 (0.5 s).
QUIET_S: Final = 0.8
#: Seconds of quiet after which cells without a 200 count as all here: the 200 was lost.
LOST_ANSWER_S: Final = 2.0
#: Seconds without any sign after which the question is put again: it was lost.
ASK_AGAIN_S: Final = 1.2
#: Seconds without a cell after which an inquiry is given up.
SILENCE_S: Final = 5.0
#: Seconds until nobody answers the question any more.
ANSWER_TIMEOUT_S: Final = 60.0
#: Nodes that are asked at the same time while our tables hold no more cells than the second number. Each
#: sends all that it has in one burst: of large tables, one at a time.
AT_ONCE: Final = 4
AT_ONCE_CELLS: Final = 5_000
#: Seconds by which messages overtake each other; a message that comes later than that was lost at first.
EARLIER_S: Final = 2.0
#: Seconds between two looks at how an inquiry goes.
WATCH_S: Final = 0.2
#: Cells of a batch that are taken in in one piece: some 0.7 ms.
PIECE: Final = 100


class Inquirer:
    """The inquiries of one store."""

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
        idle: Callable[[], None],
    ) -> None:
        """``is_busy``: something that the node said is still to be taken in. ``idle``: the next may be
        asked."""
        self._ground = ground
        self._outboxes = outboxes
        self._channel = channel
        self._baselines = Baselines(ground, outboxes)
        self.declared = Declared()
        self._cells = ShownCells(ground, outboxes, arrivals, nodes, self._baselines.is_news, self._ours_wins)
        self._lacking = Lacking(ground, outboxes, held_back, self._baselines, self.declared, self._tell)
        self._doubles = doubles
        self._is_busy = is_busy
        self._idle = idle
        #: Who is asked now.
        self._inquiries: dict[NodeURI, Inquiry] = {}

    @property
    def busy(self) -> bool:
        """Whether somebody is asked now."""
        return bool(self._inquiries)

    def may_ask(self, node: NodeURI) -> bool:
        """Whether a node may be asked now, beside those that are asked already. While this node takes in all
        that one has, nobody else is asked."""
        if not self._inquiries:
            return True
        if node in self._inquiries or any(inquiry.adopt for inquiry in self._inquiries.values()):
            return False
        cells = sum(len(table) for table in self._ground.tables.values())
        return len(self._inquiries) < AT_ONCE and cells <= AT_ONCE_CELLS

    def ask(self, node: NodeURI, adopt: bool, then: Callable[[bool], None]) -> Inquiry:
        """Ask a node that has an outbox. ``adopt``: take what comes without sending anything.
        ``then(clean)``: it is over; whether all came, and none but to be adopted differed."""
        now = self._ground.clock.now()
        inquiry = Inquiry(node, adopt, then, now, self._ground.clock.wall_ms(), now)
        self._inquiries[node] = inquiry
        self._question(inquiry)
        self._watch(inquiry)
        return inquiry

    def left(self, node: NodeURI) -> dict[str, int]:
        """How many cells were removed on a node without a word and stay so, by table."""
        return self._lacking.left(node)

    def doubt(self, node: NodeURI) -> None:
        """A node was lost, or began anew, or may have missed something: what it lacks, it is sent."""
        self._baselines.forget(node)
        self._lacking.forget(node)
        self._doubles.forget(node)
        self.declared.forget(node)

    def forget(self, node: NodeURI) -> None:
        """A node is gone."""
        self.doubt(node)
        if node in self._inquiries:
            self._end(self._inquiries[node], False)

    def stop(self) -> None:
        """Ask nobody any more."""
        for inquiry in list(self._inquiries.values()):
            self._end(inquiry, False)

    def is_asking(self, node: NodeURI) -> bool:
        """Whether this node is asked now."""
        return node in self._inquiries

    def cells_came(self, node: NodeURI, batch: CellBatch, sent: Sent | None, ends: bool) -> Iterator[None]:
        """A Kamailio sent cells, asked or unasked; returns the pieces of taking them in. Not those of an
        earlier answer, a message of which came late: they were deleted since, maybe, and nobody remembers
        that. ``ends``: its answer ends with it, so that what the same process has sent later is of another
        one."""
        inquiry, now = self._inquiries.get(node), self._ground.clock.now()
        asked = now - EARLIER_S if inquiry is None else inquiry.began
        if sent is not None and sent.is_before(asked):
            return iter(())
        if sent is not None and inquiry is not None and inquiry.is_outdated(sent, ends):
            return iter(())
        if inquiry is not None:
            inquiry.heard = now
        return self._take(inquiry, batch, node)

    def _take(self, inquiry: Inquiry | None, batch: CellBatch, node: NodeURI) -> Iterator[None]:
        batch, twice = single(batch)
        for start in range(0, len(batch.cells), PIECE):
            # Given up meanwhile, it asks for nothing.
            if inquiry is not None and inquiry.ended:
                inquiry = None
            self._cells.came(inquiry, batch.cells[start : start + PIECE], node)
            yield
        if inquiry is not None and not inquiry.adopt:
            yield from self._free_of(inquiry, twice)

    def _free_of(self, inquiry: Inquiry, twice: list[tuple[str, str]]) -> Iterator[None]:
        """The node holds keys twice: one of the two is deleted, then the value is told."""
        tables, count = self._ground.tables, 0
        for start in range(0, len(twice), PIECE):
            if inquiry.ended:
                return
            some = twice[start : start + PIECE]
            some = [(name, key) for name, key in some if name in tables and tables[name].live_cell(key)]
            self._doubles.note(inquiry.node, some)
            for name, key in some:
                self._ours_wins(inquiry, tables[name], key)
            count += len(some)
            yield
        if count:
            words = "%s holds %d keys twice, as two of its processes added them at once; that is undone"
            log.info(words, inquiry.node, count)

    def _question(self, inquiry: Inquiry) -> None:
        """Ask, once: a Kamailio sends all its cells anew for each copy of the question."""
        inquiry.asked = self._ground.clock.now()
        if inquiry.sending is not None:
            inquiry.sending.cancel()

        def answered(response: Response) -> None:
            if inquiry.ended:
                return
            inquiry.answered = response.status in (200, 404)
            if response.status == 404:
                # No htable there: it has nothing, and there is nothing to mend.
                self._end(inquiry, True)
            elif not inquiry.answered:
                self._end(inquiry, False)

        inquiry.sending = self._channel.send(
            inquiry.node, SYNC_REQUEST, answered, timeout=ANSWER_TIMEOUT_S, repeat=False
        )

    def _watch(self, inquiry: Inquiry) -> None:
        if inquiry.ended:
            return
        now = self._ground.clock.now()
        if self._is_busy(inquiry.node):
            inquiry.heard = now
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
        self._ground.runtime.call_later(WATCH_S, lambda: self._watch(inquiry))

    def _end(self, inquiry: Inquiry, complete: bool) -> None:
        if inquiry.ended:
            return
        inquiry.ended = True
        self._inquiries.pop(inquiry.node, None)
        if inquiry.sending is not None:
            inquiry.sending.cancel()
        if not inquiry.adopt:
            clean = complete and not inquiry.differences
            outcome = "equal" if clean else "repaired" if complete else "failed"
            self._ground.counters.repairs[outcome] += 1
            outbox = self._outboxes.get(inquiry.node)
            if clean and outbox is not None:
                outbox.lost_at, outbox.equal_at = None, inquiry.began
            complete = clean
        inquiry.then(complete)
        self._ground.runtime.call_later(0, self._idle)

    # -- what it is told ---------------------------------------------------------------------------------

    def _ours_wins(self, inquiry: Inquiry, table: Table, key: str) -> None:
        inquiry.differences += 1
        if not inquiry.adopt:
            self._tell(inquiry, table, key)

    def _tell(self, inquiry: Inquiry, table: Table, key: str) -> None:
        outbox = self._outboxes.get(inquiry.node)
        if outbox is None:
            return
        if not room_in(outbox):
            # More would make it forget all: the next round finds the rest.
            inquiry.cut_short = True
            return
        self._ground.counters.repair_cells["out"] += 1
        self._outboxes.name_keys(table, [key], [outbox])

    def _find_lacking(self, inquiry: Inquiry) -> None:
        if inquiry.adopt:
            self._end(inquiry, True)
        else:
            self._lacking.find(inquiry, lambda tables: self._looked(inquiry, tables))

    def _looked(self, inquiry: Inquiry, tables: list[Table]) -> None:
        if not inquiry.ended and not inquiry.differences and not inquiry.cut_short:
            self._baselines.equal(inquiry, tables, self._lacking.removed)
        self._end(inquiry, True)
