"""Keys written in two places at nearly the same time, where a Kamailio listens: who makes it agree.

Two dmqcache nodes always choose the same winner, but two messages may cross on their way to a Kamailio,
which keeps what came last; and a Kamailio's own write crosses ours. That holds for a write of this node too
that follows another's at once: the other's may still be on its way. So when such a key has been quiet for a
moment, the winner's node tells the Kamailio nodes once more, and so does the loser's, of whose write the
winner's may never have heard; what a Kamailio 6.2 wrote, the designated node tells. A winner that has no
version of its own (an older Kamailio wrote it), or beside a 6.2 the same one as the loser, is written anew
with a later version; but never what is known from Kamailio nodes alone, with the least version of all. That
waits until nobody writes the key any more, and the version is hardly later: a client's write that is still on
its way beats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.dialect import Dialects
from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cell import PROVISIONAL, Cell
from dmqcache.store.table.clock import MAX_AHEAD_MS, ms_of, version_at
from dmqcache.store.table.merge import NOTHING_KNOWN, SIMULTANEOUS_MS, Collision
from dmqcache.store.table.table import Table

#: Seconds of quiet: longer than what is under way takes to land on a network that loses nothing.
SETTLE_S: Final = 0.4
#: Keys that may wait at once; beyond it the comparison with the Kamailio nodes finds what differs.
MAX_WAITING: Final = 10_000
#: Keys that are settled in one piece: some 0.5 ms.
PIECE: Final = 50


class Collisions:
    """The keys that wait for quiet."""

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        arrivals: Mapping[str, KamailioArrivals],
        dialects: Dialects,
    ) -> None:
        self._ground = ground
        self._outboxes = outboxes
        self._arrivals = arrivals
        self._dialects = dialects
        #: Table and key -> when it is due (monotonic seconds), why, and the version that a counter showed.
        self._waiting: dict[tuple[str, str], tuple[float, Collision, int]] = {}
        self._timed = False
        self._collecting = False

    def overwritten(self, arrivals: KamailioArrivals, cell: Cell) -> None:
        """A write of this node follows another node's, in the table of these arrivals."""
        if arrivals.overwritten(cell) and not self._collecting:
            self._collecting = True
            self._ground.runtime.call_later(0, self._collect_soon)

    def _collect_soon(self) -> None:
        self._collecting = False
        self.collect()

    def collect(self) -> None:
        """Take over what the arrivals noticed."""
        due = self._ground.clock.now() + SETTLE_S
        for name, arrivals in self._arrivals.items():
            if arrivals.counted:
                # Taken away first: whatever comes of it, the next message finds them gone.
                counted, arrivals.counted = arrivals.counted, {}
                self._tell_counters(arrivals.table, counted)
            for key, kind in arrivals.collisions.items():
                _, before, shown = self._waiting.pop((name, key), (0.0, NOTHING_KNOWN, 0))
                if len(self._waiting) < MAX_WAITING:
                    self._waiting[name, key] = (due, before | kind, max(shown, arrivals.shown.get(key, 0)))
            arrivals.collisions.clear()
            arrivals.shown.clear()
        if self._waiting and not self._timed:
            self._timed = True
            self._ground.runtime.call_later(SETTLE_S, self._settle)

    def _tell_counters(self, table: Table, keys: dict[str, None]) -> None:
        """Merged counters: one node alone shows them to the Kamailio nodes, so the last sum comes last."""
        if not self._outboxes.designated:
            return
        outboxes = self._outboxes.of_kamailios()
        if self._keep_times():
            # The sum may be new and its version not: a 6.2 would keep what it has.
            for key in keys:
                cell = table.live_cell(key)
                if cell is not None and cell.counts is not None:
                    table.date_anew(key)
        self._outboxes.name_keys(table, keys, outboxes)

    def _settle(self) -> None:
        in_steps(self._ground.runtime, self._settling(), self._settled, lambda: self._ground.stopped)

    def _settling(self) -> Iterator[None]:
        """Settle what is due, some keys at a time."""
        now = self._ground.clock.now()
        for place, ((name, key), was) in enumerate(list(self._waiting.items()), 1):
            due, kind, shown = was
            if due > now:
                break
            if self._waiting.get((name, key)) is was:  # else it was written once more meanwhile
                del self._waiting[name, key]
                table = self._ground.tables[name]
                cell = table.cells.get(key)
                if cell is not None and not self._agree(table, cell, kind, shown):
                    self._waiting[name, key] = (now + SETTLE_S, kind, shown)
            if place % PIECE == 0:
                yield

    def _settled(self) -> None:
        self._timed = bool(self._waiting)
        if self._timed:
            due = next(iter(self._waiting.values()))[0]
            self._ground.runtime.call_later(max(0.01, due - self._ground.clock.now()), self._settle)

    def _agree(self, table: Table, cell: Cell, kind: Collision, shown: int) -> bool:
        """Have Kamailio nodes hold what we do. False: not yet, the key is still being written."""
        designated = self._outboxes.designated
        if cell.counts is not None:
            self._tell_counters(table, {cell.key: None})
        elif self._is_hearsay(table, cell):
            if designated or kind & (Collision.REPEATED | Collision.MINE):
                self._outboxes.name_keys(table, [cell.key], self._outboxes.of_kamailios())
        elif (
            kind & (Collision.SHOWN | Collision.COUNTED)
            or (kind & Collision.TIE and (designated or kind & Collision.MINE) and self._keep_times())
            or (cell.flags & PROVISIONAL and (designated or kind & Collision.MINE))
        ):
            last = ms_of(cell.last_modified())
            # What lies further ahead is of a time before clocks were set back, and not only just written.
            if -SETTLE_S * 1000 < last - table.clock.wall_ms() <= MAX_AHEAD_MS:
                return False
            # No later than must be: a node whose clock is behind may have written it, not heard of yet.
            last = max(last, ms_of(shown))
            stamp = version_at(last + 1) if self._keep_times() else max(cell.last_modified(), shown) + 1
            if cell.flags & PROVISIONAL:
                self._arrivals[table.name].put_right(cell)
            if kind & Collision.SHOWN:
                # Some node, or a Kamailio 6.2, may hold it with a version up to now.
                stamp = max(stamp, table.clock.version())
            elif cell.flags & PROVISIONAL:
                # Others heard of it, or of what lost, a little later. What is later still may be a write that
                # was made where nobody hears us.
                stamp = max(stamp, min(table.clock.version(), version_at(last + SIMULTANEOUS_MS)))
            if cell.flags & PROVISIONAL or isinstance(cell.value, str):
                table.rewrite(cell, stamp)
            else:
                self._tell_what_is_counted_upon(table, cell, stamp)
        elif (
            kind & (Collision.REPEATED | Collision.MINE)
            or not cell.writer
            or (designated and self._is_kamailio(cell.writer))
        ):
            self._outboxes.name_keys(table, [cell.key], self._outboxes.of_kamailios())
        return True

    def _tell_what_is_counted_upon(self, table: Table, cell: Cell, stamp: int) -> None:
        """Somebody may count upon a number, or after a delete, this very moment: written anew, with a later
        version, it would end that. Only a 6.2 needs such a one, and of a number alone."""
        if cell.value is not None and self._keep_times():
            table.date_anew(cell.key, stamp)
        else:
            self._outboxes.name_keys(table, [cell.key], self._outboxes.of_kamailios())

    @staticmethod
    def _is_hearsay(table: Table, cell: Cell) -> bool:
        """Whether we know it from Kamailio nodes alone, with the least version. A later one would have it win
        over what other dmqcache nodes know better and have yet to tell us, and end their counters."""
        return cell.value is not None and cell.stamp == table.floor + 1 and bool(cell.flags & PROVISIONAL)

    def _keep_times(self) -> bool:
        """Whether a Kamailio 6.2 is there, which takes only what has a later time."""
        return any(self._dialects.of(outbox.node).last_modified for outbox in self._outboxes.of_kamailios())

    def _is_kamailio(self, writer: str) -> bool:
        """Of a winner that a Kamailio 6.2 dated: nobody else will tell older nodes, or has told them last."""
        return any(outbox.name == writer for outbox in self._outboxes.of_kamailios())
