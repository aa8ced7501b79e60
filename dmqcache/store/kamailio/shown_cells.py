"""What a cell means that a Kamailio shows of its tables: the news of a write, or an echo of what it was told.

Owns the rules for one cell. When a Kamailio is asked, what it lacks, and how it is told, are
``inquirer.py``'s business. For a text that differs:

- both have a version (6.2): the later wins, as always;
- ours was written after the Kamailio was lost (or it never was): ours goes there, a delete too;
- else the Kamailio wrote while nobody heard it: its cell becomes a write of ours and goes everywhere. So does
  one that we had deleted, of a Kamailio that left us out of its list: it got the delete, and told us nothing.

What is not known here at all goes everywhere too, but with the least version: a node that has just started
must not bring back what all others know to be deleted.

A number may be a counter's sum that another dmqcache node told it, newer than ours and only the shadow of
what that node holds. So a number's version is not believed: it never ends a counter, and one that is unknown
here gets the least version of all, so that whatever any of us knows of the key is worth more. It is believed
that it was there before a flush.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dmqcache.bus.node import NodeList
from dmqcache.bus.peer import Sending
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.declared import Shown, note_time
from dmqcache.store.kamailio.overtaking import Sent
from dmqcache.store.kamailio.wire_types import Cell as WireCell
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import EXPIRED, NEVER, PROVISIONAL, Cell
from dmqcache.store.table.clock import ms_of, version_at
from dmqcache.store.table.merge import Collision, is_key
from dmqcache.store.table.settings import MAX_AUTOEXPIRE_S
from dmqcache.store.table.table import Table
from dmqcache.store.table.version import Verdict

log = logging.getLogger("dmqcache.store")

#: Milliseconds in which what one of us told a Kamailio has reached the others too.
RECENT_MS: Final = 2_000
#: Seconds within which a message of a Kamailio comes though it was lost once (T1, 0.5 s).
ITS_WORD_S: Final = 0.7
#: Seconds by which the time left of equal cells may differ.
TIME_SLACK_S: Final = 3.0


@dataclass(slots=True)
class Inquiry:
    """One question to a Kamailio for all that it has."""

    node: NodeURI
    #: Take what comes without sending anything: the initial sync of this node.
    adopt: bool
    then: Callable[[bool], None]
    began: float
    began_ms: int
    heard: float
    #: Monotonic seconds when the question was put last.
    asked: float = 0.0
    answered: bool = False
    seen: dict[str, set[str]] = field(default_factory=dict)
    #: What its cells tell of how it declares its tables.
    shown: dict[str, Shown] = field(default_factory=dict)
    differences: int = 0
    #: Not all that differs could be named at once.
    cut_short: bool = False
    ended: bool = False
    sending: Sending | None = None
    #: Of each of its processes, the last of its messages that came, and the number with which an answer ended
    #: that was not its last one.
    newest: dict[str, Sent] = field(default_factory=dict)
    over: dict[str, int] = field(default_factory=dict)

    def is_outdated(self, sent: Sent, ends: bool) -> bool:
        """Whether cells are of an answer before one of the same process of which some came already. ``ends``:
        none of their answer follow."""
        newest = self.newest.get(sent.process)
        if newest is None or not sent.late or sent.number > newest.number:
            self.newest[sent.process] = sent
            return False
        over = self.over.get(sent.process, -1)
        if ends and over < sent.number < newest.number:
            over = self.over[sent.process] = sent.number
        return sent.number <= over


class ShownCells:
    """Takes cells in, and finds out which of ours a Kamailio is to be told."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        arrivals: Mapping[str, KamailioArrivals],
        nodes: NodeList,
        is_news: Callable[[NodeURI, Table, int | None], bool],
        ours_wins: Callable[[Inquiry, Table, str], None],
    ) -> None:
        """``is_news(node, table, asked_ms)``: what nobody here knows came to the node after the last flush.
        ``ours_wins(inquiry, table, key)``: the Kamailio holds something else than it should."""
        self._ground = ground
        self._outboxes = outboxes
        self._arrivals = arrivals
        self._nodes = nodes
        self._is_news = is_news
        self._ours_wins = ours_wins

    def came(self, inquiry: Inquiry | None, cells: list[WireCell], sender: NodeURI) -> None:
        """Cells of ``sender``; ``inquiry``: we had asked for them."""
        wall = self._ground.clock.raw_ms() / 1000
        for cell in cells:
            arrivals = self._arrivals.get(cell.htname)
            if arrivals is None:
                self._ground.counters.refused["", "unknown_table"] += 1
                continue
            table = arrivals.table
            if not is_key(cell.cname):
                self._ground.counters.refused[table.name, "bad_key"] += 1
                continue
            left = cell.expire - wall if cell.expire > wall and table.settings.autoexpire else None
            if inquiry is not None:
                self._note(inquiry, table, cell, wall)
            judged = None
            if inquiry is not None and not inquiry.adopt and table.settings.dmqreplicate:
                judged = inquiry
            table.live_cell(cell.cname)
            try:
                self._cell_came(judged, inquiry, arrivals, cell, left, sender)
            except ValueError as error:
                # A counter whose sum no integer holds, for one: the other cells have nothing to do with it.
                self._ground.counters.refused[table.name, "overflow"] += 1
                log.debug("table %s: key %r: %s", table.name, cell.cname[:80], error)

    def _note(self, inquiry: Inquiry, table: Table, cell: WireCell, wall: float) -> None:
        held = table.cells.get(cell.cname)
        # The table's own text, so that remembering it costs little.
        inquiry.seen.setdefault(table.name, set()).add(cell.cname if held is None else held.key)
        same = held is not None and self._is_same(held, cell.value)
        shown = inquiry.shown.setdefault(table.name, Shown())
        note_time(
            shown,
            held if same else None,
            table.settings.autoexpire,
            cell.expire,
            wall,
            self._ground.clock.now(),
        )

    def _cell_came(
        self,
        judged: Inquiry | None,
        inquiry: Inquiry | None,
        arrivals: KamailioArrivals,
        cell: WireCell,
        left: float | None,
        node: NodeURI,
    ) -> None:
        table, key, value = arrivals.table, cell.cname, cell.value
        held, sender = table.cells.get(key), str(node)
        is_number, asked = isinstance(value, int), inquiry is not None
        if judged is not None and held is not None and not self._outboxes.tells(held):
            return
        if held is None and table.partial:
            # It may be one that was evicted here: what the node shows is neither news nor too old.
            return
        if held is None and not (is_number and self._is_later(table, cell)):
            # Of what has a time, it says whether it came after a flush; of a number, only that it did not.
            if is_number and cell.last_modified and table.floor:
                if judged is not None:
                    self._ours_wins(judged, table, key)
                return
            dated = cell.last_modified and not is_number
            if not dated and not self._may_be_news(node, table, inquiry):
                if judged is not None:
                    self._from_before_flush(judged, table, key, value, left)
                return
        if held is None and is_number:
            if asked or self._ground.ready:
                arrivals.arrive_set(key, value, 0, sender, left)
            if judged is not None:
                self._tell_others(judged, table, key)
        elif cell.last_modified and not is_number:
            verdict = arrivals.arrive_set(key, value, cell.last_modified, sender, left)
            late = verdict is Verdict.SAME and self._times_differ(table.cells[key], left)
            if judged is not None and (late or verdict is Verdict.OLDER):
                self._ours_wins(judged, table, key)
        elif judged is not None and held is not None and is_number and not self._is_same(held, value):
            self._judge_number(judged, table, held, cell, left)
        elif judged is not None:
            self._judge(judged, table, key, value, left)
        elif held is None and (asked or self._ground.ready):
            arrivals.arrive_set(key, value, 0, sender, left)
            self._ground.counters.sync_cells["in"] += 1
        elif held is not None and not asked and not self._is_same(held, value):
            # Sent to all nodes, and older than what we hold: Kamailio nodes have taken it.
            arrivals.collided(held)

    def _judge_number(
        self, inquiry: Inquiry, table: Table, held: Cell, cell: WireCell, left: float | None
    ) -> None:
        """A number that is not what we hold."""
        theirs, ours = cell.last_modified or 0, ms_of(held.last_modified())
        if held.counts is not None:
            if theirs >= ours and held.value is not None:
                # A 6.2 takes only what is later than what it has.
                table.date_anew(held.key)
            self._ours_wins(inquiry, table, held.key)
        elif theirs and self._is_hearsay(table, held):
            # Known from Kamailio nodes alone. As a counter's base it can be shown with a later version than
            # theirs, and is still worth less than what any of us knows.
            inquiry.differences += 1
            self._arrivals[table.name].arrive_set(held.key, cell.value, 0, str(inquiry.node), left)
            table.date_anew(held.key)
        elif theirs > ours:
            inquiry.differences += 1
            recent = self._ground.clock.wall_ms() - theirs < RECENT_MS
            if not recent and not self._outboxes.misses_replicas():
                self._arrivals[table.name].arrive_set(held.key, cell.value, theirs, str(inquiry.node), left)
            # Else another of us may have told it, and will tell us when it can.
        elif theirs:
            if theirs == ours:
                # A 6.2 takes only what is later than what it has.
                self._arrivals[table.name].collided(held, Collision.TIE)
            self._ours_wins(inquiry, table, held.key)
        else:
            self._judge(inquiry, table, held.key, cell.value, left)

    def _judge(self, inquiry: Inquiry, table: Table, key: str, value: str | int, left: float | None) -> None:
        """A cell without a version."""
        ours = table.cells.get(key)
        if ours is not None and self._is_same(ours, value):
            if self._times_differ(ours, left):
                self._ours_wins(inquiry, table, key)
            return
        lost_at = self._lost_at(inquiry.node)
        if ours is None:
            if not table.takes(value):
                self._ground.counters.refused[table.name, "too_large"] += 1
                return
            self._arrivals[table.name].arrive_set(key, value, 0, str(inquiry.node), left)
            self._tell_others(inquiry, table, key)
            return
        written = ms_of(ours.last_modified())
        if ours.value is None:
            written += ours.ttl
        if written >= inquiry.began_ms:
            return  # It changed meanwhile: the outbox tells it anyway.
        unheard = ours.value is None and self._took_unheard(inquiry.node, table, key)
        alone = lost_at is not None and written <= lost_at
        if unheard or (alone and not self._may_be_left_over(inquiry.node, table, ours)):
            inquiry.differences += 1
            self._adopt_write(table, key, value, left)
        elif lost_at is None and ours.value is not None:
            self._wait_for_its_word(inquiry, table, ours)
        else:
            self._ours_wins(inquiry, table, key)

    def _may_be_left_over(self, node: NodeURI, table: Table, ours: Cell) -> bool:
        """Whether the node may never have been told that the time of a cell was over, and so keeps it: that
        was before we met it, and it was lost before we saw that it had nothing. (What was over before we were
        off, it had been told by then.)"""
        died, outbox = table.tombstones.died_at(ours.key), self._outboxes.get(node)
        if not ours.flags & EXPIRED or table.settings.autoexpire or died is None or outbox is None:
            return False
        return outbox.equal_at < died <= outbox.made_at and outbox.lost_at != self._outboxes.absent_since

    def _wait_for_its_word(self, inquiry: Inquiry, table: Table, ours: Cell) -> None:
        """The Kamailio may have written it only just now, and what it says of that be on its way. An
        increment that is undone there meanwhile is lost for good."""
        inquiry.differences += 1
        key, version = ours.key, ours.last_modified()

        def over() -> None:
            held = table.cells.get(key)
            if not self._ground.stopped and held is not None and held.last_modified() == version:
                self._ours_wins(inquiry, table, key)

        self._ground.runtime.call_later(ITS_WORD_S, over)

    def _took_unheard(self, node: NodeURI, table: Table, key: str) -> bool:
        """Whether the Kamailio has acknowledged our delete, and has not told us all that it wrote since, as
        its list left us out: its cell is newer then. Another node's delete that node told it, or could not;
        so it is with one from disk; one that is older than the outbox nobody here told it; of what an outbox
        had no room for nobody knows; and one that started anew has from others what it shows."""
        known, outbox = self._nodes.get(node), self._outboxes.get(node)
        if known is None or known.left_out_at is None or outbox is None:
            return False
        died = table.tombstones.died_at(key)
        if died is None or died <= outbox.made_at or outbox.overflowed or table.cells[key].writer:
            return False
        if known.started is not None and known.started >= min(died, known.left_out_at):
            return False
        return not outbox.names(table, key) and known.left_out_at > outbox.equal_at

    def _from_before_flush(
        self, inquiry: Inquiry, table: Table, key: str, value: str | int, left: float | None
    ) -> None:
        """A cell that nobody here knows, maybe of before the last flush: it goes, unless the node was cut off
        when that was made, and may have written it since."""
        lost_at = self._lost_at(inquiry.node)
        if lost_at is not None and ms_of(table.floor) <= lost_at:
            inquiry.differences += 1
            self._adopt_write(table, key, value, left)
        else:
            self._ours_wins(inquiry, table, key)

    def _may_be_news(self, node: NodeURI, table: Table, inquiry: Inquiry | None) -> bool:
        """Whether what nobody here knows may have come to the node after the last flush."""
        if self._missed_flush(node, table):
            return False
        return self._is_news(node, table, None if inquiry is None else inquiry.began_ms)

    def _missed_flush(self, node: NodeURI, table: Table) -> bool:
        """Whether the node has not heard of the last flush, as it was cut off, and remembers what was."""
        outbox, flushed = self._outboxes.get(node), ms_of(table.floor)
        if outbox is None or outbox.lost_at is None or flushed <= outbox.lost_at:
            return False
        started, wall = self._started_ms(node), self._ground.clock.wall_ms()
        if started is not None and started >= flushed:
            return False
        return flushed + table.limits.tombstone_ttl * 1000 >= wall

    @staticmethod
    def _is_later(table: Table, cell: WireCell) -> bool:
        """Whether the cell says that it was written after the last flush."""
        return bool(cell.last_modified) and version_at(cell.last_modified or 0) > table.floor

    def _tell_others(self, inquiry: Inquiry, table: Table, key: str) -> None:
        """What only a Kamailio remembered goes to all others, with the least version."""
        inquiry.differences += 1
        others = [box for box in self._outboxes.values() if box.node != inquiry.node]
        self._outboxes.name_keys(table, [key], others)

    def _adopt_write(self, table: Table, key: str, value: str | int, left: float | None) -> None:
        """What the Kamailio wrote while nobody heard it becomes a write of ours."""
        try:
            with table.by_itself():
                table.set(key, value, None if left is None else min(left, MAX_AUTOEXPIRE_S))
        except ValueError:
            self._ground.counters.refused[table.name, "too_large"] += 1

    @staticmethod
    def _is_hearsay(table: Table, held: Cell) -> bool:
        """Whether what we hold is a number of the least version: one that nobody of us knew better."""
        return (
            isinstance(held.value, int) and held.stamp == table.floor + 1 and bool(held.flags & PROVISIONAL)
        )

    @staticmethod
    def _is_same(ours: Cell, value: str | int) -> bool:
        return ours.value == value and type(ours.value) is type(value)

    def _times_differ(self, ours: Cell, left: float | None) -> bool:
        if left is None or ours.expires == NEVER:
            return left is not None
        return abs(ours.expires - self._ground.clock.now() - left) > TIME_SLACK_S

    def _lost_at(self, node: NodeURI) -> int | None:
        """Unix ms when the Kamailio was lost, if it may have written since. One that started anew has
        forgotten what it wrote: what it shows, it was told by others, who may have been behind."""
        outbox = self._outboxes.get(node)
        if outbox is None or outbox.lost_at is None:
            return None
        started = self._started_ms(node)
        return None if started is not None and started >= outbox.lost_at else outbox.lost_at

    def _started_ms(self, node: NodeURI) -> int | None:
        """Unix ms when the node's process was seen to start, if it was."""
        known, clock = self._nodes.get(node), self._ground.clock
        if known is None or known.started is None:
            return None
        return clock.wall_ms() - int((clock.now() - known.started) * 1000)
